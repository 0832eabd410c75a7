//! The decisions of scheduler and worker, as pure functions of the records
//! they have read. The callers read, carry out, and write on condition.
//!
//! No decision compares clocks: liveness is "the beat moved between looks".

mod drain;
mod ending;
mod standby;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::job::{Desired, Job, JobState, Reason, ReasonCode};
use crate::message::{Message, Watch};
use crate::worker::{Booking, Worker, WorkerState};

pub use drain::{DRAIN_PATIENCE, OnDrain, OnDraining, on_drain, on_draining};
pub use ending::{
    OnDelete, OnDeleteRequest, OnTaskStopped, on_delete, on_delete_request, on_task_stopped,
    playlists_are_to_end,
};
pub use standby::Standbys;

/// The protocol's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a worker may go without a good beat.
    pub lease: Duration,
    /// How long a launched worker may take to register.
    pub launch_deadline: Duration,
    /// How long a worker may take to stop before it is forced.
    pub stop_grace: Duration,
    /// How many times faster than they are written all other pauses and
    /// deadlines go by (see [`Timing::paced`]): 1, and more in tests only.
    pub pace: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(8),
            launch_deadline: Duration::from_secs(180),
            stop_grace: Duration::from_secs(10),
            pace: 1,
        }
    }
}

/// Looks without movement after which a worker is dead.
pub const LOOKS_PER_LEASE: u32 = 4;

impl Timing {
    /// The leases that an operator may set. A shorter one would take busy
    /// workers for dead; with a longer one the looks would be so far apart
    /// that the sweep, each minute, takes their chain for lost.
    pub const LEASES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

    /// The time between two looks at a worker.
    pub fn look_interval(&self) -> Duration {
        self.lease / LOOKS_PER_LEASE
    }

    /// The time between two beats: an eighth of the lease (1 s of 8 s), so
    /// that one or two lost beats don't cost the lease.
    pub fn beat_interval(&self) -> Duration {
        self.lease / 8
    }

    /// How often the loops of an attempt must show that they are alive: 32
    /// times in a lease (each 250 ms of 8 s).
    pub fn pulse_interval(&self) -> Duration {
        self.lease / 32
    }

    /// A pause or deadline that doesn't come from the lease, as it passes at
    /// this pace.
    pub fn paced(&self, normal: Duration) -> Duration {
        normal / self.pace.max(1)
    }

    /// How long after its last good beat was *sent* a worker must fall
    /// silent: earlier than anybody can have declared it dead.
    pub fn fence_after(&self) -> Duration {
        self.lease * 3 / 4
    }

    /// Looks that a launch may take.
    fn launch_looks(&self) -> u32 {
        let looks = self.launch_deadline.as_millis() / self.look_interval().as_millis().max(1);
        u32::try_from(looks).unwrap_or(u32::MAX).max(1)
    }

    /// The pause before a job is placed again after so many failures in a
    /// row: 1 s, doubling up to 16 s.
    pub fn placement_backoff(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self.paced(Duration::from_secs(1 << (n - 1).min(4))),
        }
    }
}

/// What a client's change of a job leaves to the scheduler: the message that
/// says so, and how long it waits.
pub fn follow_up(job: &Job, timing: &Timing) -> Option<(Message, Duration)> {
    let stop_by = Message::StopBy {
        job: job.id.clone(),
        attempt: job.attempt,
    };
    match job.state {
        JobState::Created => Some((Message::schedule(job.id.clone()), Duration::ZERO)),
        JobState::Stopping => Some((stop_by, timing.stop_grace)),
        // Stopped while it waited for its next worker: nobody else ends the
        // playlists that the last one has left open.
        JobState::Stopped if job.attempt > 0 => Some((stop_by, Duration::ZERO)),
        _ => None,
    }
}

/// What to do about `Schedule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSchedule {
    /// Nothing: the job is gone, ended, or in good hands.
    Drop,
    /// Book a worker for it.
    Place,
    /// Its worker may never have been launched: launch it (again), under the
    /// same id, and watch it.
    DriveLaunch,
}

