//! Groups the fragments of a run into segments across its tracks.
//!
//! FFmpeg flushes all tracks together whenever the first video track comes to
//! a key frame (or a part is full), and writes their fragments in the order of
//! the tracks. So the fragments up to the next one of the leading track form a
//! *round*, and segments consist of whole rounds: that keeps the tracks aligned
//! without looking at the audio's own frame boundaries.
//!
//! A segment is given away as soon as its last round is complete, one GOP
//! before the key frame that proves it ended: a player would wait for nothing
//! otherwise. [`Cadence`] says where key frames are due; the next round then
//! has to start with one.

mod lane;

use std::time::Duration;

use crate::mp4::Fragment;
use crate::segment::{CutSegment, Media, TrackInit};
use lane::Lane;

/// Where the plan has put key frames and cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The nominal length of a segment. Cuts fall on the key frames nearest to
    /// its multiples since the run's start, so lengths don't drift.
    pub segment: Duration,
    /// From key frame to key frame; divides `segment`.
    pub gop: Duration,
    /// Fragments are parts of GOPs (low latency) rather than whole GOPs.
    pub parts: bool,
}

impl Cadence {
    /// `EXT-X-TARGETDURATION` in seconds, as the playlists have it: no
    /// segment's length, rounded, is longer.
    pub fn target_duration(&self) -> u64 {
        domain::timeline::target_duration(self.segment).into()
    }
}

/// Why fragments cannot become segments. The run should end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SegmentError {
    /// A fragment of a track that the run doesn't have.
    #[error("track {0} is not one of the run's")]
    UnknownTrack(usize),
    /// A segment would not begin with a key frame.
    #[error("track {track}: no key frame where a segment begins, at {at_seconds:.3} s")]
    NoKeyFrame {
        /// Index of the track.
        track: usize,
        /// Decode time of the fragment.
        at_seconds: f64,
    },
    /// No key frame came in time to keep to `EXT-X-TARGETDURATION`.
    #[error("a segment of {seconds:.3} s breaks the target duration of {target} s")]
    TooLong {
        /// The length it would have.
        seconds: f64,
        /// The target duration.
        target: u64,
    },
    /// A track gave nothing for a whole segment.
    #[error("track {track} gave no media for a segment")]
    Starved {
        /// Index of the track.
        track: usize,
    },
    /// A track's time didn't advance from one fragment to the next.
    #[error("track {track}: time went back from {from_seconds:.3} s to {to_seconds:.3} s")]
    TimeWentBack {
        /// Index of the track.
        track: usize,
        /// Decode time of the last fragment.
        from_seconds: f64,
        /// Decode time of this one.
        to_seconds: f64,
    },
}

/// The state of one run.
#[derive(Debug)]
pub struct Segmenter {
    cadence: Cadence,
    lanes: Vec<Lane>,
    /// The track whose key frames cut: the first video, else the first audio.
    lead: usize,
    /// Decode time of the run's first fragment, ticks of the lead.
    origin: Option<u64>,
    /// Where the lead's current GOP began, ticks.
    last_sync: u64,
    /// The multiple of the segment length that ends the current segment.
    next_cut: u64,
}

impl Segmenter {
    /// A segmenter for a run with these tracks, at least one.
    pub fn new(cadence: Cadence, tracks: &[TrackInit]) -> Self {
        Self {
            cadence,
            lanes: tracks
                .iter()
                .map(|track| Lane::new(track.media, track.timescale))
                .collect(),
            lead: tracks
                .iter()
                .position(|track| track.media == Media::Video)
                .unwrap_or(0),
            origin: None,
            last_sync: 0,
            next_cut: 1,
        }
    }

    /// Takes the next fragment in FFmpeg's order; gives the segments that are
    /// complete with it, rarely more than one.
    pub fn push(&mut self, fragment: Fragment) -> Result<Vec<CutSegment>, SegmentError> {
        let track = fragment.track;
        let lane = self
            .lanes
            .get(track)
            .ok_or(SegmentError::UnknownTrack(track))?;
        if let Some(from) = lane.last_start
            && fragment.start <= from
        {
            return Err(SegmentError::TimeWentBack {
                track,
                from_seconds: lane.seconds(from),
                to_seconds: lane.seconds(fragment.start),
            });
        }
        let mut segments = Vec::new();
        if track == self.lead {
            segments.extend(self.begin_round(&fragment)?);
        }
        self.lanes[track].push(fragment);
        self.check_lengths(track)?;
        if self.lanes.iter().all(Lane::in_round) && self.cut_is_due() {
            segments.push(self.cut()?);
        }
        Ok(segments)
    }

