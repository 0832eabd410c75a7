//! Reads the renditions, each by itself. What must agree among them is in
//! [`super::agree`].

use super::bitrate::written;
use super::limits::{
    AUDIO_BITRATE, BUF_SIZE, DEFAULT_AUDIO_BITRATE, DEFAULT_SAMPLE_RATE, DEFAULT_THREADS,
    FRAGMENT_BYTES, FRAMERATE, GOP, MAX_BITRATE, MAX_HEIGHT, MAX_WIDTH, MAX_WORD, MONO_BITRATE,
    SVT_AV1_BUFFER, SVT_AV1_MAX_BITRATE, THREADS, VIDEO_BITRATE,
};
use super::node::Node;
use super::report::{Report, shown};
use super::section::{Read, Section, one_of};
use super::{AudioCodec, AudioOutput, Seconds, VideoCodec, VideoOutput};
use crate::timeline::{RESERVED_LABELS, is_reserved};

const VIDEO: &[&str] = &[
    "Label",
    "Codec",
    "Framerate",
    "Width",
    "Height",
    "Bitrate",
    "Max_bitrate",
    "Buf_size",
    "Preset",
    "Crf",
    "Threads",
    "Gop_size",
];
const AUDIO: &[&str] = &["Label", "Codec", "Bitrate", "Sample_rate", "Channels"];
const VIDEO_CODECS: [(&str, VideoCodec); 9] = [
    ("h264", VideoCodec::H264),
    ("h265", VideoCodec::H265),
    ("av1", VideoCodec::Av1),
    ("avc", VideoCodec::H264),
    ("libx264", VideoCodec::H264),
    ("hevc", VideoCodec::H265),
    ("libx265", VideoCodec::H265),
    ("libsvtav1", VideoCodec::Av1),
    ("svtav1", VideoCodec::Av1),
];
/// A label while it is looked for: as written, or to be derived.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Label {
    Written(String),
    Derived(String),
    Bad,
}

impl Label {
    fn text(self) -> Option<String> {
        match self {
            Self::Written(text) | Self::Derived(text) => Some(text),
            Self::Bad => None,
        }
    }
}

/// A video rendition while it is read; `None` where a fault was reported.
pub(super) struct VideoDraft<'a> {
    pub(super) section: Section<'a>,
    pub(super) label: Label,
    codec: Option<VideoCodec>,
    pub(super) framerate: Option<Option<f64>>,
    size: Option<(u32, u32)>,
    rates: Option<Rates>,
    preset: Option<String>,
    crf: Option<Option<u32>>,
    threads: Option<u32>,
    pub(super) gop: Read<Seconds>,
}

impl<'a> VideoDraft<'a> {
    pub(super) fn read(node: &'a Node, at: String, report: &mut Report) -> Option<Self> {
        let section = Section::open(node, at, VIDEO, report)?;
        let codec = section
            .choice("Codec", &VIDEO_CODECS, report)
            .or(VideoCodec::H264);
        let size = read_size(&section, codec, report);
        let derived = size.map(|(width, height)| format!("video_{width}x{height}"));
        let crf = match codec {
            Some(codec) => section
                .integer("Crf", codec.crf_range(), " for this encoder", report)
                .optional(),
            None => None,
        };
        Some(Self {
            label: read_label(&section, derived, report),
            codec,
            framerate: read_framerate(&section, report),
            size,
            rates: read_rates(&section, report)
                .and_then(|rates| suit_encoder(&section, rates, codec?, crf?, report)),
            preset: codec.and_then(|codec| read_preset(&section, codec, report)),
            crf,
            threads: section
                .integer("Threads", THREADS, "", report)
                .or(DEFAULT_THREADS),
            gop: section.seconds("Gop_size", GOP, report),
            section,
        })
    }

    /// Reports fragments of this length that may come out larger than a worker
    /// takes them: as much as the maximum and a full buffer allow.
    pub(super) fn check_fragments(&self, length: Seconds, report: &mut Report) {
        let Some(rates) = self.rates else { return };
        let bits = u64::from(rates.max) * u64::from(length.millis) / 1000 + u64::from(rates.buffer);
        let bytes = bits / 8;
        if bytes <= u64::from(FRAGMENT_BYTES) {
            return;
        }
        let detail = format!(
            "a maximum of {} and a buffer of {} make fragments of {} seconds of up to {} MB, and \
             {} MB is the most: choose a shorter Gop_size or Fragment_duration, or less",
            written(rates.max),
            written(rates.buffer),
            length.as_f64(),
            bytes / 1_000_000,
            FRAGMENT_BYTES / 1_000_000
        );
        let key = match self.section.value("Max_bitrate") {
            Some(_) => "Max_bitrate",
            None => "Bitrate",
        };
        self.section.fault::<()>(key, report, detail);
    }

