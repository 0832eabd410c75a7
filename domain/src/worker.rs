//! A worker: a long-running process (an ECS task, or a local process) that
//! runs one job at a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{JobId, WorkerId};
use crate::job::Stats;
use crate::spec::WorkerSize;

/// The record of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its id, known before it is launched.
    pub id: WorkerId,
    /// Where it stands.
    pub state: WorkerState,
    /// What it was launched with.
    pub size: WorkerSize,
    /// The job it is booked for.
    pub booking: Option<Booking>,
    /// Grows by one with each beat; 0 until the worker has registered.
    pub beat: u64,
    /// The beat that the last sweep saw.
    pub swept_beat: Option<u64>,
    /// How many sweeps in a row before that one had seen it there too.
    pub swept_still: u32,
    /// What `WorkerLauncher::stop` needs to end it: task ARN or process id.
    pub task: Option<String>,
    /// The numbers of the attempt it runs.
    pub stats: Option<Stats>,
    /// While it drains: that no standby can be had for its job, so it need
    /// not wait for one.
    pub no_standby: bool,
    /// When it was booked or launched first.
    pub created_at: Timestamp,
    /// When it changed last (not at each beat).
    pub updated_at: Timestamp,
}

/// Which attempt of which job a worker is booked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Booking {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u64,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Launched, or about to be; not registered yet.
    Booting,
    /// Registered and free.
    Idle,
    /// Runs a job.
    Booked,
    /// Told to leave: takes no other job.
    Draining,
    /// Gone.
    Closed,
}

impl WorkerState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Booting,
        Self::Idle,
        Self::Booked,
        Self::Draining,
        Self::Closed,
    ];
    /// Every state of a worker that counts against the fleet's limit.
    pub const OPEN: [Self; 4] = [Self::Booting, Self::Idle, Self::Booked, Self::Draining];

    /// The state as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Booked => "booked",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }

    /// Reads the API's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Worker {
    /// A worker that is about to be launched, for a job or as a standby.
    pub fn booting(
        id: WorkerId,
        size: WorkerSize,
        booking: Option<Booking>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            state: WorkerState::Booting,
            size,
            booking,
            beat: 0,
            swept_beat: None,
            swept_still: 0,
            task: None,
            stats: None,
            no_standby: false,
            created_at: now,
            updated_at: now,
        }
    }

    /// For how many sweeps, with one that sees it now, its beat has stood
    /// still.
    pub fn still_for_sweeps(&self) -> u32 {
        if self.swept_beat == Some(self.beat) {
            self.swept_still + 1
        } else {
            0
        }
    }
}
