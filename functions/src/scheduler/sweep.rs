//! `Sweep`: puts right whatever lost messages left behind, in at most two
//! passes. It compares what it sees with what the pass before saw; it trusts
//! no clock.

use std::time::Duration;

use aws::store::StoreError;
use domain::ids::JobId;
use domain::job::{Job, JobState};
use domain::message::{Message, Watch};
use domain::protocol::{OnSweepJob, OnSweepWorker, on_sweep_job, on_sweep_worker};
use domain::worker::{Booking, Worker, WorkerState};
use futures::StreamExt;

use super::{Failure, Scheduler};

/// Jobs read in one query of the index.
const PAGE: usize = 100;
/// Records seen to at the same time.
const AT_ONCE: usize = 16;

impl Scheduler {
    pub(super) async fn sweep(&self) -> Result<(), Failure> {
        // What one of them fails with keeps the others from nothing.
        let (jobs, endings, deletions, workers) = tokio::join!(
            self.sweep_jobs(),
            self.sweep_endings(),
            self.sweep_deletions(),
            self.sweep_workers()
        );
        jobs.and(endings).and(deletions).and(workers)
    }

    async fn sweep_jobs(&self) -> Result<(), Failure> {
        let mut before: Option<JobId> = None;
        loop {
            let page = self
                .store
                .jobs(&JobState::LIVE, PAGE, before.as_ref())
                .await?;
            let swept = page.jobs.into_iter().map(|job| self.sweep_job(job.id));
            let swept: Vec<_> = futures::stream::iter(swept)
                .buffered(AT_ONCE)
                .collect()
                .await;
            log_failures(swept);
            match page.next {
                Some(next) => before = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn sweep_job(&self, id: JobId) -> Result<(), Failure> {
        let Some(stored) = self.store.job(&id).await? else {
            return Ok(());
        };
        let job = &stored.job;
        if job.state.is_ended() {
            return Ok(());
        }
        if job.state == JobState::Stopping {
            let stop_by = Message::StopBy {
                job: id.clone(),
                attempt: job.attempt,
            };
            self.send(stop_by, self.timing.stop_grace).await?;
        }
        match on_sweep_job(job, stored.watch_seq, stored.swept_watch_seq) {
            OnSweepJob::Schedule => {
                self.send(Message::schedule(id.clone()), Duration::ZERO)
                    .await
            }
            OnSweepJob::NoteWatch => {
                unless_moved(self.store.note_watch(&id, stored.watch_seq).await)
            }
            OnSweepJob::RestartWatch => {
                tracing::warn!(job_id = %id, "the chain of looks had stopped: started again");
                if job.state == JobState::Assigned {
                    self.send(Message::schedule(id.clone()), Duration::ZERO)
                        .await?;
                }
                let watch = Watch {
                    job: id.clone(),
                    attempt: job.attempt,
                    watch_seq: stored.watch_seq,
                    seen_beat: 0,
                    unmoved: 0,
                };
                self.send(Message::Watch(watch), Duration::ZERO).await
            }
        }
    }

    /// Playlists that an ended job has left open, each by a message of its own:
    /// the store may still be slow.
    async fn sweep_endings(&self) -> Result<(), Failure> {
        let page = self.store.jobs_to_end(PAGE, None).await?;
        let asked = page.jobs.into_iter().map(|job| {
            let stop_by = Message::StopBy {
                job: job.id,
                attempt: job.attempt,
            };
            self.send(stop_by, Duration::ZERO)
        });
        log_failures(
            futures::stream::iter(asked)
                .buffered(AT_ONCE)
                .collect()
                .await,
        );
        Ok(())
    }

    async fn sweep_deletions(&self) -> Result<(), Failure> {
        let page = self.store.jobs_to_delete(PAGE, None).await?;
        let deleted = page.jobs.into_iter().map(|job| self.sweep_deletion(job.id));
        log_failures(
            futures::stream::iter(deleted)
                .buffered(AT_ONCE)
                .collect()
                .await,
        );
        Ok(())
    }

    async fn sweep_deletion(&self, id: JobId) -> Result<(), Failure> {
        self.delete(&id).await
    }

    async fn sweep_workers(&self) -> Result<(), Failure> {
        let workers = self.store.workers(&WorkerState::OPEN).await?;
        let swept = workers.into_iter().map(|worker| self.sweep_worker(worker));
        log_failures(
            futures::stream::iter(swept)
                .buffered(AT_ONCE)
                .collect()
                .await,
        );
        Ok(())
    }

    /// The job of a booking. One that can't be read keeps no worker: should
    /// that worker beat no more, it must not count against the fleet's limit.
    async fn booked_job(&self, booking: &Booking) -> Result<Option<Job>, StoreError> {
        match self.store.job(&booking.job).await {
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::error!(%error, "poison");
                Ok(None)
            }
            read => Ok(read?.map(|stored| stored.job)),
        }
    }

    async fn sweep_worker(&self, worker: Worker) -> Result<(), Failure> {
        let job = match &worker.booking {
            Some(booking) => self.booked_job(booking).await?,
            None => None,
        };
        match on_sweep_worker(&worker, job.as_ref()) {
            OnSweepWorker::Leave => Ok(()),
            OnSweepWorker::NoteBeat => {
                unless_moved(self.store.note_beat(&worker.id, worker.beat).await)
            }
            OnSweepWorker::Close => {
                tracing::warn!(worker_id = %worker.id, "a worker that beats no more: closed");
                if let Err(error) = self.launcher.stop(&worker).await {
                    tracing::warn!(worker_id = %worker.id, %error, "could not end the worker");
                }
                self.close(&worker, Some(worker.beat)).await
            }
        }
    }
}

/// A record that moved while it was looked at is in good health.
fn unless_moved(noted: Result<(), StoreError>) -> Result<(), Failure> {
    match noted {
        Ok(()) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One record that can't be swept keeps no other from it; the next sweep
/// comes to it again.
fn log_failures(swept: Vec<Result<(), Failure>>) {
    for failure in swept.into_iter().filter_map(Result::err) {
        tracing::error!(%failure, "not swept");
    }
}
