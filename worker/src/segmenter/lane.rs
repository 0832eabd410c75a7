//! What one track has delivered for the segment under way.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::SegmentError;
use crate::mp4::Fragment;
use crate::segment::{Media, TrackSegment};

#[derive(Debug)]
pub(super) struct Lane {
    media: Media,
    timescale: u32,
    fragments: Vec<Fragment>,
    /// How many of `fragments` belong to the round under way.
    round: usize,
    /// Decode time of the last fragment, over all segments.
    pub(super) last_start: Option<u64>,
}

impl Lane {
    pub(super) fn new(media: Media, timescale: u32) -> Self {
        Self {
            media,
            timescale,
            fragments: Vec::new(),
            round: 0,
            last_start: None,
        }
    }

    pub(super) fn push(&mut self, fragment: Fragment) {
        self.last_start = Some(fragment.start);
        self.fragments.push(fragment);
        self.round += 1;
    }

    pub(super) fn begin_round(&mut self) {
        self.round = 0;
    }

    /// Whether the round under way has media of this track.
    pub(super) fn in_round(&self) -> bool {
        self.round > 0
    }

    pub(super) fn drop_round(&mut self) {
        self.fragments.truncate(self.fragments.len() - self.round);
        self.round = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// Decode time of the first sample, ticks; 0 while empty.
    pub(super) fn start(&self) -> u64 {
        self.fragments.first().map_or(0, |first| first.start)
    }

    /// Where the last sample ends, ticks; 0 while empty.
    pub(super) fn end(&self) -> u64 {
        self.fragments
            .last()
            .map_or(0, |last| last.start.saturating_add(last.duration))
    }

    /// The mean length of a frame of the last fragment, ticks; 0 while empty.
    pub(super) fn frame(&self) -> u64 {
        self.fragments
            .last()
            .map_or(0, |last| last.duration / u64::from(last.samples.max(1)))
    }

    /// `count` times a duration in ticks. One rounding, so that a long run
    /// does not drift.
    pub(super) fn ticks(&self, duration: Duration, count: u64) -> u64 {
        const NANOS: u128 = 1_000_000_000;
        let nanos = duration.as_nanos().saturating_mul(u128::from(count));
        let ticks = nanos.saturating_mul(u128::from(self.timescale)) / NANOS;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    pub(super) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / f64::from(self.timescale)
    }

    /// The segment of what is here.
    pub(super) fn take(&mut self, track: usize) -> Result<TrackSegment, SegmentError> {
        let first = self
            .fragments
            .first()
            .ok_or(SegmentError::Starved { track })?;
        if self.media == Media::Video && !first.starts_with_sync {
            let at_seconds = self.seconds(first.start);
            return Err(SegmentError::NoKeyFrame { track, at_seconds });
        }
        let start = self.start();
        let duration = self.end().saturating_sub(start);
        let data = concat(std::mem::take(&mut self.fragments));
        self.round = 0;
        Ok(TrackSegment {
            start,
            duration,
            data,
        })
    }
}

/// One fragment goes on uncopied, several are joined.
fn concat(fragments: Vec<Fragment>) -> Bytes {
    if let [only] = fragments.as_slice() {
        return only.data.clone();
    }
    let mut data = BytesMut::with_capacity(fragments.iter().map(|one| one.data.len()).sum());
    for fragment in fragments {
        data.extend_from_slice(&fragment.data);
    }
    data.freeze()
}
