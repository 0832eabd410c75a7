//! `Schedule`: an idle worker, or a new one.

use std::borrow::Cow;
use std::time::Duration;

use aws::launcher::LaunchError;
use aws::store::{CommitError, StoreError, StoredJob, WorkerChange};
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Job, Reason, ReasonCode};
use domain::message::{Message, Watch};
use domain::protocol::{OnSchedule, on_schedule};
use domain::worker::{Booking, Worker};
use rand::seq::SliceRandom;

use super::{Failure, Scheduler, transition};

/// Idle workers looked at in one go; a few lost races still leave some.
const IDLE_PAGE: usize = 16;

/// How many such pages are looked at before a worker is launched. The first
/// does unless it was lost whole, so this bounds what a rush costs.
const IDLE_PAGES: usize = 3;

/// The longest pause before a job that waits for the fleet is tried again: a
/// worker that comes free must not idle for long.
const FLEET_PAUSE: Duration = Duration::from_secs(2);

/// What is known of a try to place a job, from the message that asks for it.
#[derive(Clone, Copy)]
pub(super) struct Try<'a> {
    /// For a retry: the failures it follows.
    pub after_failures: Option<u32>,
    /// For a try of a job that waits for the fleet: its link of the chain.
    pub seq: Option<u64>,
    /// The message's id.
    pub message: &'a str,
}

/// What an attempt to book an idle worker came to.
enum Booked {
    Done,
    NoneIdle,
}

impl Scheduler {
    pub(super) async fn schedule(&self, id: &JobId, tried: Try<'_>) -> Result<(), Failure> {
        let Some(stored) = self.job(id).await? else {
            return Ok(());
        };
        let job = &stored.job;
        // Another chain of tries has taken over from this one.
        let link = stored.watch_seq_for(tried.message);
        if tried.seq.is_some_and(|seq| seq != link) {
            return Ok(());
        }
        let worker = self.store.worker_of(job).await?;
        match on_schedule(Some(job), worker.as_ref(), tried.after_failures) {
            OnSchedule::Drop => Ok(()),
            OnSchedule::Place => {
                self.place(&stored, tried).await?;
                self.make_up_for_booking().await;
                Ok(())
            }
            OnSchedule::DriveLaunch => match worker {
                Some(worker) => self.drive_launch(job, &worker).await,
                None => Ok(()),
            },
        }
    }

    async fn place(&self, stored: &StoredJob, tried: Try<'_>) -> Result<(), Failure> {
        match self.book_idle(&stored.job).await? {
            Booked::Done => Ok(()),
            Booked::NoneIdle => self.book_new(stored, tried).await,
        }
    }

    /// Tries page after page, as far as each has workers: when all jobs come
    /// at once, a page may be gone by the time it is tried, while others idle.
    async fn book_idle(&self, job: &Job) -> Result<Booked, Failure> {
        let size = self.size_for(job);
        for _ in 0..IDLE_PAGES {
            let mut idle = self
                .store
                .idle_workers(size, &WorkerId::generate(), IDLE_PAGE)
                .await?;
            if idle.is_empty() {
                break;
            }
            idle.shuffle(&mut rand::rng());
            for worker in idle {
                if self.book(job, worker).await? {
                    return Ok(Booked::Done);
                }
            }
        }
        Ok(Booked::NoneIdle)
    }

