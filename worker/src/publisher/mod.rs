//! The last stage: segments in, objects and playlists in the store out.
//!
//! A task of its own takes segments from a bounded buffer and publishes them
//! through the fenced [`Channel`]. Where the store fails it tries again, for
//! as long as it takes; what the buffer can't hold in the meantime is left
//! out, oldest first, which shows in the playlists as a discontinuity.

mod buffer;
mod task;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws::media::{Init, MediaStore, SegmentTrack};
use domain::ids::JobId;
use domain::plan::{Track, TrackKind};
use domain::protocol::Timing;
use domain::spec::Output;
use domain::timeline::{CorruptTimeline, NewRun, Presentation, Rendition};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tracing::Instrument;

use crate::segment::{CutSegment, Media, TrackInit};
use buffer::Item;
use task::{Shared, Task};

pub use buffer::Limits;

/// What a publisher publishes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose channel it is.
    pub job: JobId,
    /// The fencing token.
    pub attempt: u64,
    /// How the channel is presented.
    pub presentation: Presentation,
    /// What may wait for the store.
    pub limits: Limits,
    /// The protocol's times.
    pub timing: Timing,
}

impl Config {
    /// What this output asks for.
    pub fn new(job: JobId, attempt: u64, output: &Output, timing: Timing) -> Self {
        Self {
            job,
            attempt,
            presentation: Presentation::of(output),
            limits: Limits::of(output),
            timing,
        }
    }
}

/// How it goes. Sent anew with every change and several times a second, as
/// long as the publisher's task makes its rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Grows several times a second: it is alive, even while the store is not.
    pub progress: u64,
    /// Segments that players can fetch by now, of this attempt.
    pub published_segments: u64,
    /// The run of the last of them.
    pub published_run: Option<u32>,
    /// When the last one could be fetched.
    pub last_published: Option<Instant>,
    /// Segments left out: for want of space, or because no playlist could
    /// have held them.
    pub dropped_segments: u64,
    /// Segments that wait, the one under way included.
    pub waiting_segments: usize,
    /// What the store said when it last failed; `None` when it last obeyed.
    pub store_error: Option<String>,
}

/// How a publisher ended.
#[derive(Debug)]
pub enum Outcome {
    /// All is published and the playlists are ended.
    Ended,
    /// All is published and the playlists are open: another attempt goes on.
    Closed,
    /// A higher attempt has the channel. Nothing more was written.
    Fenced {
        /// The attempt that has it.
        holder: u64,
    },
    /// The channel's media were deleted.
    Deleted,
    /// `timeline.json` can't be read: no attempt can go on from it.
    Corrupt(CorruptTimeline),
    /// The task broke: a fault of this program's.
    Broken(JoinError),
}

/// A publisher at work. Dropped, it stops at once: nothing more is sent to
/// the store.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
    task: JoinHandle<Outcome>,
    has_ended: bool,
}

impl Publisher {
    /// Starts a publisher; it claims the channel for its attempt at once.
    pub fn start(store: MediaStore, config: Config) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let shared = Arc::new(Shared::new(config.limits));
        let task = Task::new(store, config, Arc::clone(&shared), sender);
        Self {
            shared,
            status,
            task: tokio::spawn(task.run().in_current_span()),
            has_ended: false,
        }
    }

    /// Where its segments come in.
    pub fn intake(&self) -> Intake {
        Intake {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Ends the playlists after what was handed over before; the outcome will
    /// be [`Outcome::Ended`]. What follows is ignored.
    pub fn end(&self) {
        self.shared.push(Item::End);
    }

    /// Stops after what was handed over before, with the playlists open; the
    /// outcome will be [`Outcome::Closed`]. What follows is ignored.
    pub fn close(&self) {
        self.shared.push(Item::Close);
    }

    /// How it goes, and a sign of life: see [`Status::progress`].
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits for the end by itself or by [`Self::end`] or [`Self::close`].
    /// Cancel-safe; once it has told, it never tells again.
    pub async fn outcome(&mut self) -> Outcome {
        if self.has_ended {
            return std::future::pending().await;
        }
        let outcome = (&mut self.task).await;
        self.has_ended = true;
        outcome.unwrap_or_else(Outcome::Broken)
    }

    /// Whether [`Self::outcome`] has told the end.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

/// What FFmpeg puts out are not the tracks of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("of {planned} planned tracks FFmpeg puts out {found}, or others")]
pub struct TracksDiffer {
    /// Tracks of the plan.
    pub planned: usize,
    /// Tracks that came.
    pub found: usize,
}

/// Where a publisher's segments come in. What comes after the publisher's end
/// is ignored.
#[derive(Debug, Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

impl Intake {
    /// A run has begun: the segments that follow are its. `tracks` and
    /// `inits` are in the order of the plan's tracks.
    ///
    /// # Errors
    /// [`TracksDiffer`]: the two are not of the same tracks; nothing is
    /// published of the run.
    pub fn start_run(
        &self,
        number: u32,
        start: Timestamp,
        tracks: &[Track],
        inits: Vec<TrackInit>,
    ) -> Result<(), TracksDiffer> {
        let are_alike = |(track, init): (&Track, &TrackInit)| {
            matches!(track.kind, TrackKind::Video { .. }) == (init.media == Media::Video)
        };
        if tracks.len() != inits.len() || !tracks.iter().zip(&inits).all(are_alike) {
            return Err(TracksDiffer {
                planned: tracks.len(),
                found: inits.len(),
            });
        }
        let with_inits = || tracks.iter().zip(&inits);
        let renditions = with_inits()
            .map(|(track, init)| Rendition::new(track, init.codec.clone(), init.timescale))
            .collect();
        let headers = with_inits()
            .map(|(track, init)| Init {
                label: track.label.clone(),
                data: init.data.clone(),
            })
            .collect();
        self.shared.push(Item::Run(
            NewRun {
                number,
                start,
                renditions,
            },
            headers,
        ));
        Ok(())
    }

    /// A segment of the run that began last. Never waits: where the buffer is
    /// full the oldest segments are left out.
    pub fn segment(&self, segment: CutSegment) {
        let track = |track: crate::segment::TrackSegment| SegmentTrack {
            start: track.start,
            duration: track.duration,
            data: track.data,
        };
        self.shared.push(Item::Segment(
            segment.tracks.into_iter().map(track).collect(),
        ));
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
