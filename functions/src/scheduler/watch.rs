//! `Watch` and `TaskStopped`: is the worker alive, and what if not.

use std::time::Duration;

use aws::store::{StoreError, WorkerChange};
use domain::ids::WorkerId;
use domain::job::{Change, Job, Reason, ReasonCode, Totals};
use domain::message::{Message, Watch};
use domain::protocol::{OnTaskStopped, OnWatch, on_task_stopped, on_watch};
use domain::worker::{Worker, WorkerState};
use jiff::Timestamp;

use super::{Failure, Scheduler, transition};

impl Scheduler {
    /// A look, brought by the message with this id.
    pub(super) async fn watch(&self, watch: &Watch, message: &str) -> Result<(), Failure> {
        let Some(stored) = self.job(&watch.job).await? else {
            return Ok(());
        };
        // A closed one has left already: there is nothing to end or to close.
        let worker = self
            .store
            .worker_of(&stored.job)
            .await?
            .filter(|worker| worker.state != WorkerState::Closed);
        let decision = on_watch(
            Some(&stored.job),
            stored.watch_seq_for(message),
            worker.as_ref(),
            watch,
            &self.timing,
        );
        match decision {
            OnWatch::Drop => Ok(()),
            OnWatch::LookAgain(next) => {
                match self
                    .store
                    .advance_watch(&next.job, next.attempt, watch.watch_seq, message)
                    .await
                {
                    // Another message with this link was faster: the chain goes on there.
                    Err(StoreError::Conflict) => return Ok(()),
                    advanced => advanced?,
                }
                let handed_over = next.attempt != watch.attempt;
                self.send(Message::Watch(next), self.timing.look_interval())
                    .await?;
                if handed_over {
                    self.make_up_for_booking().await;
                }
                if let Some(worker) = &worker {
                    self.look_at_drain(&stored.job, worker).await;
                }
                Ok(())
            }
            OnWatch::Dead(reason) => match worker {
                Some(worker) => self.replace(&stored.job, &worker, reason).await,
                // Handed over between the two reads: the same look again.
                None if self.has_moved_on(&stored.job).await? => {
                    self.send(Message::Watch(watch.clone()), Duration::ZERO)
                        .await
                }
                None => {
                    self.lose(&stored.job, reason, Totals::default(), None)
                        .await
                }
            },
        }
    }

    async fn has_moved_on(&self, job: &Job) -> Result<bool, Failure> {
        let now = self.store.job(&job.id).await?;
        Ok(now.is_none_or(|stored| stored.job.attempt != job.attempt))
    }

    pub(super) async fn task_stopped(&self, id: &WorkerId) -> Result<(), Failure> {
        let Some(worker) = self.store.worker(id).await? else {
            return Ok(());
        };
        let job = match &worker.booking {
            Some(booking) => self.job(&booking.job).await?,
            None => None,
        };
        let job = job.map(|stored| stored.job);
        match (on_task_stopped(&worker, job.as_ref()), job) {
            (OnTaskStopped::LoseJob, Some(job)) => {
                let reason = Reason::new(ReasonCode::WorkerExited, "the worker's process ended");
                // The process is certainly gone: its beat says nothing any more.
                self.lose(&job, reason, totals(&worker), None).await
            }
            // A worker has no queue to say itself that it handed it back.
            (OnTaskStopped::ScheduleAgain { close }, Some(job)) => {
                self.schedule_again(&job).await?;
                match close {
                    true => self.close_gone(&worker).await,
                    false => Ok(()),
                }
            }
            (OnTaskStopped::Close, _) => self.close_gone(&worker).await,
            (OnTaskStopped::Drop, _) | (_, None) => Ok(()),
        }
    }

    /// Closes a worker whose process is gone. Booked just now, it is not
    /// closed: the next delivery takes that job from it.
    async fn close_gone(&self, worker: &Worker) -> Result<(), Failure> {
        let close = WorkerChange::Close {
            worker: worker.id.clone(),
            seen_beat: Some(worker.beat),
        };
        Ok(self.store.commit_worker(close, Timestamp::now()).await?)
    }

    /// Takes a job from a worker that seems dead: ends the worker first, then
    /// writes, on condition that its beat has not moved since it was seen.
    pub(super) async fn replace(
        &self,
        job: &Job,
        worker: &Worker,
        reason: Reason,
    ) -> Result<(), Failure> {
        // The fences hold without this, so its failure holds nothing up.
        if let Err(error) = self.launcher.stop(worker).await {
            tracing::warn!(worker_id = %worker.id, %error, "could not end the worker");
        }
        self.lose(job, reason, totals(worker), Some(worker.beat))
            .await
    }

    /// Takes a job from its worker: on condition that this still stands at the
    /// beat that was seen, or, without one, in any case.
    async fn lose(
        &self,
        job: &Job,
        reason: Reason,
        totals: Totals,
        seen_beat: Option<u64>,
    ) -> Result<(), Failure> {
        let change = Change::LoseWorker {
            reason: reason.clone(),
            totals,
        };
        let lost = transition(job, change)?;
        match (seen_beat, job.worker_id.clone()) {
            (Some(_), Some(worker)) => {
                let close = WorkerChange::Close { worker, seen_beat };
                self.store.commit(&lost, close).await?;
            }
            (_, worker) => self.commit_closing(&lost, worker).await?,
        }
        tracing::warn!(job_id = %job.id, attempt = job.attempt, ?reason, "worker lost");
        if lost.job.state.is_ended() {
            return self.end_playlists(&lost.job).await;
        }
        self.schedule_again(&lost.job).await
    }
}

/// What a worker's attempt had added up to at its last beat.
pub(super) fn totals(worker: &Worker) -> Totals {
    worker
        .stats
        .as_ref()
        .map(|stats| stats.totals)
        .unwrap_or_default()
}
