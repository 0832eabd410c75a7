//! Workers that are kept warm (`min_idle`): launched by each sweep and after
//! each booking, as far as they are missing.

use aws::store::{CommitError, StoreError, WorkerChange};
use domain::ids::WorkerId;
use domain::protocol::Standbys;
use domain::spec::WorkerSize;
use domain::worker::Worker;
use jiff::Timestamp;

use super::{Failure, Scheduler};

impl Scheduler {
    /// Standbys have the one size of all workers, or the smallest: most jobs
    /// are, and what is kept warm costs.
    fn standbys(&self) -> Standbys {
        Standbys {
            min_idle: self.min_idle,
            size: self.one_size.unwrap_or(WorkerSize::Small),
        }
    }

    /// Tells the fleet how many are kept warm, and launches what is missing.
    pub(super) async fn keep_standbys(&self) -> Result<(), Failure> {
        let told = self.store.fleet().await?.standbys;
        let standbys = self.standbys();
        if told.unwrap_or(Standbys {
            min_idle: 0,
            ..standbys
        }) != standbys
        {
            self.store.set_standbys(standbys).await?;
        }
        self.launch_standbys().await
    }

    /// The same after a booking, which is done: what fails here is for the
    /// sweep.
    pub(super) async fn make_up_for_booking(&self) {
        if let Err(failure) = self.launch_standbys().await {
            tracing::warn!(%failure, "no standby launched");
        }
    }

    async fn launch_standbys(&self) -> Result<(), Failure> {
        let standbys = self.standbys();
        if standbys.min_idle == 0 {
            return Ok(());
        }
        let counted = self.store.fleet().await?.counted;
        let limit = usize::try_from(standbys.min_idle).unwrap_or(usize::MAX);
        let spare = self.store.spare_workers(standbys.size, limit).await?;
        let missing = standbys.missing(&spare);
        for counted in counted..counted + missing {
            if !self.launch_standby(standbys.size, counted).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Launches one, if nobody else has decided by a count since; whether it
    /// was.
    async fn launch_standby(&self, size: WorkerSize, counted: u64) -> Result<bool, Failure> {
        let now = Timestamp::now();
        let worker = Worker::booting(WorkerId::generate(), size, None, now);
        let launch = WorkerChange::Launch {
            worker: Box::new(worker.clone()),
            max_workers: self.max_workers,
        };
        match self.store.commit_counted(launch, counted, now).await {
            Ok(()) => {}
            // The jobs need them all, or another scheduler is at it.
            Err(CommitError::FleetFull | CommitError::WorkerChanged) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        tracing::info!(worker_id = %worker.id, "a standby is launched");
        match self.launcher.launch(&worker.id, size).await {
            Ok(task) => match self.store.note_task(&worker.id, &task).await {
                // Given up meanwhile: it finds that out by itself.
                Ok(()) | Err(StoreError::Conflict) => Ok(true),
                Err(error) => Err(error.into()),
            },
            Err(error) => {
                tracing::warn!(worker_id = %worker.id, %error, "a standby could not be launched");
                self.close_still(&worker).await?;
                Ok(false)
            }
        }
    }
}
