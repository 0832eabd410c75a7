//! What the attempt tells the job's record: each state it comes to, in order.

use aws::store::{CommitError, Store, StoreError, WorkerChange};
use domain::ids::WorkerId;
use domain::job::Change;
use domain::protocol::Timing;
use domain::worker::Booking;
use futures::future::BoxFuture;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Pauses between tries are short: the beat ends the attempt when it takes
/// too long.
pub(super) const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// The job is no longer this attempt's to report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the job is another's now")]
pub struct NotOurs;

/// What a try to write a change came to.
pub(super) enum Tried {
    /// It is written.
    Written,
    /// The job's state does not allow it.
    Illegal,
}

/// Writes the attempt's changes to the job's record.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// The records.
    pub store: Store,
    /// Who reports.
    pub worker: WorkerId,
    /// On what.
    pub booking: Booking,
    /// The protocol's times.
    pub timing: Timing,
}

impl Reporter {
    /// Writes a change, with the worker's half of it; tries until it is
    /// written or the job is another's.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub async fn report(&self, change: Change, mut worker: WorkerChange) -> Result<(), NotOurs> {
        loop {
            match self.try_report(&change, &worker).await {
                // A wish of the client's came in between, as a stop: the
                // attempt learns of it with its next beat.
                Ok(Tried::Written | Tried::Illegal) => return Ok(()),
                // Read before another's change: the next try reads after it.
                Err(CommitError::JobChanged) => tokio::time::sleep(self.timing.paced(PAUSE)).await,
                // Drained meanwhile: it takes no other job, so it leaves.
                Err(CommitError::WorkerChanged)
                    if matches!(worker, WorkerChange::Release { .. }) =>
                {
                    worker = WorkerChange::Close {
                        worker: self.worker.clone(),
                        seen_beat: None,
                    };
                }
                Err(CommitError::WorkerChanged | CommitError::FleetFull) => return Err(NotOurs),
                Err(CommitError::Store(StoreError::Conflict)) => return Err(NotOurs),
                Err(CommitError::Store(error)) => {
                    tracing::warn!(%error, "a change could not be written yet");
                    tokio::time::sleep(self.timing.paced(PAUSE)).await;
                }
            }
        }
    }

    /// One try, on the job as it is now.
    pub(super) async fn try_report(
        &self,
        change: &Change,
        worker: &WorkerChange,
    ) -> Result<Tried, CommitError> {
        let stored = self
            .store
            .job(&self.booking.job)
            .await?
            .ok_or(StoreError::Conflict)?;
        let job = stored.job;
        if !job.is_booked_on(&self.worker, self.booking.attempt) {
            return Err(StoreError::Conflict.into());
        }
        match job.apply(change.clone(), Timestamp::now()) {
            Ok(transition) => {
                self.store.commit(&transition, worker.clone()).await?;
                Ok(Tried::Written)
            }
            Err(illegal) => {
                tracing::warn!(%illegal, "not reported");
                Ok(Tried::Illegal)
            }
        }
    }

    /// Writes changes in the order they are told, beside the attempt's loop.
    pub fn spawn(self) -> Reporting {
        let (sender, mut changes) = mpsc::unbounded_channel();
        let ending = CancellationToken::new();
        let ends = ending.clone();
        let reporting = async move {
            while let Some(change) = changes.recv().await {
                let change = match change {
                    Told::Now(change) => change,
                    Told::Later(change) => match ends.run_until_cancelled(change).await {
                        Some(change) => change,
                        // What was to come of it comes too late.
                        None => continue,
                    },
                };
                if self.report(change, WorkerChange::None).await.is_err() {
                    return;
                }
            }
        };
        let task = tokio::spawn(reporting.in_current_span());
        Reporting {
            changes: Some(sender),
            ending,
            task,
        }
    }
}

/// What a reporter is told.
enum Told {
    Now(Change),
    /// A change that is to come; those after it wait for it.
    Later(BoxFuture<'static, Change>),
}

/// A reporter at work. Dropped, it stops at once.
pub struct Reporting {
    changes: Option<mpsc::UnboundedSender<Told>>,
    /// Nothing is waited for any more.
    ending: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Reporting {
    /// Has a change written after those before it.
    pub fn tell(&self, change: Change) {
        self.send(Told::Now(change));
    }

    /// The same for a change that is to come.
    pub fn tell_later(&self, change: BoxFuture<'static, Change>) {
        self.send(Told::Later(change));
    }

    fn send(&self, told: Told) {
        if let Some(changes) = &self.changes {
            // Its task ends early only when the job is another's, which the
            // beat tells too.
            let _ = changes.send(told);
        }
    }

    /// Waits until all is written but what is still to come, or the job is
    /// another's.
    pub async fn drain(mut self) {
        self.changes = None;
        self.ending.cancel();
        // A panic in it has been printed.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.task.abort();
    }
}
