//! `StopBy`, `Delete` and `Purge`: an end that is certain to come.

use std::time::Duration;

use aws::media::ChannelError;
use aws::names::NameError;
use aws::store::{CommitError, WorkerChange};
use domain::ids::JobId;
use domain::job::{Change, Job};
use domain::message::Message;
use domain::protocol::{OnDelete, OnStopBy, on_delete, on_stop_by, playlists_are_to_end};
use domain::spec::Source;
use domain::worker::{Booking, WorkerState};
use jiff::Timestamp;

use super::watch::totals;
use super::{Failure, Scheduler, transition};

/// What the object store may take to end playlists; then the sweep asks again.
const ENDING: Duration = Duration::from_secs(5);
/// How often a deletion looks whether its job has ended.
const DELETE_PAUSE: Duration = Duration::from_secs(1);
/// So long after a lease the last request of a worker that died is over, its
/// timeout and one retry of the store's client included.
const LAST_REQUESTS: Duration = Duration::from_secs(60);

impl Scheduler {
    pub(super) async fn stop_by(&self, id: &JobId, attempt: u64) -> Result<(), Failure> {
        let job = self.job(id).await?.map(|stored| stored.job);
        match (on_stop_by(job.as_ref(), attempt), job) {
            (OnStopBy::Force, Some(job)) => self.force_stop(&job).await,
            (OnStopBy::EndPlaylists, Some(job)) => self.end_playlists(&job).await,
            (OnStopBy::Drop, _) | (_, None) => Ok(()),
        }
    }

    /// Stops a job without its worker, and ends that worker, unless it has
    /// finished just now and may serve another.
    async fn force_stop(&self, job: &Job) -> Result<(), Failure> {
        let own = Booking {
            job: job.id.clone(),
            attempt: job.attempt,
        };
        let worker = self.store.worker_of(job).await?.filter(|worker| {
            worker.state != WorkerState::Closed && worker.booking.as_ref() == Some(&own)
        });
        if let Some(worker) = &worker
            && let Err(error) = self.launcher.stop(worker).await
        {
            tracing::warn!(worker_id = %worker.id, %error, "could not end the worker");
        }
        let change = Change::ForceStop {
            totals: worker.as_ref().map(totals).unwrap_or_default(),
        };
        let stopped = transition(job, change)?;
        // Should it have stopped in time after all, the next delivery sees that.
        self.commit_closing(&stopped, job.worker_id.clone()).await?;
        self.end_playlists(&stopped.job).await
    }

    /// Takes the name of an ended job's ingest away: no worker has it any more.
    async fn release_name(&self, job: &Job) -> Result<(), Failure> {
        let pushed = matches!(job.spec.input.source, Source::Push { .. });
        let Some(names) = self.names.as_ref().filter(|_| pushed) else {
            return Ok(());
        };
        match names.release(&job.id, job.attempt).await {
            // A later attempt has it.
            Ok(()) | Err(NameError::Fenced { .. }) => Ok(()),
            Err(error @ NameError::Retry(_)) => Err(Failure::Retry(error.to_string())),
        }
    }

    /// Ends the playlists of an ended job, where its worker has not, takes its
    /// name away, and notes that it is done. What can't be done now the next sweep asks for again.
    pub(super) async fn end_playlists(&self, job: &Job) -> Result<(), Failure> {
        if !playlists_are_to_end(job) {
            return Ok(());
        }
        let released = self.release_name(job).await;
        let ending = tokio::time::timeout(self.timing.paced(ENDING), self.end_channel(job));
        let Ok(ended) = ending.await else {
            tracing::warn!(job_id = %job.id, "the store does not answer: playlists not ended yet");
            return Ok(());
        };
        match ended {
            // A higher attempt or a deletion has them: they are not ours to end.
            Ok(()) | Err(ChannelError::Fenced { .. } | ChannelError::Deleted) => {}
            Err(ChannelError::Corrupt(fault)) => {
                tracing::error!(job_id = %job.id, %fault, "poison: playlists can't be ended");
                return Ok(());
            }
            Err(error @ ChannelError::Retry(_)) => {
                tracing::warn!(job_id = %job.id, %error, "playlists not ended yet");
                return Ok(());
            }
        }
        if let Err(failure) = released {
            tracing::warn!(job_id = %job.id, %failure, "the ingest's name is still there");
            return Ok(());
        }
        let ended = transition(job, Change::EndPlaylists)?;
        match self.store.commit(&ended, WorkerChange::None).await {
            // Changed meanwhile: started again, or for the next sweep to see.
            Ok(()) | Err(CommitError::JobChanged) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn end_channel(&self, job: &Job) -> Result<(), ChannelError> {
        let media = self.media.of(&job.spec).clone();
        aws::media::end_channel(media, &job.id, job.attempt, &Timestamp::now).await
    }

    pub(super) async fn delete(&self, id: &JobId) -> Result<(), Failure> {
        let job = self.job(id).await?.map(|stored| stored.job);
        let decision = on_delete(job.as_ref());
        let Some(job) = job else { return Ok(()) };
        match decision {
            OnDelete::Drop => return Ok(()),
            OnDelete::Wait => {
                let pause = self.timing.paced(DELETE_PAUSE);
                return self.send(Message::Delete { job: id.clone() }, pause).await;
            }
            OnDelete::RemoveMedia => {
                self.release_name(&job).await?;
                let bucket = job.spec.output.bucket();
                let media = self.media.named(bucket);
                aws::media::delete_media(media, id, job.attempt, &Timestamp::now)
                    .await
                    .map_err(retry)?;
                let purge = Message::Purge {
                    job: id.clone(),
                    bucket: bucket.map(str::to_owned),
                };
                let pause = self.timing.lease + self.timing.paced(LAST_REQUESTS);
                self.send(purge, pause).await?;
            }
            OnDelete::EndPlaylists => {
                self.release_name(&job).await?;
                match self.end_channel(&job).await {
                    Err(error @ ChannelError::Retry(_)) => {
                        return Err(Failure::Retry(error.to_string()));
                    }
                    Err(ChannelError::Corrupt(fault)) => {
                        tracing::error!(job_id = %job.id, %fault, "poison: playlists can't be ended");
                    }
                    Ok(()) | Err(ChannelError::Fenced { .. } | ChannelError::Deleted) => {}
                }
            }
            OnDelete::Remove => {}
        }
        Ok(self.store.delete_job(&job).await?)
    }

    pub(super) async fn purge(&self, id: &JobId, bucket: Option<&str>) -> Result<(), Failure> {
        let media = self.media.named(bucket);
        aws::media::purge_deleted(media, id).await.map_err(retry)
    }
}

fn retry(error: ChannelError) -> Failure {
    Failure::Retry(error.to_string())
}
