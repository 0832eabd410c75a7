//! What each encoder offers: presets, quality, sizes.

use std::ops::RangeInclusive;

use super::VideoCodec;

/// x264's and x265's presets, fastest first.
const X26X: [&str; 10] = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];
/// SVT-AV1's presets, fastest first.
const SVT_AV1: [&str; 14] = [
    "13", "12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0",
];

/// CPU-seconds per million pixels, in the order of the presets. Measured on
/// one x86-64 machine with 640x360 at 25 frames per second, noisy; from `slow`
/// (x265) and 4 (SVT-AV1) on extrapolated.
const X264_COST: [f64; 10] = [
    0.003, 0.008, 0.013, 0.019, 0.025, 0.035, 0.058, 0.10, 0.19, 0.5,
];
const X265_COST: [f64; 10] = [0.019, 0.027, 0.037, 0.038, 0.05, 0.057, 0.14, 0.4, 0.7, 1.4];
const SVT_AV1_COST: [f64; 14] = [
    0.021, 0.021, 0.032, 0.044, 0.061, 0.083, 0.13, 0.19, 0.34, 0.5, 1.0, 2.0, 4.0, 8.0,
];

impl VideoCodec {
    /// The encoder's presets by its own names, fastest first.
    pub fn presets(self) -> &'static [&'static str] {
        match self {
            Self::H264 | Self::H265 => &X26X,
            Self::Av1 => &SVT_AV1,
        }
    }

    /// The preset where a request names none: what one thread or two can do
    /// live at the sizes of a usual ladder.
    pub(super) fn default_preset(self) -> &'static str {
        match self {
            Self::H264 => "faster",
            Self::H265 => "superfast",
            Self::Av1 => "10",
        }
    }

    /// The slowest preset that a live encoder is usually run with.
    pub(super) fn slowest_live_preset(self) -> &'static str {
        match self {
            Self::H264 => "medium",
            Self::H265 => "veryfast",
            Self::Av1 => "8",
        }
    }

    /// CPU-seconds that the encoder takes for a million pixels.
    pub(super) fn cost(self, preset: &str) -> f64 {
        let costs: &[f64] = match self {
            Self::H264 => &X264_COST,
            Self::H265 => &X265_COST,
            Self::Av1 => &SVT_AV1_COST,
        };
        let slowness = self.presets().iter().position(|name| *name == preset);
        slowness.map_or(1.0, |index| costs[index])
    }

    /// Constant quality, best first. 0 is left out: x264 takes it for lossless,
    /// which the High profile doesn't have, and FFmpeg's SVT-AV1 for "unset".
    pub(super) fn crf_range(self) -> RangeInclusive<u32> {
        match self {
            Self::H264 | Self::H265 => 1..=51,
            Self::Av1 => 1..=63,
        }
    }

    /// The smallest width and height, pixels. SVT-AV1 refuses less than 64.
    pub(super) fn min_size(self) -> u32 {
        match self {
            Self::H264 | Self::H265 => 32,
            Self::Av1 => 64,
        }
    }

    /// The encoder's name in FFmpeg.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::H265 => "libx265",
            Self::Av1 => "libsvtav1",
        }
    }
}
