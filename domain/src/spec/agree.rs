//! What renditions of one job must agree on: labels and key frames.

use super::Seconds;
use super::limits::{DEFAULT_GOP, GOP};
use super::rate::FrameRate;
use super::rendition::{AudioDraft, Label, VideoDraft};
use super::report::{Report, shown};
use super::section::{Read, Section};

/// Makes labels unique within the job, whatever their case: they are file
/// names. Derived ones give way.
pub(super) fn settle_labels(
    videos: &mut [VideoDraft<'_>],
    audios: &mut [AudioDraft<'_>],
    report: &mut Report,
) {
    let mut all: Vec<(&Section<'_>, &mut Label)> = videos
        .iter_mut()
        .map(|video| (&video.section, &mut video.label))
        .chain(
            audios
                .iter_mut()
                .map(|audio| (&audio.section, &mut audio.label)),
        )
        .collect();
    let mut taken: Vec<String> = Vec::new();
    for (section, label) in &mut all {
        let Label::Written(text) = &**label else {
            continue;
        };
        if taken.contains(&text.to_ascii_lowercase()) {
            let detail = format!("must be unique; {} is another rendition's", shown(text));
            section.fault::<()>("Label", report, detail);
        }
        taken.push(text.to_ascii_lowercase());
    }
    for (_, label) in &mut all {
        let Label::Derived(base) = &**label else {
            continue;
        };
        let mut text = base.clone();
        let mut number = 1;
        while taken.contains(&text.to_ascii_lowercase()) {
            number += 1;
            text = format!("{base}_{number}");
        }
        taken.push(text.to_ascii_lowercase());
        **label = Label::Derived(text);
    }
}

/// The GOP of all renditions: players can switch only where key frames are at
/// the same times. Those that name none take the others'.
pub(super) fn settle_gop(
    videos: &[VideoDraft<'_>],
    segment: Option<Seconds>,
    report: &mut Report,
) -> Option<Seconds> {
    const KEY: &str = "Gop_size";
    let segment = segment?;
    let rates: Vec<FrameRate> = videos
        .iter()
        .filter_map(|video| video.framerate.flatten().map(FrameRate::from_f64))
        .collect();
    let mut common: Option<Seconds> = None;
    let mut sound = true;
    for video in videos {
        let gop = match video.gop {
            Read::Good(gop) => gop,
            Read::Absent => continue,
            Read::Bad => {
                sound = false;
                continue;
            }
        };
        let fault = match common {
            Some(first) if first != gop => Some(format!(
                "must be {} seconds as in the first rendition: key frames of all renditions \
                 have to be at the same times",
                first.as_f64()
            )),
            Some(_) => None,
            None if !segment.millis.is_multiple_of(gop.millis) => Some(format!(
                "must divide the segment's {} seconds without remainder",
                segment.as_f64()
            )),
            None => None,
        };
        common = common.or(Some(gop));
        if let Some(detail) = fault {
            video.section.fault::<()>(KEY, report, detail);
            sound = false;
        }
    }
    let gop = common.unwrap_or_else(|| default_gop(segment, &rates));
    (sound && frames_agree(videos, gop, report)).then_some(gop)
}

/// 2 seconds, or the next shorter part of the segment that is a whole number
/// of frames, or else the whole segment.
fn default_gop(segment: Seconds, rates: &[FrameRate]) -> Seconds {
    let whole_frames = |millis: u32| {
        rates.iter().all(|rate| {
            let exact = f64::from(millis) / 1000.0 * rate.as_f64();
            (exact - exact.round()).abs() / exact < 0.002
        })
    };
    let parts = segment.millis.div_ceil(DEFAULT_GOP);
    (parts..=segment.millis / GOP.start())
        .filter(|parts| segment.millis.is_multiple_of(*parts))
        .map(|parts| segment.millis / parts)
        .find(|millis| whole_frames(*millis))
        .map_or(segment, |millis| Seconds { millis })
}

/// A GOP is a whole number of frames. It must come near the length asked for,
/// and be of exactly the same length at every frame rate.
fn frames_agree(videos: &[VideoDraft<'_>], gop: Seconds, report: &mut Report) -> bool {
    const TOLERANCE: f64 = 0.1;
    let mut first = None;
    let mut agree = true;
    for video in videos {
        let Some(rate) = video.framerate.flatten().map(FrameRate::from_f64) else {
            continue;
        };
        let length = rate.length_of(rate.frames_in(gop));
        let off = (length.as_f64() - gop.as_f64()).abs() / gop.as_f64();
        let fault = if off > TOLERANCE {
            Some(format!(
                "is no whole number of frames at {rate} frames per second: the nearest is {:.3} \
                 seconds",
                length.as_f64()
            ))
        } else {
            match *first.get_or_insert(length) {
                expected if expected != length => Some(format!(
                    "is {:.3} seconds at {rate} frames per second and {:.3} in the first \
                     rendition; choose one that is a whole number of frames at both, or rates \
                     of one family (25 and 50, 29.97 and 59.94)",
                    length.as_f64(),
                    expected.as_f64()
                )),
                _ => None,
            }
        };
        if let Some(detail) = fault {
            video.section.fault::<()>("Gop_size", report, detail);
            agree = false;
        }
    }
    agree
}
