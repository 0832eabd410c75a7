//! From a request body to a [`Spec`], or to every fault in it.

use serde::Deserialize;
use url::Url;

use super::address::OperatorPolicy;
use super::agree;
use super::fault::Faults;
use super::limits::{
    AUDIO_OUTPUTS, DEFAULT_DVR_WINDOW, DEFAULT_PART, DEFAULT_RECONNECT_WINDOW, DEFAULT_SEGMENT,
    DVR_WINDOW, FRAGMENT, IDLE_STOP_MINUTES, MAX_URL, MIN_SEGMENTS_IN_WINDOW, RECONNECT_WINDOW,
    SEGMENT, SHORTEST_DEFAULT_PART, VIDEO_OUTPUTS,
};
use super::node::Node;
use super::pull_url::PullUrl;
use super::push_url::PushUrl;
use super::rendition::{AudioDraft, VideoDraft};
use super::report::{Report, step};
use super::section::{Read, Section};
use super::{Input, Output, S3Output, Seconds, SegmentFormat, Source, Spec, StreamType};

/// A key of the same family that is known and refused.
pub(super) const REFUSED: &str = "Drm";

const BODY: &[&str] = &["Input", "Output", REFUSED];
const INPUT: &[&str] = &["Url", "Reconnect_window", "Idle_stop_minutes"];
const OUTPUT: &[&str] = &[
    "Stream_type",
    "Segment_format",
    "Segment_duration",
    "Fragment_duration",
    "Low_latency_mode",
    "Time_shift_buffer_depth",
    "S3_output",
    "Video_outputs",
    "Audio_outputs",
    REFUSED,
];
const S3_OUTPUT: &[&str] = &["Bucket"];

impl Spec {
    /// Reads a request body in the shape of live_job.json: keys in any case,
    /// bitrates as `"550k"`, `"2.5M"` or bit/s, 0 and 1 for booleans, null for
    /// "not given".
    ///
    /// # Errors
    /// Every fault of the body at once, or where it is not JSON the one place
    /// where it stops being JSON.
    pub fn parse(body: &[u8], policy: &OperatorPolicy) -> Result<Self, Faults> {
        match serde_json::from_slice::<Node>(body) {
            Ok(node) => read(&node, policy),
            Err(error) => {
                let mut report = Report::default();
                report.fault("", format!("is not valid JSON: {error}"));
                report.finish(None)
            }
        }
    }

    /// The same for a body that has been parsed as JSON already; of two keys
    /// in the very same spelling only one is left in it.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn from_value(value: &serde_json::Value, policy: &OperatorPolicy) -> Result<Self, Faults> {
        match Node::deserialize(value) {
            Ok(node) => read(&node, policy),
            Err(error) => {
                let mut report = Report::default();
                report.fault("", format!("cannot be read: {error}"));
                report.finish(None)
            }
        }
    }
}

/// Reads back a spec that was judged when it was accepted: whatever the
/// operator's policy says today, a stored job stays readable. Never to be used
/// on what a client sends.
impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        read(&node, &OperatorPolicy::trusting()).map_err(serde::de::Error::custom)
    }
}

fn read(node: &Node, policy: &OperatorPolicy) -> Result<Spec, Faults> {
    let mut report = Report::default();
    let spec = read_spec(node, policy, &mut report);
    report.finish(spec)
}

fn read_spec(node: &Node, policy: &OperatorPolicy, report: &mut Report) -> Option<Spec> {
    let body = Section::open(node, String::new(), BODY, report)?;
    refuse_drm(&body, report);
    let input = match body.value("Input") {
        Some(node) => Section::open(node, body.pointer("Input"), INPUT, report),
        None => Some(Section::empty(body.pointer("Input"), INPUT)),
    };
    let input = input.and_then(|section| read_input(&section, policy, report));
    let output = match body.value("Output") {
        Some(node) => Section::open(node, body.pointer("Output"), OUTPUT, report),
        None => {
            body.fault::<()>("Output", report, "is missing");
            None
        }
    };
    let output = output.and_then(|section| read_output(&section, policy, report));
    Some(Spec {
        input: input?,
        output: output?,
    })
}

