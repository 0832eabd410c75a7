//! The fenced writer of one channel.
//!
//! A change (a segment, the end) is begun, which is pure, and then driven
//! through its stages, each acknowledged by the store before the next:
//! init segments, media segments, `timeline.json`, media playlists and MPD,
//! multivariant playlist. A stage that failed is repeated by driving again;
//! nothing new can be begun before. So the store never holds a playlist that
//! names what isn't there, wherever the writer dies; and what a timeline has
//! taken in, the next attempt's playlists show.

use bytes::Bytes;
use domain::timeline::{AppendError, CorruptTimeline, NewRun, RunError, Span, Timeline};
use jiff::Timestamp;
use object_store::Error as StoreError;
use object_store::path::Path;

use super::Clock;
use super::writer::Writer;

/// The init segment of one rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    /// The rendition's label.
    pub label: String,
    /// The CMAF header.
    pub data: Bytes,
}

/// One rendition's part of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentTrack {
    /// Decode time of the first sample, in ticks since the run's start.
    pub start: u64,
    /// Length in ticks.
    pub duration: u64,
    /// The bytes.
    pub data: Bytes,
}

/// Why a channel can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A higher attempt has the channel: write nothing more.
    #[error("fenced: attempt {holder} holds the channel")]
    Fenced {
        /// The attempt that holds it.
        holder: u64,
    },
    /// The store failed; the same call may be made again later.
    #[error("the media store failed: {0}")]
    Retry(#[source] StoreError),
    /// The channel's media have been deleted: write nothing more.
    #[error("the channel's media were deleted")]
    Deleted,
    /// `timeline.json` is not a timeline: no attempt can go on from it.
    #[error(transparent)]
    Corrupt(#[from] CorruptTimeline),
}

/// Why a change can't be begun. Nothing has been written.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The last change is to be driven to its end first.
    #[error("another change is under way")]
    Busy,
    /// The segment must be left out; the next one may be taken.
    #[error("segment refused: {0}")]
    Segment(#[from] AppendError),
    /// The run must be left out.
    #[error("run refused: {0}")]
    Run(#[from] RunError),
    /// The timeline can't be written as JSON.
    #[error("timeline not serialised: {0}")]
    Json(#[from] serde_json::Error),
}

/// The fenced writer of one channel. See the module's page.
#[derive(Debug)]
pub struct Channel {
    writer: Writer,
    next_run: Option<(NewRun, Vec<Init>)>,
    pending: Option<Pending>,
}

/// A change under way.
#[derive(Debug)]
struct Pending {
    timeline: Timeline,
    json: Bytes,
    inits: Vec<(Path, Bytes)>,
    segments: Vec<(Path, Bytes)>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Media,
    Timeline,
    Playlists,
}

impl Channel {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            writer,
            next_run: None,
            pending: None,
        }
    }

    /// The timeline as the store has it.
    pub fn timeline(&self) -> &Timeline {
        &self.writer.timeline
    }

    /// The run that the next segments belong to. It is published with its
    /// first segment: a run that has none leaves no trace.
    ///
    /// # Errors
    /// [`BeginError::Busy`].
    pub fn start_run(&mut self, run: NewRun, inits: Vec<Init>) -> Result<(), BeginError> {
        if self.pending.is_some() {
            return Err(BeginError::Busy);
        }
        self.next_run = Some((run, inits));
        Ok(())
    }

    /// Begins a segment of all tracks of the run, in the order of its
    /// renditions; answers its media sequence number.
    ///
    /// # Errors
    /// [`BeginError`]; nothing has changed then.
    pub fn begin_segment(
        &mut self,
        tracks: Vec<SegmentTrack>,
        now: Timestamp,
    ) -> Result<u64, BeginError> {
        if self.pending.is_some() {
            return Err(BeginError::Busy);
        }
        let mut timeline = self.writer.timeline.clone();
        let mut inits = Vec::new();
        let run = match &self.next_run {
            Some((run, headers)) => {
                let id = timeline.begin_run(run.clone(), now)?;
                let path = |init: &Init| self.writer.path(&id.init_path(&init.label));
                inits = headers
                    .iter()
                    .map(|init| (path(init), init.data.clone()))
                    .collect();
                id
            }
            None => timeline.open_run().ok_or(AppendError::NoRun)?,
        };
        let span = |track: &SegmentTrack| Span {
            start: track.start,
            duration: track.duration,
            bytes: track.data.len() as u64,
        };
        let sequence = timeline.append(run, tracks.iter().map(span).collect(), now)?;
        let path = |label| self.writer.path(&run.segment_path(label, sequence));
        let data = tracks.into_iter().map(|track| track.data);
        let segments = timeline.run_labels(run).map(path).zip(data).collect();
        self.pending = Some(Pending {
            json: timeline.to_json()?.into(),
            timeline,
            inits,
            segments,
            stage: Stage::Media,
        });
        Ok(sequence)
    }

    /// Begins the end of the playlists.
    ///
    /// # Errors
    /// [`BeginError::Busy`], [`BeginError::Json`].
    pub fn begin_end(&mut self, now: Timestamp) -> Result<(), BeginError> {
        if self.pending.is_some() {
            return Err(BeginError::Busy);
        }
        let mut timeline = self.writer.timeline.clone();
        timeline.end(now);
        self.pending = Some(Pending {
            json: timeline.to_json()?.into(),
            timeline,
            inits: Vec::new(),
            segments: Vec::new(),
            stage: Stage::Timeline,
        });
        Ok(())
    }

    /// Drives what has been begun to its end; goes on where the last call
    /// failed or was dropped. With nothing begun it does nothing. The clock
    /// is asked once the playlists are written: deletions are reckoned from
    /// then, however long the store took.
    ///
    /// # Errors
    /// [`ChannelError::Retry`]: call again later. All others: never again.
    pub async fn drive(&mut self, clock: Clock<'_>) -> Result<(), ChannelError> {
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        let writer = &mut self.writer;
        if pending.stage == Stage::Media {
            writer.upload(&mut pending.inits).await?;
            writer.upload(&mut pending.segments).await?;
            pending.stage = Stage::Timeline;
        }
        if pending.stage == Stage::Timeline {
            writer.commit(&pending.timeline, &pending.json).await?;
            if pending.timeline.open_run().is_some() {
                // It has its first segment now.
                self.next_run = None;
            }
            pending.stage = Stage::Playlists;
        }
        writer.write_playlists().await?;
        writer.timeline.playlists_written(clock());
        self.pending = None;
        self.writer.delete_due(clock()).await;
        Ok(())
    }
}