    /// Books this idle worker; `false` where another job was faster.
    async fn book(&self, job: &Job, worker: WorkerId) -> Result<bool, Failure> {
        let booked = transition(
            job,
            Change::Book {
                worker: worker.clone(),
            },
        )?;
        let booking = Booking {
            job: job.id.clone(),
            attempt: booked.job.attempt,
        };
        let change = WorkerChange::Book { worker, booking };
        match self.store.commit(&booked, change).await {
            Ok(()) => {}
            Err(CommitError::WorkerChanged) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        tracing::info!(job_id = %job.id, attempt = booked.job.attempt, "booked an idle worker");
        self.start_watch(&booked.job).await?;
        Ok(true)
    }

    /// Books a worker that is yet to be launched. Its id is derived from job
    /// and attempt, so whoever repeats this launches the same one.
    async fn book_new(&self, stored: &StoredJob, tried: Try<'_>) -> Result<(), Failure> {
        let job = &stored.job;
        let id = WorkerId::for_attempt(&job.id, job.attempt + 1);
        let booked = transition(job, Change::Book { worker: id.clone() })?;
        let booking = Booking {
            job: job.id.clone(),
            attempt: booked.job.attempt,
        };
        let size = self.size_for(job);
        let worker = Worker::booting(id, size, Some(booking), booked.job.updated_at);
        let launch = WorkerChange::Launch {
            worker: Box::new(worker.clone()),
            max_workers: self.max_workers,
        };
        match self.store.commit(&booked, launch).await {
            Ok(()) => self.drive_launch(&booked.job, &worker).await,
            Err(CommitError::FleetFull) => self.wait_for_fleet(stored, tried).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a job wait for a worker to come free: its history says so once,
    /// then it is tried again and again. Each try advances the job's chain, so
    /// that one delivered twice does not fork it; a `Schedule` from elsewhere,
    /// as from the sweep, takes the chain over.
    async fn wait_for_fleet(&self, stored: &StoredJob, tried: Try<'_>) -> Result<(), Failure> {
        let mut job = Cow::Borrowed(&stored.job);
        let waits = job
            .reason
            .as_ref()
            .is_some_and(|reason| reason.code == ReasonCode::FleetLimit);
        let longest = self.timing.paced(FLEET_PAUSE);
        let mut pause = longest;
        if !waits {
            let limit = self.max_workers.unwrap_or_default();
            let message = format!("all {limit} workers are in use; the job waits for one");
            let reason = Reason::new(ReasonCode::FleetLimit, message);
            let waiting = transition(&job, Change::NotPlaced { reason })?;
            self.store.commit(&waiting, WorkerChange::None).await?;
            job = Cow::Owned(waiting.job);
            pause = self.timing.placement_backoff(job.failures).min(longest);
        }
        let seq = stored.watch_seq_for(tried.message);
        match self
            .store
            .advance_watch(&job.id, job.attempt, seq, tried.message)
            .await
        {
            // Another try was faster: the chain goes on there.
            Err(StoreError::Conflict) => return Ok(()),
            advanced => advanced?,
        }
        let next = Message::Schedule {
            job: job.id.clone(),
            after_failures: Some(job.failures),
            try_seq: Some(seq + 1),
        };
        self.send(next, pause).await
    }

    /// Launches the worker of a booking, and watches it from before: a launch
    /// that is lost with this scheduler is found by its watch.
    async fn drive_launch(&self, job: &Job, worker: &Worker) -> Result<(), Failure> {
        self.start_watch(job).await?;
        match self.launcher.launch(&worker.id, worker.size).await {
            Ok(task) => match self.store.note_task(&worker.id, &task).await {
                Ok(()) => {
                    tracing::info!(job_id = %job.id, attempt = job.attempt, worker_id = %worker.id, task, "launched a worker");
                    Ok(())
                }
                // Given up meanwhile: it must not stay.
                Err(StoreError::Conflict) => {
                    let closed = Worker {
                        task: Some(task),
                        ..worker.clone()
                    };
                    self.launcher
                        .stop(&closed)
                        .await
                        .map_err(|e| Failure::Retry(e.to_string()))
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => {
                let code = match error {
                    LaunchError::NoCapacity(_) => ReasonCode::NoCapacity,
                    LaunchError::Failed(_) => ReasonCode::LaunchFailed,
                };
                self.replace(job, worker, Reason::new(code, error.to_string()))
                    .await
            }
        }
    }

    async fn start_watch(&self, job: &Job) -> Result<(), Failure> {
        let watch_seq = self
            .store
            .job(&job.id)
            .await?
            .map(|stored| stored.watch_seq)
            .unwrap_or_default();
        let watch = Watch {
            job: job.id.clone(),
            attempt: job.attempt,
            watch_seq,
            seen_beat: 0,
            unmoved: 0,
        };
        self.send(Message::Watch(watch), self.timing.look_interval())
            .await
    }

    /// Asks for the next placement, after the pause its failures call for.
    pub(super) async fn schedule_again(&self, job: &Job) -> Result<(), Failure> {
        let pause = self.timing.placement_backoff(job.failures);
        let again = Message::Schedule {
            job: job.id.clone(),
            after_failures: (pause > Duration::ZERO).then_some(job.failures),
            try_seq: None,
        };
        self.send(again, pause).await
    }
}
