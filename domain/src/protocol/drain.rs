//! A worker that was told to leave: make before break. It serves on until
//! another worker is idle, then hands its job over; the looks at it see to
//! that there will be one.

use std::time::Duration;

use crate::ids::WorkerId;
use crate::job::{Job, Reason, ReasonCode};
use crate::worker::{Booking, Worker, WorkerState};

/// How long a worker that was told to leave waits for another one. What comes
/// after may take 25 s where the store is slow, and all is to be over 100 s
/// after the signal: ECS ends a task 120 s after it at the latest.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(75);

/// What a booked worker does that was told to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnDrain {
    /// Serves on: another one is on its way.
    Wait,
    /// Hands its job over to this one.
    HandOver(WorkerId),
    /// Hands its job back, for the scheduler to place.
    HandBack(Reason),
}

/// Decides what a worker does that was told to leave so long ago, with the
/// worker that could go on, where there is one.
pub fn on_drain(worker: &Worker, waited: Duration, ready: Option<WorkerId>) -> OnDrain {
    let hand_back = |message: String| {
        let reason = Reason::new(ReasonCode::WorkerDrained, message);
        OnDrain::HandBack(reason)
    };
    if let Some(ready) = ready {
        return OnDrain::HandOver(ready);
    }
    if worker.no_standby {
        return hand_back(
            "the worker was told to leave, and no other could be had before".to_owned(),
        );
    }
    if waited >= DRAIN_PATIENCE {
        let seconds = DRAIN_PATIENCE.as_secs();
        return hand_back(format!(
            "the worker was told to leave, and no other was ready within {seconds} s"
        ));
    }
    OnDrain::Wait
}

/// What a look does at a job whose worker was told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDraining {
    /// Nothing: it is seen to, or nobody is to go on.
    Leave,
    /// Bring a standby into the fleet, and launch it.
    Launch,
    /// It may never have been launched: launch it (again).
    LaunchAgain,
    /// There will be none: tell the worker.
    Refuse,
}

/// Decides on a draining worker, with its job, whether another worker of its
/// size is idle, and the record of its standby, which is
/// [`WorkerId::for_standby`].
pub fn on_draining(
    worker: &Worker,
    job: &Job,
    is_another_idle: bool,
    standby: Option<&Worker>,
) -> OnDraining {
    let serves = |booking: &Booking| job.is_booked_on(&worker.id, booking.attempt);
    let waits = worker.state == WorkerState::Draining
        && worker.booking.as_ref().is_some_and(serves)
        && job.state.can_be_handed_over()
        && !worker.no_standby;
    if !waits || is_another_idle {
        return OnDraining::Leave;
    }
    match standby {
        None => OnDraining::Launch,
        Some(standby) => match standby.state {
            WorkerState::Booting if standby.task.is_none() => OnDraining::LaunchAgain,
            // It never came, or was idle for too long.
            WorkerState::Closed if standby.booking.is_none() => OnDraining::Refuse,
            // On its way; or it came and another was faster, which has left a
            // standby of its own to us, as after a signal to all at once.
            _ => OnDraining::Leave,
        },
    }
}

#[cfg(test)]
mod tests;
