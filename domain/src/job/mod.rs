//! A job: a live channel, from its creation until it is deleted.
//!
//! What may happen to it is in [`transition`].

mod reason;
mod stats;
mod transition;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{JobId, StreamKey, WorkerId};
use crate::spec::Spec;
use crate::trace::TraceId;

pub use reason::{Reason, ReasonCode};
pub use stats::{InputStats, Stats, Totals};
pub use transition::{Change, IllegalChange, Transition};

/// A live channel: what was asked for, what is wanted now, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Grows by one with each transition; every write names the version it
    /// read, and the transition's event bears it as its number.
    pub version: u64,
    /// Where it stands.
    pub state: JobState,
    /// What its client wants.
    pub desired: Desired,
    /// Why it stands there, where that needs a word.
    pub reason: Option<Reason>,
    /// What the client asked for.
    pub spec: Spec,
    /// What a publisher must show.
    pub stream_key: StreamKey,
    /// Where to push; there while a worker listens.
    pub ingest: Option<Ingest>,
    /// The port it listened on last: its next worker on the same machine
    /// takes it again, so that encoders need no new URL.
    pub ingest_port: Option<u16>,
    /// The worker it is booked on.
    pub worker_id: Option<WorkerId>,
    /// The number of its newest placement: the fencing token. 0: never placed.
    pub attempt: u64,
    /// Placements in a row that failed or ended before any input was served;
    /// sets the pause before the next one.
    pub failures: u32,
    /// What its finished attempts add up to.
    pub totals: Totals,
    /// It has ended, but its playlists may still be open, or its ingest's name
    /// there: the scheduler ends them, and says so.
    #[serde(default)]
    pub ending: bool,
    /// Its client wants it gone once it has ended.
    pub deletion: Option<Deletion>,
    /// The trace of the call that created it.
    #[serde(default)]
    pub trace_id: Option<TraceId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Where a job stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted, no worker yet.
    Created,
    /// A worker is booked, perhaps still booting.
    Assigned,
    /// The worker listens (or connects); no input yet.
    Running,
    /// Input in, segments out.
    Streaming,
    /// Held by its client: worker, ingest address and playlists are kept.
    Paused,
    /// To be stopped; its worker finishes the segment in hand.
    Stopping,
    /// Stopped; its playlists are ended, or are being so by the scheduler.
    Stopped,
    /// Ended by itself, with a reason a person can act on.
    Failed,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Assigned,
        Self::Running,
        Self::Streaming,
        Self::Paused,
        Self::Stopping,
        Self::Stopped,
        Self::Failed,
    ];

    /// The states in which the scheduler still has something to see to.
    pub const LIVE: [Self; 6] = [
        Self::Created,
        Self::Assigned,
        Self::Running,
        Self::Streaming,
        Self::Paused,
        Self::Stopping,
    ];

    /// The state as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Streaming => "streaming",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Reads the API's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a worker may be booked on a job in this state.
    pub fn is_placed(self) -> bool {
        matches!(
            self,
            Self::Assigned | Self::Running | Self::Streaming | Self::Paused | Self::Stopping
        )
    }

    /// Whether its worker may give it to another. Nobody is to go on with a
    /// job that stops.
    pub fn can_be_handed_over(self) -> bool {
        self.is_placed() && self != Self::Stopping
    }

    /// Whether the job has come to its end and only its client can change that.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// What a job's client wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// On air.
    Run,
    /// Held, ready to go on at once.
    Pause,
    /// Off; the worker is freed.
    Stop,
}

/// A deletion that waits for the job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Whether its objects go too.
    pub media: bool,
}

/// Where a publisher pushes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    /// The protocol, as `rtmp`.
    pub protocol: String,
    /// The server URL, as `rtmp://127.0.0.1:1935/live`; the stream key comes
    /// after it.
    pub url: String,
    /// The port in that URL.
    pub port: u16,
}

impl Job {
    /// A new job, not yet placed.
    pub fn new(id: JobId, spec: Spec, now: Timestamp) -> Self {
        Self {
            id,
            version: 1,
            state: JobState::Created,
            desired: Desired::Run,
            reason: None,
            spec,
            stream_key: StreamKey::generate(),
            ingest: None,
            ingest_port: None,
            worker_id: None,
            attempt: 0,
            failures: 0,
            totals: Totals::default(),
            ending: false,
            deletion: None,
            trace_id: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether nothing is left of it but to delete it.
    pub fn is_to_be_deleted(&self) -> bool {
        self.deletion.is_some() && self.state.is_ended()
    }

    /// Whether this worker runs this attempt of the job.
    pub fn is_booked_on(&self, worker: &WorkerId, attempt: u64) -> bool {
        self.attempt == attempt && self.worker_id.as_ref() == Some(worker)
    }
}
