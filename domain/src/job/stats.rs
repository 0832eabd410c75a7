//! What a job is doing, in numbers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::input::{InputAudio, InputVideo};

/// The live numbers of one attempt, sent with its worker's beat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Frames encoded per second, over the last moments.
    pub fps: f64,
    /// Media seconds encoded per second: 1.0 is real time.
    pub speed: f64,
    /// What comes in; `None` without input.
    pub input: Option<InputStats>,
    /// When the newest segment was published.
    pub last_segment_at: Option<Timestamp>,
    /// What adds up over the attempt.
    pub totals: Totals,
}

/// What comes in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputStats {
    /// The picture; null where there is none.
    pub video: Option<InputVideo>,
    /// The sound; null where there is none.
    pub audio: Option<InputAudio>,
    /// kbit/s over the last seconds.
    pub bitrate_kbps: f64,
}

/// What adds up over attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames that the encoder dropped.
    pub dropped_frames: u64,
    /// Segments that were dropped because the store was away too long.
    #[serde(default)]
    pub dropped_segments: u64,
    /// Bytes of input.
    pub bytes_ingested: u64,
    /// Seconds with a worker.
    pub up_seconds: f64,
    /// Seconds with input in and segments out.
    pub active_seconds: f64,
    /// FFmpeg processes started.
    pub runs: u64,
}

impl std::ops::Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            dropped_frames: self.dropped_frames + other.dropped_frames,
            dropped_segments: self.dropped_segments + other.dropped_segments,
            bytes_ingested: self.bytes_ingested + other.bytes_ingested,
            up_seconds: self.up_seconds + other.up_seconds,
            active_seconds: self.active_seconds + other.active_seconds,
            runs: self.runs + other.runs,
        }
    }
}
