//! The state machine of a job: one function, every transition.
//!
//! An illegal change is an error, never a silent no-op; that repeating a
//! wish is harmless is for the API to see (`already_wants`).

use jiff::Timestamp;
use thiserror::Error;

use super::{Deletion, Desired, Ingest, Job, JobState, Reason, Totals};
use crate::event::{Event, EventKind};
use crate::ids::{StreamKey, WorkerId};
use crate::spec::Spec;

/// What may happen to a job. Those of a worker hold for the attempt the
/// caller read; the write's version condition keeps others out.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Scheduler: a worker was booked or is being launched.
    Book {
        /// Which.
        worker: WorkerId,
    },
    /// Scheduler: no worker could be had; the job waits.
    NotPlaced {
        /// Why.
        reason: Reason,
    },
    /// Scheduler: the worker is dead, or its launch came to nothing.
    LoseWorker {
        /// How that was found.
        reason: Reason,
        /// What the attempt had added up to.
        totals: Totals,
    },
    /// Scheduler: the worker did not stop in time.
    ForceStop {
        /// What the attempt had added up to.
        totals: Totals,
    },
    /// Worker: it listens, or has begun to connect.
    Listen {
        /// Where to push; `None` for a pulled input.
        ingest: Option<Ingest>,
    },
    /// Worker: the first segment of a run is published.
    StartInput,
    /// Worker: the input went away, and it waits for it to come back.
    LoseInput {
        /// What was seen.
        reason: Reason,
    },
    /// Worker: a run ended before its time; the next one follows.
    EndRun {
        /// What was seen.
        reason: Reason,
    },
    /// Worker: something is wrong that stops no run, as a store that is away;
    /// or, without a reason, is no more.
    Trouble {
        /// What was seen.
        reason: Option<Reason>,
    },
    /// Worker: the channel is held.
    Pause,
    /// Worker: the channel has come to its end and the worker is free.
    Finish {
        /// Why, where nobody asked for it.
        reason: Option<Reason>,
        /// What the attempt added up to.
        totals: Totals,
        /// Whether the store has taken the playlists' end, and the ingest's
        /// name is gone.
        playlists_ended: bool,
    },
    /// Worker: the channel can't go on.
    Fail {
        /// Why.
        reason: Reason,
        /// What the attempt added up to.
        totals: Totals,
        /// Whether the store has taken the playlists' end, and the ingest's
        /// name is gone.
        playlists_ended: bool,
    },
    /// Scheduler: the playlists that an ended job had left open are ended.
    EndPlaylists,
    /// Worker: it was told to leave, and goes on until another is ready.
    Drain {
        /// How it was told.
        reason: Reason,
    },
    /// Worker: it leaves, and an idle worker goes on.
    HandOver {
        /// That one.
        to: WorkerId,
        /// Why.
        reason: Reason,
        /// What the attempt added up to.
        totals: Totals,
    },
    /// Worker: it must leave; another one is to go on.
    HandBack {
        /// Why.
        reason: Reason,
        /// What the attempt added up to.
        totals: Totals,
    },
    /// Client: off.
    RequestStop,
    /// Client: off, and gone once that is done.
    RequestDelete {
        /// How.
        deletion: Deletion,
    },
    /// Client: hold.
    RequestPause,
    /// Client: on air.
    RequestResume,
    /// Client: another spec, for the next start.
    ReplaceSpec {
        /// The new one.
        spec: Spec,
    },
    /// Client: a new stream key.
    RotateKey {
        /// The new one.
        key: StreamKey,
    },
}

/// A job after a change, and the record of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The version the job had before: what the write depends on.
    pub from_version: u64,
    /// The job after the change.
    pub job: Job,
    /// The history's record.
    pub event: Event,
}

/// A change that the job's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a job that is {} can't be {wanted}", state.as_str())]
pub struct IllegalChange {
    /// The state the job is in.
    pub state: JobState,
    /// What was wanted, as a participle.
    pub wanted: &'static str,
}

impl Job {
    /// The first record of a new job's history.
    pub fn created_event(&self) -> Event {
        self.event(EventKind::Created, None, None)
    }

    /// Whether the client's wish is what the job is already set to: then
    /// there is nothing to do.
    pub fn already_wants(&self, desired: Desired) -> bool {
        match desired {
            Desired::Stop => self.desired == Desired::Stop,
            wish => self.desired == wish && !self.state.is_ended(),
        }
    }

