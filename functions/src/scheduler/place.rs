//! `Schedule`: an idle worker, or a new one.

use std::time::Duration;

use aws::launcher::LaunchError;
use aws::store::{CommitError, StoreError, WorkerChange};
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Job, Reason, ReasonCode};
use domain::message::{Message, Watch};
use domain::protocol::{OnSchedule, on_schedule};
use domain::worker::{Booking, Worker};
use jiff::Timestamp;
use rand::seq::SliceRandom;

use super::{Failure, Scheduler, transition};

/// Idle workers looked at in one go; a few lost races still leave some.
const IDLE_PAGE: usize = 16;

/// The longest pause before a job that waits for the fleet is tried again: a
/// worker that comes free must not idle for long.
const FLEET_PAUSE: Duration = Duration::from_secs(2);

/// What an attempt to book an idle worker came to.
enum Booked {
    Done,
    NoneIdle,
}

impl Scheduler {
    pub(super) async fn schedule(
        &self,
        id: &JobId,
        after_failures: Option<u32>,
    ) -> Result<(), Failure> {
        let job = self.store.job(id).await?.map(|stored| stored.job);
        let worker = match &job {
            Some(job) => self.worker_of(job).await?,
            None => None,
        };
        match on_schedule(job.as_ref(), worker.as_ref(), after_failures) {
            OnSchedule::Drop => Ok(()),
            OnSchedule::Place => match job {
                Some(job) => self.place(&job, after_failures).await,
                None => Ok(()),
            },
            OnSchedule::DriveLaunch => match job.zip(worker) {
                Some((job, worker)) => self.drive_launch(&job, &worker).await,
                None => Ok(()),
            },
        }
    }

    async fn place(&self, job: &Job, after_failures: Option<u32>) -> Result<(), Failure> {
        match self.book_idle(job).await? {
            Booked::Done => Ok(()),
            Booked::NoneIdle => self.book_new(job, after_failures).await,
        }
    }

    async fn book_idle(&self, job: &Job) -> Result<Booked, Failure> {
        let size = self.size_for(job);
        let mut idle = self
            .store
            .idle_workers(size, &WorkerId::generate(), IDLE_PAGE)
            .await?;
        idle.shuffle(&mut rand::rng());
        for worker in idle {
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
            match self
                .store
                .commit(&booked, WorkerChange::Book { worker, booking })
                .await
            {
                Ok(()) => {
                    tracing::info!(job_id = %job.id, attempt = booked.job.attempt, "booked an idle worker");
                    self.start_watch(&booked.job).await?;
                    return Ok(Booked::Done);
                }
                // Another job was faster on this worker.
                Err(CommitError::WorkerChanged) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Booked::NoneIdle)
    }

    /// Books a worker that is yet to be launched. Its id is derived from job
    /// and attempt, so whoever repeats this launches the same one.
    async fn book_new(&self, job: &Job, after_failures: Option<u32>) -> Result<(), Failure> {
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
            Err(CommitError::FleetFull) => self.wait_for_fleet(job, after_failures).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a job wait for a worker to come free. Its history says so once,
    /// not at each try; but a `Schedule` that follows no failures starts a
    /// chain of tries of its own, and only a count of its own ends the others. (So a
    /// link delivered twice makes two chains, until the next sweep's ends both.)
    async fn wait_for_fleet(&self, job: &Job, after_failures: Option<u32>) -> Result<(), Failure> {
        let waits = job
            .reason
            .as_ref()
            .is_some_and(|reason| reason.code == ReasonCode::FleetLimit);
        let longest = self.timing.paced(FLEET_PAUSE);
        if waits && after_failures.is_some() {
            return self.try_again(job, longest).await;
        }
        let limit = self.max_workers.unwrap_or_default();
        let message = format!("all {limit} workers are in use; the job waits for one");
        let reason = Reason::new(ReasonCode::FleetLimit, message);
        let waiting = transition(job, Change::NotPlaced { reason })?;
        self.store.commit(&waiting, WorkerChange::None).await?;
        let pause = self.timing.placement_backoff(waiting.job.failures);
        self.try_again(&waiting.job, pause.min(longest)).await
    }

    /// Launches the worker of a booking, and watches it from before: a launch
    /// that is lost with this scheduler is found by its watch.
    async fn drive_launch(&self, job: &Job, worker: &Worker) -> Result<(), Failure> {
        self.start_watch(job).await?;
        match self.launcher.launch(&worker.id, worker.size).await {
            Ok(task) => match self.store.note_task(&worker.id, &task).await {
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
                noted => Ok(noted?),
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
        self.try_again(job, pause).await
    }

    async fn try_again(&self, job: &Job, pause: Duration) -> Result<(), Failure> {
        let after_failures = (pause > Duration::ZERO).then_some(job.failures);
        self.send(
            Message::Schedule {
                job: job.id.clone(),
                after_failures,
            },
            pause,
        )
        .await
    }

    /// Closes a worker that serves nobody.
    pub(super) async fn close(
        &self,
        worker: &Worker,
        seen_beat: Option<u64>,
    ) -> Result<(), Failure> {
        let change = WorkerChange::Close {
            worker: worker.id.clone(),
            seen_beat,
        };
        match self.store.commit_worker(change, Timestamp::now()).await {
            // Closed already, or alive after all.
            Ok(()) | Err(CommitError::WorkerChanged) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