    /// The rendition, if nothing was wrong with it.
    pub(super) fn finish(self, gop: Seconds) -> Option<VideoOutput> {
        let (width, height) = self.size?;
        let rates = self.rates?;
        Some(VideoOutput {
            label: self.label.text()?,
            codec: self.codec?,
            framerate: self.framerate?,
            width,
            height,
            bitrate: rates.mean,
            max_bitrate: rates.max,
            buf_size: rates.buffer,
            preset: self.preset?,
            crf: self.crf?,
            threads: self.threads?,
            gop_size: gop,
        })
    }
}

/// What a video encoder may put out.
#[derive(Debug, Clone, Copy)]
struct Rates {
    /// bit/s.
    mean: u32,
    /// bit/s.
    max: u32,
    /// bit.
    buffer: u32,
}

/// An audio rendition while it is read; `None` where a fault was reported.
pub(super) struct AudioDraft<'a> {
    pub(super) section: Section<'a>,
    pub(super) label: Label,
    codec: Option<AudioCodec>,
    bitrate: Option<u32>,
    sample_rate: Option<u32>,
    channels: Option<u32>,
}

impl<'a> AudioDraft<'a> {
    pub(super) fn read(node: &'a Node, at: String, report: &mut Report) -> Option<Self> {
        let section = Section::open(node, at, AUDIO, report)?;
        let codec = section.choice("Codec", &[("aac", AudioCodec::Aac)], report);
        let channels = section.integer("Channels", 1..=2, "", report).or(2);
        let mut bitrate = section
            .bitrate("Bitrate", AUDIO_BITRATE, report)
            .or(DEFAULT_AUDIO_BITRATE);
        if channels == Some(1) && bitrate.is_some_and(|bits| bits > MONO_BITRATE) {
            let detail = format!("must be at most {} for one channel", written(MONO_BITRATE));
            bitrate = section.fault("Bitrate", report, detail).good();
        }
        let derived = bitrate.map(|bits| format!("audio_{}", written(bits).replace('.', "_")));
        Some(Self {
            label: read_label(&section, derived, report),
            codec: codec.or(AudioCodec::Aac),
            bitrate,
            sample_rate: read_sample_rate(&section, report),
            channels,
            section,
        })
    }

    /// The rendition, if nothing was wrong with it.
    pub(super) fn finish(self) -> Option<AudioOutput> {
        Some(AudioOutput {
            label: self.label.text()?,
            codec: self.codec?,
            bitrate: self.bitrate?,
            sample_rate: self.sample_rate?,
            channels: self.channels?,
        })
    }
}

fn read_size(
    section: &Section<'_>,
    codec: Option<VideoCodec>,
    report: &mut Report,
) -> Option<(u32, u32)> {
    let least = codec.unwrap_or(VideoCodec::H264).min_size();
    let mut side = |key, most| {
        let read = section.integer(key, least..=most, " pixels", report);
        let pixels = section.require(key, read, report)?;
        if pixels % 2 == 1 {
            return section
                .fault(key, report, "must be even: colour has half the resolution")
                .good();
        }
        Some(pixels)
    };
    let (width, height) = (side("Width", MAX_WIDTH), side("Height", MAX_HEIGHT));
    Some((width?, height?))
}

/// 0 and absent are the input's own rate.
fn read_framerate(section: &Section<'_>, report: &mut Report) -> Option<Option<f64>> {
    const KEY: &str = "Framerate";
    let Some(framerate) = section.number(KEY, report).optional()? else {
        return Some(None);
    };
    if framerate == 0.0 {
        return Some(None);
    }
    if !FRAMERATE.contains(&framerate) {
        let detail = "must be from 1 to 60 frames per second, or 0 for the input's own";
        return section.fault(KEY, report, detail).good();
    }
    if ((framerate * 1000.0).round() - framerate * 1000.0).abs() > 1e-6 {
        let detail = "must have at most three decimals, as 29.97 or 23.976";
        return section.fault(KEY, report, detail).good();
    }
    Some(Some(framerate))
}