    /// The job after a change.
    ///
    /// # Errors
    /// [`IllegalChange`] where the state does not allow it; the job is as it was.
    pub fn apply(&self, change: Change, now: Timestamp) -> Result<Transition, IllegalChange> {
        let kind = change.kind();
        let reason = change.reason();
        let mut job = self.clone();
        let next = job.next_state(change)?;
        job.state = next;
        job.version += 1;
        job.updated_at = now;
        // A reason explains the state it was given for and no later one.
        if reason.is_some() || next != self.state || kind == EventKind::Trouble {
            job.reason.clone_from(&reason);
        }
        // The event names the worker it is about, also where it frees it.
        let worker_id = job.worker_id.clone().or_else(|| self.worker_id.clone());
        let mut event = job.event(kind, Some(self.state), reason);
        event.worker_id = worker_id;
        Ok(Transition {
            from_version: self.version,
            job,
            event,
        })
    }

    fn event(&self, kind: EventKind, from: Option<JobState>, reason: Option<Reason>) -> Event {
        Event {
            job_id: self.id.clone(),
            seq: self.version,
            at: self.updated_at,
            kind,
            from,
            to: self.state,
            attempt: self.attempt,
            worker_id: self.worker_id.clone(),
            reason,
        }
    }

    /// Changes the fields that belong to the change and names the next state.
    fn next_state(&mut self, change: Change) -> Result<JobState, IllegalChange> {
        use JobState as S;
        let state = self.state;
        let next = match (change, state) {
            (Change::Book { worker }, S::Created) => {
                self.attempt += 1;
                self.worker_id = Some(worker);
                S::Assigned
            }
            (Change::NotPlaced { .. }, S::Created) => {
                self.failures = self.failures.saturating_add(1);
                S::Created
            }

            (Change::Listen { ingest }, S::Assigned | S::Running | S::Paused) => {
                if let Some(ingest) = &ingest {
                    self.ingest_port = Some(ingest.port);
                }
                self.ingest = ingest;
                S::Running
            }
            (Change::StartInput, S::Running) => {
                self.failures = 0;
                S::Streaming
            }
            (Change::LoseInput { .. }, S::Streaming) => S::Running,
            (Change::EndRun { .. }, S::Running | S::Streaming) => S::Running,
            (Change::Trouble { .. }, S::Running | S::Streaming) => state,
            (Change::Pause, S::Assigned | S::Running | S::Streaming) => S::Paused,

            (Change::RequestStop, S::Created) => self.stop(),
            (Change::RequestStop, placed) if placed.is_placed() => self.stop(),
            (Change::RequestDelete { deletion }, _) => {
                self.deletion = Some(deletion);
                self.stop()
            }
            (Change::RequestResume, _) if self.deletion.is_some() => {
                return Err(IllegalChange {
                    state,
                    wanted: "resumed: it is being deleted",
                });
            }
            (Change::RequestPause, open) if self.desired != Desired::Stop && !open.is_ended() => {
                self.desired = Desired::Pause;
                open
            }
            (Change::RequestResume, S::Stopped | S::Failed) => {
                self.desired = Desired::Run;
                self.failures = 0;
                // The next attempt takes the channel over as it is.
                self.ending = false;
                S::Created
            }
            (Change::RequestResume, open) if self.desired != Desired::Stop => {
                self.desired = Desired::Run;
                open
            }
            (Change::ReplaceSpec { .. } | Change::RotateKey { .. }, _)
                if self.deletion.is_some() =>
            {
                return Err(IllegalChange {
                    state,
                    wanted: "changed: it is being deleted",
                });
            }
            // Its playlists are ended, and its media deleted, where the spec
            // says that they are.
            (Change::ReplaceSpec { spec }, S::Stopped | S::Failed)
                if self.attempt > 0 && spec.output.s3_output != self.spec.output.s3_output =>
            {
                return Err(IllegalChange {
                    state,
                    wanted: "moved to another bucket: it has published to this one; create a new job for the other",
                });
            }
            (Change::ReplaceSpec { spec }, S::Stopped | S::Failed) => {
                self.spec = spec;
                state
            }
            (Change::RotateKey { key }, _) => {
                self.stream_key = key;
                state
            }

            (Change::LoseWorker { totals, .. } | Change::HandBack { totals, .. }, placed)
                if placed.is_placed() =>
            {
                if matches!(state, S::Assigned | S::Running) {
                    self.failures = self.failures.saturating_add(1);
                }
                self.free_worker(totals);
                if self.desired == Desired::Stop {
                    self.stop_unserved()
                } else {
                    S::Created
                }
            }
            (Change::Drain { .. }, placed) if placed.can_be_handed_over() => placed,
            (Change::HandOver { to, totals, .. }, placed) if placed.can_be_handed_over() => {
                self.free_worker(totals);
                self.attempt += 1;
                self.worker_id = Some(to);
                S::Assigned
            }
            (Change::ForceStop { totals }, S::Stopping) => {
                self.free_worker(totals);
                self.stop_unserved()
            }
            (
                Change::Finish {
                    totals,
                    playlists_ended,
                    ..
                },
                placed,
            ) if placed.is_placed() => {
                self.desired = Desired::Stop;
                self.ending = !playlists_ended;
                self.free_worker(totals);
                S::Stopped
            }
            (
                Change::Fail {
                    totals,
                    playlists_ended,
                    ..
                },
                placed,
            ) if placed.is_placed() => {
                self.ending = !playlists_ended;
                self.free_worker(totals);
                // Stop wins: a job that was to stop has stopped, however it came.
                if self.desired == Desired::Stop {
                    S::Stopped
                } else {
                    self.desired = Desired::Stop;
                    S::Failed
                }
            }
            (Change::EndPlaylists, ended) if self.ending && ended.is_ended() => {
                self.ending = false;
                ended
            }
            (change, state) => {
                return Err(IllegalChange {
                    state,
                    wanted: change.wanted(),
                });
            }
        };
        Ok(next)
    }