fn refuse_drm(section: &Section<'_>, report: &mut Report) {
    if section.value(REFUSED).is_some() {
        section.fault::<()>(
            REFUSED,
            report,
            "is not possible: encryption is not offered",
        );
    }
}

fn read_input(
    section: &Section<'_>,
    policy: &OperatorPolicy,
    report: &mut Report,
) -> Option<Input> {
    let source = read_source(section, policy, report);
    let reconnect_window =
        section.integer("Reconnect_window", RECONNECT_WINDOW, " seconds", report);
    let idle_stop_minutes =
        section.integer("Idle_stop_minutes", IDLE_STOP_MINUTES, " minutes", report);
    Some(Input {
        source: source?,
        reconnect_window: reconnect_window.or(DEFAULT_RECONNECT_WINDOW)?,
        idle_stop_minutes: idle_stop_minutes.or(0)?,
    })
}

/// No URL, or plain RTMP to loopback or 0.0.0.0, is a push; all else a pull.
fn read_source(
    section: &Section<'_>,
    policy: &OperatorPolicy,
    report: &mut Report,
) -> Option<Source> {
    let push = Source::Push {
        url: PushUrl::default(),
    };
    let text = match section.text("Url", MAX_URL, report) {
        Read::Absent | Read::Good("") => return Some(push),
        Read::Bad => return None,
        Read::Good(text) => text,
    };
    let source = match Url::parse(text) {
        Ok(url) if PushUrl::is_meant_by(&url) && !text.contains(char::is_whitespace) => {
            PushUrl::from_url(&url).map(|url| Source::Push { url })
        }
        _ => PullUrl::parse(text, policy).map(|url| Source::Pull { url }),
    };
    match source {
        Ok(source) => Some(source),
        Err(detail) => section.fault("Url", report, detail).good(),
    }
}

fn read_output(
    section: &Section<'_>,
    policy: &OperatorPolicy,
    report: &mut Report,
) -> Option<Output> {
    refuse_drm(section, report);
    let stream_types = [
        ("hls", StreamType::Hls),
        ("dash", StreamType::Dash),
        ("both", StreamType::Both),
    ];
    let stream_type = section.choice("Stream_type", &stream_types, report);
    let segment_format = section.choice("Segment_format", &[("fmp4", SegmentFormat::Fmp4)], report);
    let segment = section
        .seconds("Segment_duration", SEGMENT, report)
        .or(Seconds {
            millis: DEFAULT_SEGMENT,
        });
    let low_latency = section.flag("Low_latency_mode", report).or(false);
    let window = read_window(section, segment, report);
    let bucket = read_bucket(section, policy, report);
    let mut videos = read_videos(section, report);
    let mut audios = read_audios(section, report);
    agree::settle_labels(&mut videos, &mut audios, report);
    let gop = agree::settle_gop(&videos, segment, report);
    let fragment = read_fragment(section, segment, gop, low_latency, report);
    // A job that was accepted stays readable.
    if let (Some(gop), Some(fragment), false) = (gop, fragment, policy.is_trusting()) {
        for video in &videos {
            video.check_fragments(fragment.min(gop), report);
        }
    }

    let video_outputs: Option<Vec<_>> = videos.into_iter().map(|v| v.finish(gop?)).collect();
    let audio_outputs: Option<Vec<_>> = audios.into_iter().map(AudioDraft::finish).collect();
    Some(Output {
        stream_type: stream_type.or(StreamType::Both)?,
        segment_format: segment_format.or(SegmentFormat::Fmp4)?,
        segment_duration: segment?,
        fragment_duration: fragment?,
        low_latency_mode: low_latency?,
        time_shift_buffer_depth: window?,
        s3_output: bucket?.map(|bucket| S3Output { bucket }),
        video_outputs: video_outputs?,
        audio_outputs: audio_outputs?,
    })
}

