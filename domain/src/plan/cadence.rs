//! Frame rates and GOPs: a whole number of frames, the same length everywhere.

use crate::input::InputInfo;
use crate::spec::{FrameRate, Length, Seconds, Spec};

/// Where neither spec nor input says.
const USUAL_FRAMERATE: f64 = 30.0;

/// The rhythm of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cadence {
    /// From key frame to key frame.
    pub(super) gop: Length,
    /// One for each video rendition, in their order.
    pub(super) videos: Vec<Pace>,
}

/// The rhythm of one rendition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Frames per second.
    pub(super) rate: FrameRate,
    /// Frames of a GOP.
    pub(super) frames: u32,
}

impl Cadence {
    /// Renditions that name a rate have it (their GOPs were found to be of one
    /// length when the spec was read). The others have the input's, and beside
    /// renditions that name one the nearest to it with the same GOP.
    pub(super) fn of(spec: &Spec, input: &InputInfo) -> Self {
        let videos = &spec.output.video_outputs;
        let fps = input.video.as_ref().and_then(|video| video.fps);
        let own = FrameRate::from_f64(fps.unwrap_or(USUAL_FRAMERATE));
        let named = videos.iter().find_map(|video| {
            let rate = FrameRate::from_f64(video.framerate?);
            Some((rate, video.gop_size))
        });
        let asked = videos
            .first()
            .map_or(spec.output.segment_duration, |video| video.gop_size);
        let (rate, asked): (FrameRate, Seconds) = named.unwrap_or((own, asked));
        let gop = rate.length_of(rate.frames_in(asked));
        let videos = videos
            .iter()
            .map(|video| {
                let rate = video.framerate.map_or(own, FrameRate::from_f64);
                let (rate, frames) = gop.nearest_rate(rate);
                Pace { rate, frames }
            })
            .collect();
        Self { gop, videos }
    }

    /// The rate of all renditions, where they have one.
    pub(super) fn common_rate(&self) -> Option<FrameRate> {
        let first = self.videos.first()?.rate;
        let alike = self.videos.iter().all(|pace| pace.rate == first);
        alike.then_some(first)
    }

    /// The highest rate of all.
    pub(super) fn highest_rate(&self) -> FrameRate {
        let rates = self.videos.iter().map(|pace| pace.rate);
        rates
            .max_by(|a, b| a.as_f64().total_cmp(&b.as_f64()))
            .unwrap_or(FrameRate { num: 30, den: 1 })
    }
}