/// Decides on `Schedule` for a job and the worker it is booked on.
pub fn on_schedule(
    job: Option<&Job>,
    worker: Option<&Worker>,
    after_failures: Option<u32>,
) -> OnSchedule {
    let Some(job) = job else {
        return OnSchedule::Drop;
    };
    if after_failures.is_some_and(|failures| failures != job.failures) {
        return OnSchedule::Drop;
    }
    match job.state {
        JobState::Created if job.desired != Desired::Stop => OnSchedule::Place,
        JobState::Assigned if is_booting(worker) => OnSchedule::DriveLaunch,
        _ => OnSchedule::Drop,
    }
}

/// The link at which a message finds a job's chain of looks or tries, which
/// stands at `watch_seq` since the message `advanced_by`. One that this very
/// message has advanced before, and then could not say so, counts as not
/// advanced yet: delivered again, it goes on where it broke off.
pub fn chain_link<M: PartialEq + ?Sized>(
    watch_seq: u64,
    advanced_by: Option<&M>,
    message: &M,
) -> u64 {
    match advanced_by {
        Some(by) if by == message => watch_seq.saturating_sub(1),
        _ => watch_seq,
    }
}

/// What to do about `Watch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnWatch {
    /// An old link, or nothing left to watch: the chain ends here.
    Drop,
    /// Advance the job's `watch_seq` and send this after a look interval.
    LookAgain(Watch),
    /// The worker is dead, or its launch came to nothing.
    Dead(Reason),
}

/// Decides on `Watch`. `watch_seq` is the job's, as read with it.
pub fn on_watch(
    job: Option<&Job>,
    watch_seq: u64,
    worker: Option<&Worker>,
    watch: &Watch,
    timing: &Timing,
) -> OnWatch {
    let Some(job) = job else { return OnWatch::Drop };
    let current = job.attempt >= watch.attempt && watch_seq == watch.watch_seq;
    if !current || !job.state.is_placed() {
        return OnWatch::Drop;
    }
    let watch = &follow(watch, job);
    let Some(worker) = worker.filter(|worker| worker.state != WorkerState::Closed) else {
        return OnWatch::Dead(Reason::new(
            ReasonCode::WorkerLost,
            "the worker's record is gone",
        ));
    };
    let moved = worker.beat != watch.seen_beat;
    let unmoved = if moved { 0 } else { watch.unmoved + 1 };
    let booting = worker.state == WorkerState::Booting;
    let patience = if booting {
        timing.launch_looks()
    } else {
        LOOKS_PER_LEASE
    };
    if unmoved >= patience {
        return OnWatch::Dead(if booting {
            Reason::new(
                ReasonCode::LaunchTimeout,
                format!(
                    "the worker did not register within {:?}",
                    timing.launch_deadline
                ),
            )
        } else {
            Reason::new(
                ReasonCode::WorkerLost,
                format!("the worker's beat stood still for {:?}", timing.lease),
            )
        });
    }
    OnWatch::LookAgain(Watch {
        watch_seq: watch.watch_seq + 1,
        seen_beat: worker.beat,
        unmoved,
        ..watch.clone()
    })
}

/// The look at the job's worker of now. A worker that hands its job over has
/// no queue to have the next one watched: the chain goes with the job. Where
/// a chain was begun for that attempt besides, the first look of either ends
/// the other, as both are the same link.
fn follow(watch: &Watch, job: &Job) -> Watch {
    match job.attempt == watch.attempt {
        true => watch.clone(),
        false => Watch {
            attempt: job.attempt,
            seen_beat: 0,
            unmoved: 0,
            ..watch.clone()
        },
    }
}

/// What to do about `StopBy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStopBy {
    /// The job has ended with its playlists, was started again, or is gone.
    Drop,
    /// The worker has not stopped: stop without it.
    Force,
    /// The job has ended, its playlists may have not: end them.
    EndPlaylists,
}

