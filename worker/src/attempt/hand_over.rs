//! The end of a drain: the job goes to an idle worker in the write that closes
//! this one, so that nobody else has it in between.

use aws::store::{CommitError, StoreError, WorkerChange};
use domain::ids::WorkerId;
use domain::job::{Change, Reason, ReasonCode, Totals};
use domain::worker::Booking;

use super::report::{NotOurs, PAUSE, Reporter, Tried};

/// Other idle workers that are tried where the one that was found is idle no
/// more.
const OTHERS: usize = 16;

/// Who is to go on.
pub struct HandOver {
    /// The worker that was found.
    pub to: WorkerId,
    /// What the attempt added up to.
    pub totals: Totals,
}

impl Reporter {
    /// Hands the job over; with nobody left who is idle, or a job that is to
    /// stop, hands it back.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub async fn hand_over(&self, over: HandOver) -> Result<(), NotOurs> {
        let HandOver { to, totals } = over;
        let mut others = self.others(&to).await.into_iter();
        let mut next = Some(to);
        let mut why = "the worker was told to leave, and the one that was ready had gone";
        while let Some(to) = &next {
            match self.try_hand_over(to, totals).await {
                Ok(Tried::Written) => {
                    tracing::info!(to = %to, "handed over");
                    return Ok(());
                }
                // It is to stop: that is for nobody else to do.
                Ok(Tried::Illegal) => {
                    why = "the worker was told to leave";
                    break;
                }
                Err(CommitError::JobChanged) => tokio::time::sleep(self.timing.paced(PAUSE)).await,
                // Another job was faster on this worker.
                Err(CommitError::WorkerChanged) => next = others.next(),
                Err(CommitError::FleetFull | CommitError::Store(StoreError::Conflict)) => {
                    return Err(NotOurs);
                }
                Err(CommitError::Store(error)) => {
                    tracing::warn!(%error, "not handed over yet");
                    tokio::time::sleep(self.timing.paced(PAUSE)).await;
                }
            }
        }
        let reason = reason(why);
        let close = WorkerChange::Close {
            worker: self.worker.clone(),
            seen_beat: None,
        };
        self.report(Change::HandBack { reason, totals }, close)
            .await
    }

    async fn try_hand_over(&self, to: &WorkerId, totals: Totals) -> Result<Tried, CommitError> {
        let change = Change::HandOver {
            to: to.clone(),
            reason: reason("the worker was told to leave; another that was ready goes on"),
            totals,
        };
        let worker = WorkerChange::HandOver {
            from: self.worker.clone(),
            to: to.clone(),
            booking: Booking {
                job: self.booking.job.clone(),
                attempt: self.booking.attempt + 1,
            },
        };
        self.try_report(&change, &worker).await
    }

    /// The other idle workers of its size, as far as they can be seen now.
    async fn others(&self, found: &WorkerId) -> Vec<WorkerId> {
        let idle = async {
            let own = self.store.worker(&self.worker).await?;
            match own {
                Some(own) => self.store.idle_now(own.size, OTHERS).await,
                None => Ok(Vec::new()),
            }
        };
        let idle: Result<_, StoreError> = idle.await;
        let ids = idle.unwrap_or_default().into_iter().map(|idle| idle.id);
        ids.filter(|id| id != found).collect()
    }
}

fn reason(message: &str) -> Reason {
    Reason::new(ReasonCode::WorkerDrained, message)
}

#[cfg(test)]
mod tests;
