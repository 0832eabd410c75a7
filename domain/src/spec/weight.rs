//! How much machine a job needs.
//!
//! The weight is an estimate in CPU cores:
//!
//! ```text
//! decode:  0.11 for an input up to 1280x720 at 25 frames per second, and in
//!          proportion for more; the input is taken to be as large as the
//!          largest rendition
//! video:   width x height x frame rate / 10^6 x CPU-seconds per million
//!          pixels of the codec and preset (30 frames per second where the
//!          rate is the input's own)
//! audio:   0.01 for each rendition
//! ```
//!
//! Single threads of cloud machines are slower than the measured one, and
//! content is sometimes harder: a worker is filled to 70 % of its cores.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Spec, VideoOutput};

const DECODE: f64 = 0.11;
const DECODED_MEGAPIXELS: f64 = 1280.0 * 720.0 * 25.0 / 1e6;
const AUDIO: f64 = 0.01;
const ASSUMED_FRAMERATE: f64 = 30.0;
const FILL: f64 = 0.7;

/// The sizes workers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerSize {
    /// 1 core.
    Small,
    /// 4 cores.
    Medium,
    /// 16 cores.
    Large,
}

impl WorkerSize {
    /// All of them, smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// Its name in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The size of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.as_str() == text)
    }

    /// Its CPU cores.
    pub fn cores(self) -> f64 {
        match self {
            Self::Small => 1.0,
            Self::Medium => 4.0,
            Self::Large => 16.0,
        }
    }

    /// Whether a job of this weight, in cores, runs well on it.
    pub(super) fn carries(self, weight: f64) -> bool {
        weight <= self.cores() * FILL
    }
}

impl Spec {
    /// The estimated weight of the job in CPU cores.
    pub fn weight(&self) -> f64 {
        let videos = &self.output.video_outputs;
        let largest = videos.iter().map(megapixels).fold(0.0, f64::max);
        let decode = DECODE * (largest / DECODED_MEGAPIXELS).max(1.0);
        let video: f64 = videos.iter().map(VideoOutput::weight).sum();
        decode + video + AUDIO * self.output.audio_outputs.len() as f64
    }

    /// The smallest worker that carries the job, or the largest there is.
    pub fn worker_size(&self) -> WorkerSize {
        let weight = self.weight();
        WorkerSize::ALL
            .into_iter()
            .find(|size| size.carries(weight))
            .unwrap_or(WorkerSize::Large)
    }
}

impl VideoOutput {
    /// The estimated weight of its encoder in CPU cores.
    pub(super) fn weight(&self) -> f64 {
        megapixels(self) * self.codec.cost(&self.preset)
    }
}

/// Millions of pixels per second.
fn megapixels(video: &VideoOutput) -> f64 {
    let framerate = video.framerate.unwrap_or(ASSUMED_FRAMERATE);
    f64::from(video.width) * f64::from(video.height) * framerate / 1e6
}
