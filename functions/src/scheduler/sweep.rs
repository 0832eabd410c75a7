//! `Sweep`: puts right whatever lost messages left behind, in at most two
//! passes. It compares what it sees with what the pass before saw; it trusts
//! no clock.

use std::time::Duration;

use aws::store::{CommitError, StoreError, WorkerChange};
use domain::ids::{JobId, WorkerId};
use domain::job::{Job, JobState};
use domain::message::{Message, SweepPage, Watch};
use domain::protocol::{OnSweepJob, OnSweepWorker, on_sweep_job, on_sweep_worker};
use domain::worker::{Booking, Worker};
use futures::StreamExt;
use jiff::Timestamp;
use tracing::Instrument;
use tracing::field::Empty;

use super::{Failure, Scheduler, trace};

/// Records of a page: each costs two or three calls, so a page takes a second
/// or so.
pub(super) const PAGE: usize = 100;
/// Records seen to at the same time.
const AT_ONCE: usize = 16;

impl Scheduler {
    /// The first page of everything. What one part fails with keeps the others
    /// from nothing, and is for the next sweep: taken again at once, this one
    /// would see everything stand still.
    pub(super) async fn sweep(&self) {
        let (jobs, endings, deletions, workers) = tokio::join!(
            self.sweep_jobs(None),
            self.sweep_endings(None),
            self.sweep_deletions(None),
            self.sweep_workers(None)
        );
        // What is missing is known once the dead are closed.
        let standbys = self.keep_standbys().await;
        let parts = [jobs, endings, deletions, workers, standbys];
        log_failures(parts.into_iter().filter_map(Result::err));
    }

    /// A page after the first.
    pub(super) async fn sweep_on(&self, page: &SweepPage) -> Result<(), Failure> {
        match page {
            SweepPage::Jobs { before } => self.sweep_jobs(Some(before)).await,
            SweepPage::Endings { before } => self.sweep_endings(Some(before)).await,
            SweepPage::Deletions { before } => self.sweep_deletions(Some(before)).await,
            SweepPage::Workers { after } => self.sweep_workers(Some(after)).await,
        }
    }

    /// Sees to that the page after this one is swept too. Before this one is:
    /// whatever is slow in it holds up no other.
    async fn send_next(&self, next: Option<SweepPage>) -> Result<(), Failure> {
        match next {
            Some(page) => self.send(Message::SweepOn(page), Duration::ZERO).await,
            None => Ok(()),
        }
    }

    async fn sweep_jobs(&self, before: Option<&JobId>) -> Result<(), Failure> {
        let page = self.store.jobs(&JobState::LIVE, PAGE, before).await?;
        let next = page.next.map(|before| SweepPage::Jobs { before });
        self.send_next(next).await?;
        each(page.jobs, |job| {
            let span = trace(tracing::info_span!("job", trace_id = Empty), &job);
            self.sweep_job(job.id).instrument(span)
        })
        .await;
        Ok(())
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

    /// Playlists that an ended job has left open. Each by a message of its own,
    /// as the store may be slow; so are deletions.
    async fn sweep_endings(&self, before: Option<&JobId>) -> Result<(), Failure> {
        let page = self.store.jobs_to_end(PAGE, before).await?;
        let next = page.next.map(|before| SweepPage::Endings { before });
        self.send_next(next).await?;
        each(page.jobs, |job| {
            let stop_by = Message::StopBy {
                job: job.id,
                attempt: job.attempt,
            };
            self.send(stop_by, Duration::ZERO)
        })
        .await;
        Ok(())
    }

    async fn sweep_deletions(&self, before: Option<&JobId>) -> Result<(), Failure> {
        let page = self.store.jobs_to_delete(PAGE, before).await?;
        let next = page.next.map(|before| SweepPage::Deletions { before });
        self.send_next(next).await?;
        each(page.jobs, |job| {
            self.send(Message::Delete { job: job.id }, Duration::ZERO)
        })
        .await;
        Ok(())
    }

    async fn sweep_workers(&self, after: Option<&WorkerId>) -> Result<(), Failure> {
        let page = self.store.open_workers(PAGE, after).await?;
        let next = page.next.map(|after| SweepPage::Workers { after });
        self.send_next(next).await?;
        let seen_to = each(page.workers, |worker| self.sweep_worker(worker)).await;
        let still: Vec<Worker> = seen_to.into_iter().flatten().collect();
        if still.is_empty() {
            return Ok(());
        }
        // Two sweeps may come within one beat, as the queue repeats them.
        // Whoever lives beats before this has passed.
        tokio::time::sleep(2 * self.timing.beat_interval()).await;
        each(still, async |worker| self.close_still(&worker).await).await;
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

    /// The worker, if it is to be closed unless it beats.
    async fn sweep_worker(&self, worker: Worker) -> Result<Option<Worker>, Failure> {
        let job = match &worker.booking {
            Some(booking) => self.booked_job(booking).await?,
            None => None,
        };
        match on_sweep_worker(&worker, job.as_ref()) {
            OnSweepWorker::Leave => Ok(None),
            OnSweepWorker::NoteBeat => {
                unless_moved(self.store.note_beat(&worker).await)?;
                Ok(None)
            }
            OnSweepWorker::Close => Ok(Some(worker)),
        }
    }

    /// Closes a worker that beats no more. Its record first: booked in this
    /// very moment, it is none of ours to end.
    pub(super) async fn close_still(&self, worker: &Worker) -> Result<(), Failure> {
        let close = WorkerChange::Close {
            worker: worker.id.clone(),
            seen_beat: Some(worker.beat),
        };
        match self.store.commit_worker(close, Timestamp::now()).await {
            Ok(()) => {}
            Err(CommitError::WorkerChanged) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tracing::warn!(worker_id = %worker.id, "a worker that beats no more: closed");
        if let Err(error) = self.launcher.stop(worker).await {
            tracing::warn!(worker_id = %worker.id, %error, "could not end the worker");
        }
        Ok(())
    }
}

/// Sees to each record of a page, a few at the same time; what each came to
/// that could be seen to.
async fn each<T, F, D>(page: Vec<T>, see_to: impl Fn(T) -> F) -> Vec<D>
where
    F: Future<Output = Result<D, Failure>>,
{
    let seen_to = futures::stream::iter(page.into_iter().map(see_to));
    let seen_to: Vec<_> = seen_to.buffered(AT_ONCE).collect().await;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one in seen_to {
        match one {
            Ok(one) => done.push(one),
            Err(failure) => failed.push(failure),
        }
    }
    log_failures(failed);
    done
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
fn log_failures(failures: impl IntoIterator<Item = Failure>) {
    for failure in failures {
        tracing::error!(%failure, "not swept");
    }
}
