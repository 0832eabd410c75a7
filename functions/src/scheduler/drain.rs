//! A standby for the job of a worker that was told to leave: the looks at that
//! worker see to it, so whoever tells it has to tell nobody else.

use aws::launcher::LaunchError;
use aws::store::{CommitError, StoreError, WorkerChange};
use domain::ids::WorkerId;
use domain::job::Job;
use domain::protocol::{OnDraining, on_draining};
use domain::worker::{Worker, WorkerState};
use jiff::Timestamp;

use super::{Failure, Scheduler};

impl Scheduler {
    /// What the look has come for is done: what fails here is for the next.
    pub(super) async fn look_at_drain(&self, job: &Job, worker: &Worker) {
        if worker.state != WorkerState::Draining {
            return;
        }
        if let Err(failure) = self.see_to_standby(job, worker).await {
            tracing::warn!(job_id = %job.id, %failure, "no standby yet");
        }
    }

    async fn see_to_standby(&self, job: &Job, worker: &Worker) -> Result<(), Failure> {
        let id = WorkerId::for_standby(&job.id, job.attempt);
        let idle = self.store.idle_now(worker.size, 1).await?;
        let standby = self.store.worker(&id).await?;
        match on_draining(worker, job, !idle.is_empty(), standby.as_ref()) {
            OnDraining::Leave => Ok(()),
            OnDraining::Launch => {
                let now = Timestamp::now();
                let standby = Worker::booting(id, worker.size, None, now);
                let launch = WorkerChange::Launch {
                    worker: Box::new(standby.clone()),
                    max_workers: self.max_workers,
                };
                match self.store.commit_worker(launch, now).await {
                    Ok(()) => self.launch_for_drain(worker, &standby).await,
                    // Another look was faster.
                    Err(CommitError::WorkerChanged) => Ok(()),
                    Err(CommitError::FleetFull) => self.refuse(worker).await,
                    Err(error) => Err(error.into()),
                }
            }
            OnDraining::LaunchAgain => match standby {
                Some(standby) => self.launch_for_drain(worker, &standby).await,
                None => Ok(()),
            },
            OnDraining::Refuse => self.refuse(worker).await,
        }
    }

    async fn launch_for_drain(&self, worker: &Worker, standby: &Worker) -> Result<(), Failure> {
        match self.start_standby(standby).await? {
            Ok(()) => Ok(()),
            Err(LaunchError::NoCapacity(_)) => {
                self.close_still(standby).await?;
                self.refuse(worker).await
            }
            // The next look launches it again.
            Err(LaunchError::Failed(_)) => Ok(()),
        }
    }

    /// The worker need not wait: its job goes the way of any other.
    async fn refuse(&self, worker: &Worker) -> Result<(), Failure> {
        tracing::info!(worker_id = %worker.id, "no standby can be had for the job of this worker");
        match self.store.refuse_standby(&worker.id).await {
            // It has left already.
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
