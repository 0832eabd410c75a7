//! What a channel has published: runs, segments and their numbers.
//!
//! One [`Timeline`] per job is kept as `{job}/timeline.json` beside the
//! playlists, and is replaced by compare-and-swap only. Every playlist is a
//! pure function of it ([`Timeline::media_playlist`],
//! [`Timeline::multivariant_playlist`], [`Timeline::mpd`]), so whoever holds
//! it can write them again at any time, and a successor goes on where the
//! last attempt stopped.
//!
//! Operations change a timeline in memory only and take the time as an
//! argument; each that succeeds makes a new revision.

mod claim;
mod hls;
mod mpd;
mod paths;
mod run;
mod stamp;
mod window;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod testing;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::spec::Output;

pub use claim::{Claim, ClaimError};
pub use paths::{MPD, MULTIVARIANT, RESERVED_LABELS, TIMELINE, is_reserved, media_playlist_name};
pub use run::{Bandwidth, Media, NewRun, Rendition, RunError, RunId};
pub use stamp::Stamp;
pub use window::{AppendError, Retired, RetiredObject, Span};

use run::Run;
use window::Segment;

/// `EXT-X-TARGETDURATION`, in seconds, for segments of this nominal length:
/// rounded up, so that a segment that runs over by a frame still rounds to no
/// more (RFC 8216bis section 4.4.3.1).
pub fn target_duration(segment: Duration) -> u32 {
    let seconds = segment.as_millis().div_ceil(1000).max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// What a segment of one rendition takes in its playlist, the MPD and
/// `timeline.json` together, bytes, about. All of them are written again with
/// every segment.
pub const LISTED_BYTES: u64 = 150;

/// How a channel is presented; fixed while its playlists are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presentation {
    /// `EXT-X-TARGETDURATION`, in seconds (RFC 8216bis section 4.4.3.1).
    pub target_duration: u32,
    /// How far back a player may seek, in seconds.
    pub dvr_window: u32,
}

impl Presentation {
    /// What this output asks for.
    pub fn of(output: &Output) -> Self {
        Self {
            target_duration: target_duration(Duration::from_millis(
                output.segment_duration.millis.into(),
            )),
            dvr_window: output.time_shift_buffer_depth,
        }
    }
}

/// What a channel has published. See the module's page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    job: JobId,
    /// The fencing token: who may write.
    attempt: u64,
    /// Grows with every change, so that no two versions have the same body.
    revision: u64,
    updated_at: Timestamp,
    presentation: Presentation,
    /// The playlists end: `EXT-X-ENDLIST` is written.
    ended: bool,
    /// The channel's media were deleted: see [`Timeline::tombstone`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    /// The media sequence number of the next segment.
    next_sequence: u64,
    /// How many `EXT-X-DISCONTINUITY` tags have left the window.
    discontinuity_sequence: u64,
    /// DASH `availabilityStartTime`: the start of the first run ever.
    availability_start: Option<Timestamp>,
    /// The longest that any playlist was since it was last opened, µs.
    longest_playlist_us: u64,
    /// Every media playlist this job ever had, in the order of appearance.
    playlists: Vec<MediaPlaylist>,
    /// The run that segments are appended to.
    open_run: Option<RunId>,
    /// Every run that a segment below belongs to, and the open one.
    runs: Vec<Run>,
    /// The segments that the playlists name.
    window: VecDeque<Segment>,
    /// Objects that left the playlists and are still to be deleted.
    retired: Vec<Retired>,
}

/// A media playlist that exists in the store, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MediaPlaylist {
    label: String,
    /// The spec no longer has this rendition: its playlist stays empty and
    /// ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retired: bool,
}

