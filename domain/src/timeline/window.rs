//! The sliding window: segments come in, old ones leave, and what has left is
//! deleted when no player may want it any more.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Timeline;
use super::run::RunId;

/// A hole between two segments of a run that players bridge by themselves, µs.
const SMALL_GAP_US: u64 = 100_000;

/// One track of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct Span {
    /// Decode time of the first sample, in ticks since the run's start.
    pub start: u64,
    /// Length in ticks.
    pub duration: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl From<[u64; 3]> for Span {
    fn from([start, duration, bytes]: [u64; 3]) -> Self {
        Self {
            start,
            duration,
            bytes,
        }
    }
}

impl From<Span> for [u64; 3] {
    fn from(span: Span) -> Self {
        [span.start, span.duration, span.bytes]
    }
}

/// A segment of every rendition of its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Segment {
    #[serde(rename = "seq")]
    pub sequence: u64,
    pub run: RunId,
    /// `EXT-X-DISCONTINUITY` stands before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discontinuity: bool,
    /// In the order of the run's renditions.
    pub tracks: Vec<Span>,
}

/// Objects that have left the playlists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Their run.
    pub run: RunId,
    /// Which they are.
    pub object: RetiredObject,
    /// How long they must stay after they left: the segment's duration plus
    /// that of the longest playlist that named it (RFC 8216bis section
    /// 6.2.2), in µs.
    pub keep_us: u64,
    /// When every playlist was known to name them no more; `None` as long as
    /// one may.
    pub left: Option<Timestamp>,
}

/// What has left the playlists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetiredObject {
    /// The segment of this number, of all renditions.
    Segment(u64),
    /// The init segments of the run.
    Inits,
}

/// Why a segment can't be appended. The caller leaves it out and counts it;
/// the next one follows behind a discontinuity by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The playlists end; the channel must be reopened first.
    #[error("the channel has ended")]
    Ended,
    /// The run isn't the open one.
    #[error("no such open run")]
    NoRun,
    /// Not one span per rendition of the run.
    #[error("a segment of {got} tracks in a run of {want}")]
    Tracks {
        /// How many there are.
        got: usize,
        /// How many the run has.
        want: usize,
    },
    /// A track has nothing in it.
    #[error("nothing in track {label}")]
    Empty {
        /// The rendition.
        label: String,
    },
    /// A track would begin before the end of its last segment.
    #[error("track {label} goes back in time")]
    Backwards {
        /// The rendition.
        label: String,
    },
    /// `EXTINF`, rounded, would exceed `EXT-X-TARGETDURATION`, which must not
    /// be and can't be changed (RFC 8216bis section 4.4.3.1).
    #[error("{label}: a segment of {duration_us} µs exceeds the target duration of {target} s")]
    TooLong {
        /// The rendition.
        label: String,
        /// Its length in µs.
        duration_us: u64,
        /// The target duration in seconds.
        target: u32,
    },
}