fn read_window(
    section: &Section<'_>,
    segment: Option<Seconds>,
    report: &mut Report,
) -> Option<u32> {
    const KEY: &str = "Time_shift_buffer_depth";
    let window = section
        .integer(KEY, DVR_WINDOW, " seconds", report)
        .or(DEFAULT_DVR_WINDOW)?;
    let least = (segment?.millis * MIN_SEGMENTS_IN_WINDOW).div_ceil(1000);
    if window < least {
        let detail = format!(
            "must be at least {least} seconds: players need {MIN_SEGMENTS_IN_WINDOW} segments"
        );
        return section.fault(KEY, report, detail).good();
    }
    Some(window)
}

/// Fragments are GOPs, or where they are shorter (low latency) parts of them.
fn read_fragment(
    section: &Section<'_>,
    segment: Option<Seconds>,
    gop: Option<Seconds>,
    low_latency: Option<bool>,
    report: &mut Report,
) -> Option<Seconds> {
    const KEY: &str = "Fragment_duration";
    match section.seconds(KEY, FRAGMENT, report) {
        Read::Bad => None,
        Read::Good(fragment) => {
            let segment = segment?;
            if !segment.millis.is_multiple_of(fragment.millis) {
                let detail = format!(
                    "must divide the segment's {} seconds without remainder",
                    segment.as_f64()
                );
                return section.fault(KEY, report, detail).good();
            }
            Some(fragment)
        }
        Read::Absent if low_latency? => {
            let gop = gop?;
            let part = (SHORTEST_DEFAULT_PART..=DEFAULT_PART)
                .rev()
                .find(|millis| gop.millis.is_multiple_of(*millis));
            Some(part.map_or(gop, |millis| Seconds { millis }))
        }
        Read::Absent => gop,
    }
}

fn read_bucket(
    section: &Section<'_>,
    policy: &OperatorPolicy,
    report: &mut Report,
) -> Option<Option<String>> {
    let Some(node) = section.value("S3_output") else {
        return Some(None);
    };
    let s3 = Section::open(node, section.pointer("S3_output"), S3_OUTPUT, report)?;
    let Some(bucket) = s3.text("Bucket", 63, report).optional()? else {
        return Some(None);
    };
    if !is_bucket_name(bucket) {
        let detail = "is no bucket name: 3 to 63 lower-case letters, digits, '-' and '.', \
                      a letter or digit at both ends";
        return s3.fault("Bucket", report, detail).good();
    }
    if !policy.permits_bucket(bucket) {
        let detail = "is not one of the buckets that the operator of this service has listed; \
                      leave it out to use the default store";
        return s3.fault("Bucket", report, detail).good();
    }
    Some(Some(bucket.to_owned()))
}

/// S3's rules for general purpose buckets.
fn is_bucket_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let labels_are_plain = name.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| plain(b) || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    (3..=63).contains(&name.len())
        && labels_are_plain
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
        && !name.starts_with("sthree-")
        && !name.ends_with("-s3alias")
        && !name.ends_with("--ol-s3")
}

fn read_videos<'a>(section: &Section<'a>, report: &mut Report) -> Vec<VideoDraft<'a>> {
    const KEY: &str = "Video_outputs";
    let items = section.list(KEY, VIDEO_OUTPUTS, report);
    if matches!(items, Read::Absent | Read::Good([])) {
        section.fault::<()>(KEY, report, "must hold at least one rendition");
    }
    let at = section.pointer(KEY);
    let items = items.good().unwrap_or_default();
    items
        .iter()
        .enumerate()
        .filter_map(|(i, node)| VideoDraft::read(node, step(&at, &i.to_string()), report))
        .collect()
}

fn read_audios<'a>(section: &Section<'a>, report: &mut Report) -> Vec<AudioDraft<'a>> {
    const KEY: &str = "Audio_outputs";
    let at = section.pointer(KEY);
    let items = section.list(KEY, AUDIO_OUTPUTS, report).good();
    items
        .unwrap_or_default()
        .iter()
        .enumerate()
        .filter_map(|(i, node)| AudioDraft::read(node, step(&at, &i.to_string()), report))
        .collect()
}
