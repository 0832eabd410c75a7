//! What an input carries, as sniffed from its first data.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The tracks found in an input. At least one of the two is there once an
/// input has been sniffed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputInfo {
    /// The picture; `None` where the input has none.
    pub video: Option<InputVideo>,
    /// The sound; `None` where the input has none.
    pub audio: Option<InputAudio>,
}

/// The video track of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputVideo {
    /// The codec by FFmpeg's name, as `h264`.
    pub codec: String,
    /// Pixels; 0 where unknown.
    pub width: u32,
    /// Pixels; 0 where unknown.
    pub height: u32,
    /// Frames per second; `None` where the input doesn't say.
    pub fps: Option<f64>,
}

/// The audio track of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InputAudio {
    /// The codec by FFmpeg's name, as `aac`.
    pub codec: String,
    /// Hertz; 0 where unknown.
    pub sample_rate: u32,
    /// The number of channels; 0 where unknown.
    pub channels: u32,
}