/// Mean bitrate, maximum and buffer. Defaults are those of a live encoder
/// whose peaks are to stay within what a playlist declares (Apple's HLS
/// authoring specification, 1.29 and 1.30: within 10 %): 1.1 and 2 times.
fn read_rates(section: &Section<'_>, report: &mut Report) -> Option<Rates> {
    let read = section.bitrate("Bitrate", VIDEO_BITRATE, report);
    let bitrate = section.require("Bitrate", read, report);
    let max = section.bitrate("Max_bitrate", MAX_BITRATE, report);
    let buffer = section.bitrate("Buf_size", BUF_SIZE, report);
    let bitrate = bitrate?;
    let (max, buffer) = (max.or(bitrate / 10 * 11), buffer.or(bitrate * 2));
    if max.is_some_and(|max| max < bitrate) {
        let detail = format!("must not be less than the bitrate, {}", written(bitrate));
        section.fault::<()>("Max_bitrate", report, detail);
    }
    Some(Rates {
        mean: bitrate,
        max: max?,
        buffer: buffer?,
    })
}

/// The rates, where the encoder takes them. SVT-AV1 doesn't start with a
/// maximum that is too high for it, or a buffer that is too short or too long.
/// It has a maximum only beside a quality, and FFmpeg tells it the buffer's
/// length at the rate that it has.
fn suit_encoder(
    section: &Section<'_>,
    mut rates: Rates,
    codec: VideoCodec,
    crf: Option<u32>,
    report: &mut Report,
) -> Option<Rates> {
    if codec != VideoCodec::Av1 {
        return Some(rates);
    }
    let mut rate = rates.mean;
    if crf.is_some() {
        if section.value("Max_bitrate").is_none() {
            rates.max = rates.max.min(SVT_AV1_MAX_BITRATE);
        }
        if rates.max > SVT_AV1_MAX_BITRATE {
            let most = written(SVT_AV1_MAX_BITRATE);
            let detail = format!("must be at most {most} for this encoder with Crf");
            return section.fault("Max_bitrate", report, detail).good();
        }
        rate = rates.max;
    }
    // Truncated, as FFmpeg does.
    let millis = u64::from(rates.buffer) * 1000 / u64::from(rate);
    if !u32::try_from(millis).is_ok_and(|millis| SVT_AV1_BUFFER.contains(&millis)) {
        let detail = format!(
            "must be from {} to {} seconds of {} for this encoder, not {}",
            f64::from(*SVT_AV1_BUFFER.start()) / 1000.0,
            f64::from(*SVT_AV1_BUFFER.end()) / 1000.0,
            written(rate),
            written(rates.buffer)
        );
        return section.fault("Buf_size", report, detail).good();
    }
    Some(rates)
}

/// By name, for SVT-AV1 also as a number.
fn read_preset(section: &Section<'_>, codec: VideoCodec, report: &mut Report) -> Option<String> {
    const KEY: &str = "Preset";
    let written = match section.value(KEY) {
        Some(Node::Number(number)) if codec == VideoCodec::Av1 => number.to_string(),
        _ => match section.text(KEY, MAX_WORD, report).optional()? {
            Some(text) => text.to_ascii_lowercase(),
            None => codec.default_preset().to_owned(),
        },
    };
    if codec.presets().contains(&written.as_str()) {
        return Some(written);
    }
    let detail = format!(
        "must be a preset of {}: {}; not {}",
        codec.encoder(),
        one_of(codec.presets()),
        shown(&written)
    );
    section.fault(KEY, report, detail).good()
}

fn read_sample_rate(section: &Section<'_>, report: &mut Report) -> Option<u32> {
    const KEY: &str = "Sample_rate";
    let rate = section.number(KEY, report).optional()?;
    match rate {
        None => Some(DEFAULT_SAMPLE_RATE),
        Some(48_000.0) => Some(48_000),
        Some(44_100.0) => Some(44_100),
        Some(_) => section
            .fault(KEY, report, "must be 48000 or 44100 Hz")
            .good(),
    }
}

fn read_label(section: &Section<'_>, derived: Option<String>, report: &mut Report) -> Label {
    const KEY: &str = "Label";
    let text = match section.text(KEY, 64, report) {
        Read::Bad => return Label::Bad,
        Read::Absent => return derived.map_or(Label::Bad, Label::Derived),
        Read::Good(text) => text,
    };
    let is_word = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let fault = if text.is_empty() || !is_word || text.starts_with('-') {
        "must be letters, digits, '_' and '-', not beginning with '-'".to_owned()
    } else if is_reserved(text) {
        format!(
            "must not be {}: those files exist beside it",
            one_of(&RESERVED_LABELS)
        )
    } else {
        return Label::Written(text.to_owned());
    };
    section.fault::<()>(KEY, report, fault);
    Label::Bad
}
