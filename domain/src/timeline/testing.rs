//! Channels for the tests of this module.

use jiff::{SignedDuration, Timestamp};

use super::*;

/// Two pictures and a sound, 4 s segments, a DVR window of 12 s.
pub fn ladder() -> Vec<Rendition> {
    let picture = |label: &str, width, height, peak, codec: &str| Rendition {
        label: label.to_owned(),
        codec: codec.to_owned(),
        timescale: 12_800,
        bandwidth: Bandwidth {
            peak,
            average: peak - 150_000,
        },
        media: Media::Video {
            width,
            height,
            framerate: 25.0,
        },
    };
    vec![
        picture("360p", 640, 360, 500_000, "avc1.64001e"),
        picture("432p", 768, 432, 750_000, "avc1.64001e"),
        sound("audio"),
    ]
}

pub fn sound(label: &str) -> Rendition {
    Rendition {
        label: label.to_owned(),
        codec: "mp4a.40.2".to_owned(),
        timescale: 48_000,
        bandwidth: Bandwidth {
            peak: 128_000,
            average: 128_000,
        },
        media: Media::Audio {
            sample_rate: 48_000,
            channels: 2,
        },
    }
}

/// So many seconds after the tests' midnight.
pub fn at(seconds: i64) -> Timestamp {
    "2026-11-22T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub fn fresh() -> Timeline {
    let job = JobId::parse("0193f5a0-0000-7000-8000-000000000001").unwrap();
    Timeline::new(
        job,
        1,
        Presentation {
            target_duration: 4,
            dvr_window: 12,
        },
        at(0),
    )
}

pub fn begin(
    timeline: &mut Timeline,
    number: u32,
    start: i64,
    renditions: Vec<Rendition>,
) -> RunId {
    timeline
        .begin_run(
            NewRun {
                number,
                start: at(start),
                renditions,
            },
            at(start),
        )
        .unwrap()
}

/// The spans of the nth segment of 4 s: whole pictures, and a sound that is a
/// frame of 1,024 samples longer in every fourth segment.
pub fn spans(renditions: &[Rendition], n: u64) -> Vec<Span> {
    let of = |rendition: &Rendition| {
        let frames = |n: u64| (n * 4 * 48_000).div_ceil(1024) * 1024;
        if rendition.is_video() {
            Span {
                start: n * 51_200,
                duration: 51_200,
                bytes: 200_000,
            }
        } else {
            Span {
                start: frames(n),
                duration: frames(n + 1) - frames(n),
                bytes: 62_000,
            }
        }
    };
    renditions.iter().map(of).collect()
}

/// Appends segments `from..to` of the run.
pub fn fill(timeline: &mut Timeline, run: RunId, segments: std::ops::Range<u64>) {
    for n in segments {
        let found = timeline.run(run).unwrap();
        let now = found.at((n + 1) * 4_000_000);
        let spans = spans(&found.renditions.clone(), n);
        timeline.append(run, spans, now).unwrap();
        timeline.playlists_written(now);
    }
}