/// Decides on `StopBy`.
pub fn on_stop_by(job: Option<&Job>, attempt: u64) -> OnStopBy {
    let Some(job) = job else {
        return OnStopBy::Drop;
    };
    match job.state {
        JobState::Stopping if job.attempt == attempt => OnStopBy::Force,
        ended if ended.is_ended() && job.ending => OnStopBy::EndPlaylists,
        _ => OnStopBy::Drop,
    }
}

/// What the sweep does about a live job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSweepJob {
    /// Ask for a placement (again).
    Schedule,
    /// The chain of looks has moved since the last sweep: note where it is.
    NoteWatch,
    /// It has not: start it again.
    RestartWatch,
}

/// Decides on a live job in a sweep, from the link its chain of looks is at
/// and the one that the last sweep noted.
pub fn on_sweep_job(job: &Job, watch_seq: u64, swept_watch_seq: Option<u64>) -> OnSweepJob {
    if !job.state.is_placed() {
        return OnSweepJob::Schedule;
    }
    if swept_watch_seq == Some(watch_seq) {
        OnSweepJob::RestartWatch
    } else {
        OnSweepJob::NoteWatch
    }
}

/// What the sweep does about an open worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSweepWorker {
    /// Its job's watch sees to it.
    Leave,
    /// Its beat has moved since the last sweep: note it.
    NoteBeat,
    /// It has not, and the worker serves nobody: close it.
    Close,
}

/// Sweeps, one a minute, that a standby may take to boot: the launch deadline
/// of a worker that nobody watches.
const STANDBY_BOOT_SWEEPS: u32 = 3;

/// Decides on an open worker in a sweep, with the job it is booked for.
pub fn on_sweep_worker(worker: &Worker, job: Option<&Job>) -> OnSweepWorker {
    if let Some(booking) = &worker.booking
        && job.is_some_and(|job| job.is_booked_on(&worker.id, booking.attempt))
    {
        return OnSweepWorker::Leave;
    }
    let patience = match (worker.state, &worker.booking) {
        (WorkerState::Booting, None) => STANDBY_BOOT_SWEEPS,
        _ => 1,
    };
    if worker.still_for_sweeps() >= patience {
        OnSweepWorker::Close
    } else {
        OnSweepWorker::NoteBeat
    }
}

/// What a worker does after it has read its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignment {
    /// Serve the job.
    Run,
    /// Hold it.
    Hold,
    /// End it in order.
    Stop,
    /// It is another's now, or gone: fall silent.
    Gone,
}

/// Decides what a worker does for the attempt it is booked for.
pub fn assignment(job: Option<&Job>, worker: &Worker) -> Assignment {
    let Some((job, booking)) = job.zip(worker.booking.as_ref()) else {
        return Assignment::Gone;
    };
    if !job.is_booked_on(&worker.id, booking.attempt) {
        return Assignment::Gone;
    }
    assignment_of(job)
}

/// What the worker that a job is booked on does for it.
pub fn assignment_of(job: &Job) -> Assignment {
    match job.desired {
        Desired::Run => Assignment::Run,
        Desired::Pause => Assignment::Hold,
        Desired::Stop => Assignment::Stop,
    }
}

/// What a worker that serves nobody does after a look at its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhenIdle {
    /// Serve this.
    Serve(Booking),
    /// Nothing yet.
    Wait,
    /// It was closed, or told to leave.
    Leave,
}

/// Decides what a worker that serves nobody does.
pub fn when_idle(record: Option<&Worker>) -> WhenIdle {
    match record {
        Some(Worker {
            state: WorkerState::Booked,
            booking: Some(booking),
            ..
        }) => WhenIdle::Serve(booking.clone()),
        Some(Worker {
            state: WorkerState::Idle,
            ..
        }) => WhenIdle::Wait,
        _ => WhenIdle::Leave,
    }
}

/// Whether a worker that leaves closes its own record. While it is booked it
/// does not: its watch finds it gone, and the job with it.
pub fn closes_itself(record: &Worker) -> bool {
    record.booking.is_none() && record.state != WorkerState::Closed
}

fn is_booting(worker: Option<&Worker>) -> bool {
    worker.is_some_and(|worker| worker.state == WorkerState::Booting)
}

#[cfg(test)]
mod tests;
