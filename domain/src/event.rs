//! The history of a job: one record per transition.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{JobId, WorkerId};
use crate::job::{JobState, Reason};

/// One transition of a job, as it is kept and as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The job.
    pub job_id: JobId,
    /// Its place in the history: the job's version after it.
    pub seq: u64,
    /// When it happened, by the clock of who wrote it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The state before; null for the first.
    pub from: Option<JobState>,
    /// The state after.
    pub to: JobState,
    /// The attempt it belongs to.
    pub attempt: u64,
    /// The worker it belongs to.
    pub worker_id: Option<WorkerId>,
    /// Why, where that needs a word.
    pub reason: Option<Reason>,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The job was accepted.
    Created,
    /// A worker was booked.
    Booked,
    /// No worker could be had yet.
    NotPlaced,
    /// The worker listens, or has begun to connect.
    Listening,
    /// The first segment of a run is out.
    InputStarted,
    /// The input went away.
    InputLost,
    /// Media goes on in a new run after an interruption.
    RunEnded,
    /// Something is wrong that stops no run; without a reason, no more.
    Trouble,
    /// The worker holds the channel.
    Paused,
    /// The client asked for a stop.
    StopRequested,
    /// The client asked for a deletion.
    DeleteRequested,
    /// The client asked for a pause.
    PauseRequested,
    /// The client asked to go on.
    ResumeRequested,
    /// The channel ended.
    Stopped,
    /// The channel ended by itself.
    Failed,
    /// The worker is gone; the job goes to another.
    WorkerLost,
    /// The worker gave the job back.
    HandedBack,
    /// The stop was enforced.
    StopForced,
    /// The playlists that it had left open are ended.
    PlaylistsEnded,
    /// The client replaced the spec.
    SpecReplaced,
    /// The client rotated the stream key.
    KeyRotated,
}