    /// The end of the run: a last, shorter segment of the rounds that every
    /// track has completed.
    pub fn finish(mut self) -> Result<Option<CutSegment>, SegmentError> {
        if !self.lanes.iter().all(Lane::in_round) {
            self.lanes.iter_mut().for_each(Lane::drop_round);
        }
        if self.lanes.iter().any(Lane::is_empty) {
            return Ok(None);
        }
        self.cut().map(Some)
    }

    /// A fragment of the leading track: the round before it has ended, and
    /// with it the segment, if that was due and was not foreseen.
    fn begin_round(&mut self, fragment: &Fragment) -> Result<Option<CutSegment>, SegmentError> {
        if self.origin.is_none() {
            self.origin = Some(fragment.start);
        }
        let lead = &self.lanes[self.lead];
        let late = !lead.is_empty()
            && fragment.starts_with_sync
            && (self.reaches_cut(fragment.start)
                || self.too_long(
                    lead.start(),
                    fragment.start.saturating_add(fragment.duration),
                ));
        let segment = if late { Some(self.cut()?) } else { None };
        if fragment.starts_with_sync {
            self.last_sync = fragment.start;
        } else if self.lanes[self.lead].is_empty() {
            let at_seconds = self.lanes[self.lead].seconds(fragment.start);
            return Err(SegmentError::NoKeyFrame {
                track: self.lead,
                at_seconds,
            });
        }
        self.lanes.iter_mut().for_each(Lane::begin_round);
        Ok(segment)
    }

    /// Whether the complete round ends the segment: a GOP ends here, and no
    /// later GOP ends nearer to the nominal cut. Half a frame of the lead is
    /// the slack for parts that are cut to whole frames.
    fn cut_is_due(&self) -> bool {
        let lead = &self.lanes[self.lead];
        let end = lead.end();
        let gop_is_over = !self.cadence.parts
            || end
                .saturating_add(lead.frame() / 2)
                .saturating_sub(self.last_sync)
                >= lead.ticks(self.cadence.gop, 1);
        gop_is_over && self.reaches_cut(end)
    }

    /// Whether a GOP that ends here is the nearest to the nominal cut.
    fn reaches_cut(&self, end: u64) -> bool {
        let lead = &self.lanes[self.lead];
        let origin = self.origin.unwrap_or_default();
        end.saturating_add(lead.ticks(self.cadence.gop, 1) / 2)
            > origin.saturating_add(lead.ticks(self.cadence.segment, self.next_cut))
    }

    /// Whether `EXTINF`, rounded, would be over the target duration.
    fn too_long(&self, start: u64, end: u64) -> bool {
        let limit = Duration::from_millis(self.cadence.target_duration() * 1000 + 500);
        end.saturating_sub(start) >= self.lanes[self.lead].ticks(limit, 1)
    }

    /// Bounds what is kept: the lead by the target duration, the others by
    /// twice that, for a lead that has stopped.
    fn check_lengths(&self, track: usize) -> Result<(), SegmentError> {
        let lane = &self.lanes[track];
        let target = self.cadence.target_duration();
        if track == self.lead && self.too_long(lane.start(), lane.end()) {
            let seconds = lane.seconds(lane.end().saturating_sub(lane.start()));
            return Err(SegmentError::TooLong { seconds, target });
        }
        if lane.seconds(lane.end().saturating_sub(lane.start())) > 2.0 * target as f64 + 1.0 {
            return Err(SegmentError::Starved { track: self.lead });
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<CutSegment, SegmentError> {
        let lead = &self.lanes[self.lead];
        let gop = lead.ticks(self.cadence.gop, 1);
        let segment = lead.ticks(self.cadence.segment, 1).max(1);
        let passed = lead
            .end()
            .saturating_add(gop / 2)
            .saturating_sub(self.origin.unwrap_or_default());
        self.next_cut = passed / segment + 1;
        let lanes = self.lanes.iter_mut().enumerate();
        let tracks = lanes
            .map(|(track, lane)| lane.take(track))
            .collect::<Result<_, _>>()?;
        Ok(CutSegment { tracks })
    }
}

#[cfg(test)]
mod tests;