/// `timeline.json` is not what this code wrote.
#[derive(Debug, thiserror::Error)]
pub enum CorruptTimeline {
    /// It isn't JSON of a timeline.
    #[error("timeline.json can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Its parts don't fit together.
    #[error("timeline.json contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl Timeline {
    /// The timeline of a channel that has published nothing yet.
    pub fn new(job: JobId, attempt: u64, presentation: Presentation, now: Timestamp) -> Self {
        Self {
            job,
            attempt,
            revision: 1,
            updated_at: now,
            presentation,
            ended: false,
            deleted: false,
            next_sequence: 0,
            discontinuity_sequence: 0,
            availability_start: None,
            longest_playlist_us: 0,
            playlists: Vec::new(),
            open_run: None,
            runs: Vec::new(),
            window: VecDeque::new(),
            retired: Vec::new(),
        }
    }

    /// Reads what [`Timeline::to_json`] wrote.
    ///
    /// # Errors
    /// [`CorruptTimeline`] where it is something else, or where segments and
    /// runs don't fit together.
    pub fn from_json(json: &[u8]) -> Result<Self, CorruptTimeline> {
        let timeline: Self = serde_json::from_slice(json)?;
        timeline.check().map_err(CorruptTimeline::Inconsistent)?;
        Ok(timeline)
    }

    /// The body of `timeline.json`.
    ///
    /// # Errors
    /// As `serde_json`: none of the types here gives one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.presentation.target_duration == 0 {
            return Err("no target duration");
        }
        let first = self.first_sequence().ok_or("more segments than numbers")?;
        for (expected, segment) in (first..).zip(&self.window) {
            let run = self.run(segment.run).ok_or("a segment of no run")?;
            if segment.tracks.len() != run.renditions.len() {
                return Err("a segment without all tracks of its run");
            }
            if segment.sequence != expected {
                return Err("segment numbers with a gap");
            }
        }
        if self.runs.iter().any(|run| !run.is_sound()) {
            return Err("a run that can't be");
        }
        if self
            .runs
            .iter()
            .flat_map(|run| &run.renditions)
            .any(|r| self.playlist(&r.label).is_none())
        {
            return Err("a rendition without a playlist");
        }
        if self.open_run.is_some_and(|id| self.run(id).is_none()) {
            return Err("an open run that isn't there");
        }
        if self.retired.iter().any(|gone| self.run(gone.run).is_none()) {
            return Err("a pending deletion of no run");
        }
        Ok(())
    }

    /// Whose channel this is.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// Who wrote this version, and which one it is.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            attempt: self.attempt,
            revision: self.revision,
        }
    }

    /// Whether the playlists end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the channel's media were deleted, for good.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// The media sequence number that the next segment gets.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// `EXT-X-MEDIA-SEQUENCE`: the number of the first segment in the window.
    pub fn media_sequence(&self) -> u64 {
        self.first_sequence().unwrap_or(self.next_sequence)
    }

    /// Whether any playlist has been due yet: before the first segment of a
    /// channel's life there is nothing to write.
    pub fn has_playlists(&self) -> bool {
        self.next_sequence > 0
    }

    /// The labels of all media playlists that exist or may exist, those of
    /// renditions that the spec no longer has included.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.playlists
            .iter()
            .map(|playlist| playlist.label.as_str())
    }

    /// The run that segments are appended to.
    pub fn open_run(&self) -> Option<RunId> {
        self.open_run
    }

    /// The labels of a run's renditions, in the order of its tracks.
    pub fn run_labels(&self, run: RunId) -> impl Iterator<Item = &str> {
        let renditions = self
            .run(run)
            .map(|run| run.renditions.as_slice())
            .unwrap_or(&[]);
        renditions.iter().map(|rendition| rendition.label.as_str())
    }

    fn first_sequence(&self) -> Option<u64> {
        self.next_sequence.checked_sub(self.window.len() as u64)
    }

    fn playlist(&self, label: &str) -> Option<&MediaPlaylist> {
        self.playlists
            .iter()
            .find(|playlist| playlist.label == label)
    }

    fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    /// Marks a change: a new revision, and a time that never goes back.
    fn touch(&mut self, now: Timestamp) {
        self.revision += 1;
        self.updated_at = self.updated_at.max(now);
    }
}