/// Ticks as µs.
pub(super) fn micros(ticks: u64, timescale: u32) -> u64 {
    let us = u128::from(ticks) * 1_000_000 / u128::from(timescale.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

impl Timeline {
    /// Appends a segment to the open run and slides the window; answers the
    /// segment's media sequence number. What leaves the window becomes a
    /// pending deletion. A hole in media time (segments that were left out)
    /// puts a discontinuity before it, as the start of a run does.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has changed then.
    pub fn append(
        &mut self,
        run: RunId,
        tracks: Vec<Span>,
        now: Timestamp,
    ) -> Result<u64, AppendError> {
        if self.ended {
            return Err(AppendError::Ended);
        }
        if self.open_run != Some(run) {
            return Err(AppendError::NoRun);
        }
        let hole = self.check_segment(run, &tracks)?;
        let starts_run = self.window.back().is_none_or(|last| last.run != run);
        let sequence = self.next_sequence;
        let discontinuity = sequence > 0 && (starts_run || hole);

        self.advance_run(run, &tracks);
        self.window.push_back(Segment {
            sequence,
            run,
            discontinuity,
            tracks,
        });
        self.next_sequence += 1;
        self.slide();
        let playlist_us = self
            .window
            .iter()
            .map(|segment| self.longest_us(segment))
            .sum();
        self.longest_playlist_us = self.longest_playlist_us.max(playlist_us);
        self.touch(now);
        Ok(sequence)
    }

    /// Whether the segment leaves a hole after the last one of its run.
    fn check_segment(&self, id: RunId, tracks: &[Span]) -> Result<bool, AppendError> {
        let run = self.run(id).ok_or(AppendError::NoRun)?;
        if tracks.len() != run.renditions.len() {
            return Err(AppendError::Tracks {
                got: tracks.len(),
                want: run.renditions.len(),
            });
        }
        let target = self.presentation.target_duration;
        let mut hole = false;
        for ((rendition, end), span) in run.renditions.iter().zip(&run.ends).zip(tracks) {
            let label = || rendition.label.clone();
            if span.duration == 0 || span.bytes == 0 {
                return Err(AppendError::Empty { label: label() });
            }
            if span.start < *end {
                return Err(AppendError::Backwards { label: label() });
            }
            let duration_us = micros(span.duration, rendition.timescale);
            if duration_us >= u64::from(target) * 1_000_000 + 500_000 {
                return Err(AppendError::TooLong {
                    label: label(),
                    duration_us,
                    target,
                });
            }
            hole |= *end > 0 && micros(span.start - end, rendition.timescale) > SMALL_GAP_US;
        }
        Ok(hole)
    }

    /// Moves the run's end, and raises its declared peak bit rates where the
    /// segment exceeds them, with a tenth to spare, so that the multivariant
    /// playlist doesn't change with every segment. Segments of less than half
    /// the target duration don't count (RFC 8216bis section 4.1).
    fn advance_run(&mut self, id: RunId, tracks: &[Span]) {
        let half_target_us = u64::from(self.presentation.target_duration) * 500_000;
        let Some(run) = self.runs.iter_mut().find(|run| run.id == id) else {
            return;
        };
        for ((rendition, end), span) in run.renditions.iter_mut().zip(&mut run.ends).zip(tracks) {
            *end = span.start.saturating_add(span.duration);
            let duration_us = micros(span.duration, rendition.timescale);
            if duration_us >= half_target_us {
                let measured = span.bytes.saturating_mul(8_000_000) / duration_us.max(1);
                if measured > rendition.bandwidth.peak {
                    rendition.bandwidth.peak = measured.saturating_add(measured / 10);
                }
            }
        }
    }

    /// Lets segments go that the DVR window no longer reaches, and never so
    /// many that less than three target durations are left (section 6.2.2).
    fn slide(&mut self) {
        let target_us = u64::from(self.presentation.target_duration) * 1_000_000;
        let dvr_us = u64::from(self.presentation.dvr_window) * 1_000_000;
        let keep_us = dvr_us.max(3 * target_us);
        let mut total_us = self.window_us();
        while let Some(first) = self.window.front() {
            let left_us = total_us - self.shortest_us(first);
            if left_us < keep_us {
                break;
            }
            total_us = left_us;
            self.retire_first();
        }
    }

    /// Takes the first segment out of the window; with the last segment of a
    /// closed run its init segments go too.
    pub(super) fn retire_first(&mut self) {
        let Some(gone) = self.window.pop_front() else {
            return;
        };
        self.discontinuity_sequence += u64::from(gone.discontinuity);
        let keep_us = self
            .longest_us(&gone)
            .saturating_add(self.longest_playlist_us);
        let run = gone.run;
        self.retired.push(Retired {
            run,
            object: RetiredObject::Segment(gone.sequence),
            keep_us,
            left: None,
        });
        let lives = self.open_run == Some(run) || self.window.iter().any(|s| s.run == run);
        if !lives {
            self.retired.push(Retired {
                run,
                object: RetiredObject::Inits,
                keep_us,
                left: None,
            });
        }
    }

    /// All playlists of this version have been written: what has left the
    /// window is named no more from now on.
    pub fn playlists_written(&mut self, now: Timestamp) {
        for gone in &mut self.retired {
            gone.left.get_or_insert(now);
        }
    }

    /// The pending deletions that may be carried out now.
    pub fn due(&self, now: Timestamp) -> Vec<Retired> {
        let is_due = |gone: &&Retired| {
            gone.left.is_some_and(|left| {
                let kept = now.duration_since(left);
                kept >= SignedDuration::from_micros(i64::try_from(gone.keep_us).unwrap_or(i64::MAX))
            })
        };
        self.retired.iter().filter(is_due).cloned().collect()
    }

    /// Strikes out deletions that have been carried out, and runs of which
    /// nothing is left.
    pub fn deleted(&mut self, done: &[Retired], now: Timestamp) {
        self.retired.retain(|gone| !done.contains(gone));
        let Self {
            runs,
            window,
            retired,
            open_run,
            ..
        } = self;
        let newest = runs.last().map(|run| run.id);
        runs.retain(|run| {
            // The newest one stays: its number and end bind the next.
            *open_run == Some(run.id)
                || newest == Some(run.id)
                || window.iter().any(|segment| segment.run == run.id)
                || retired.iter().any(|gone| gone.run == run.id)
        });
        self.touch(now);
    }

    /// The length of the window by its shortest tracks, µs.
    fn window_us(&self) -> u64 {
        self.window
            .iter()
            .map(|segment| self.shortest_us(segment))
            .sum()
    }

    fn shortest_us(&self, segment: &Segment) -> u64 {
        self.track_lengths_us(segment).min().unwrap_or(0)
    }

    pub(super) fn longest_us(&self, segment: &Segment) -> u64 {
        self.track_lengths_us(segment).max().unwrap_or(0)
    }

    fn track_lengths_us(&self, segment: &Segment) -> impl Iterator<Item = u64> {
        let renditions = self
            .run(segment.run)
            .map(|run| run.renditions.as_slice())
            .unwrap_or(&[]);
        renditions
            .iter()
            .zip(&segment.tracks)
            .map(|(r, span)| micros(span.duration, r.timescale))
    }
}