    /// Sets the wish to stop and names the state that comes of it: without a
    /// worker the stop is done.
    fn stop(&mut self) -> JobState {
        self.desired = Desired::Stop;
        match self.state {
            // A worker had it before, and has left its playlists open.
            JobState::Created if self.attempt > 0 => self.stop_unserved(),
            JobState::Created => JobState::Stopped,
            ended if ended.is_ended() => ended,
            _ => JobState::Stopping,
        }
    }

    /// Stopped without the worker: an attempt of its own ends the playlists
    /// and fences whatever that worker still does.
    fn stop_unserved(&mut self) -> JobState {
        self.attempt += 1;
        self.ending = true;
        JobState::Stopped
    }

    fn free_worker(&mut self, totals: Totals) {
        self.worker_id = None;
        self.ingest = None;
        self.totals = self.totals + totals;
    }
}

impl Change {
    fn kind(&self) -> EventKind {
        match self {
            Self::Book { .. } => EventKind::Booked,
            Self::NotPlaced { .. } => EventKind::NotPlaced,
            Self::LoseWorker { .. } => EventKind::WorkerLost,
            Self::ForceStop { .. } => EventKind::StopForced,
            Self::Listen { .. } => EventKind::Listening,
            Self::StartInput => EventKind::InputStarted,
            Self::LoseInput { .. } => EventKind::InputLost,
            Self::EndRun { .. } => EventKind::RunEnded,
            Self::Trouble { .. } => EventKind::Trouble,
            Self::Pause => EventKind::Paused,
            Self::Finish { .. } => EventKind::Stopped,
            Self::Fail { .. } => EventKind::Failed,
            Self::EndPlaylists => EventKind::PlaylistsEnded,
            Self::Drain { .. } => EventKind::Draining,
            Self::HandOver { .. } => EventKind::HandedOver,
            Self::HandBack { .. } => EventKind::HandedBack,
            Self::RequestStop => EventKind::StopRequested,
            Self::RequestDelete { .. } => EventKind::DeleteRequested,
            Self::RequestPause => EventKind::PauseRequested,
            Self::RequestResume => EventKind::ResumeRequested,
            Self::ReplaceSpec { .. } => EventKind::SpecReplaced,
            Self::RotateKey { .. } => EventKind::KeyRotated,
        }
    }

    fn wanted(&self) -> &'static str {
        match self {
            Self::Book { .. } | Self::NotPlaced { .. } => "placed",
            Self::LoseWorker { .. } | Self::HandBack { .. } => "taken from its worker",
            Self::Drain { .. } | Self::HandOver { .. } => "handed over to another worker",
            Self::ForceStop { .. } => "forced to stop",
            Self::Listen { .. } => "listening",
            Self::StartInput => "streaming",
            Self::LoseInput { .. } | Self::EndRun { .. } => "waiting for input",
            Self::Trouble { .. } => "in trouble",
            Self::Pause | Self::RequestPause => "paused",
            Self::Finish { .. } | Self::RequestStop => "stopped",
            Self::Fail { .. } => "failed",
            Self::EndPlaylists => "ended again",
            Self::RequestDelete { .. } => "deleted",
            Self::RequestResume => "resumed",
            Self::ReplaceSpec { .. } => "given another spec; stop it first",
            Self::RotateKey { .. } => "given another key",
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::NotPlaced { reason }
            | Self::LoseWorker { reason, .. }
            | Self::LoseInput { reason }
            | Self::EndRun { reason }
            | Self::Fail { reason, .. }
            | Self::Drain { reason }
            | Self::HandOver { reason, .. }
            | Self::HandBack { reason, .. } => Some(reason.clone()),
            Self::Finish { reason, .. } | Self::Trouble { reason } => reason.clone(),
            Self::ForceStop { .. } => Some(Reason::new(
                super::ReasonCode::StopForced,
                "the worker did not stop in time and was ended",
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
