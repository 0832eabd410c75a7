//! The scheduler: takes the queue's messages, reads the records, decides (in
//! `domain::protocol`) and writes on condition.
//!
//! Every message is safe to take twice, late or never. One that can't be read
//! fails alone and ends in the dead-letter queue; one that could not be
//! carried out just now comes again.

mod drain;
mod place;
mod standby;
mod stop;
mod sweep;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use aws::launcher::WorkerLauncher;
use aws::media::MediaStores;
use aws::names::IngestNames;
use aws::queue::{JobQueue, QueueError};
use aws::store::{CommitError, Store, StoreError, StoredJob, WorkerChange};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, IllegalChange, Job, Transition};
use domain::message::Message;
use domain::protocol::Timing;
use domain::spec::WorkerSize;
use jiff::Timestamp;
use place::Try;
use rand::RngExt;
use thiserror::Error;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// How often a message is tried before it goes back to the queue, which may
/// bring it again only after its visibility timeout.
const TRIES: u32 = 8;
/// The longest pause after the first try, which doubles with each: three
/// seconds in all, at most. How long it is is random, as those that met each
/// other must not meet again.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The scheduler and what it works with.
pub struct Scheduler {
    /// The records.
    pub store: Store,
    /// Its own queue.
    pub queue: Arc<dyn JobQueue>,
    /// How workers are started and ended.
    pub launcher: Arc<dyn WorkerLauncher>,
    /// Where channels are published.
    pub media: MediaStores,
    /// The names of ingests, where the operator has a zone.
    pub names: Option<IngestNames>,
    /// The protocol's times.
    pub timing: Timing,
    /// How many workers there may be; `None`: no limit.
    pub max_workers: Option<u64>,
    /// How many idle workers are kept warm, within that limit.
    pub min_idle: u64,
    /// The one size that all workers have, as on one machine, where each can
    /// use all of it; `None`: each has that of the job it is launched for.
    pub one_size: Option<WorkerSize>,
}

/// A message was not carried out; it may come again.
#[derive(Debug, Error)]
enum Failure {
    /// The message itself can't be read: never will.
    #[error("the message can't be read: {0}")]
    Poison(#[from] serde_json::Error),
    /// A record it is about can't be read: set aside for a person to look at.
    #[error("poison: {0}")]
    Unreadable(StoreError),
    /// The database, the queue or the object store was not there, or others
    /// wrote the same records: to be decided anew.
    #[error("{0}")]
    Retry(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreadable { .. } => Self::Unreadable(error),
            StoreError::Conflict | StoreError::Contended | StoreError::Unavailable(_) => {
                Self::Retry(error.to_string())
            }
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => error.into(),
            changed => Self::Retry(changed.to_string()),
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// The job has moved on since the decision: decide anew.
impl From<IllegalChange> for Failure {
    fn from(error: IllegalChange) -> Self {
        Self::Retry(error.to_string())
    }
}

impl Scheduler {
    /// Takes a batch from the queue and names the messages that failed, as
    /// SQS wants it (`ReportBatchItemFailures`); so does one that is not
    /// carried out `within` this time, as where a store does not answer. It
    /// holds up no other.
    pub async fn handle(&self, event: SqsEvent, within: Duration) -> SqsBatchResponse {
        let taken = event.records.into_iter().map(|message| {
            let span = tracing::info_span!("message", trace_id = Empty);
            self.take_one(message, within).instrument(span)
        });
        let failed = futures::future::join_all(taken).await.into_iter().flatten();
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed
            .map(|id| {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                failure
            })
            .collect();
        response
    }

    /// Takes one message; its id where it failed.
    async fn take_one(&self, message: SqsMessage, within: Duration) -> Option<String> {
        let id = message.message_id.unwrap_or_default();
        let body = message.body.unwrap_or_default();
        let taken = match serde_json::from_str::<Message>(&body) {
            Ok(message) => {
                let taken = self.take_until_done(&message, &id);
                let late = || Failure::Retry(format!("not done within {within:?}"));
                let in_time = tokio::time::timeout(within, taken).await;
                in_time.unwrap_or_else(|_| Err(late()))
            }
            Err(error) => Err(error.into()),
        };
        match taken {
            Ok(()) => None,
            Err(failure @ (Failure::Poison(_) | Failure::Unreadable(_))) => {
                tracing::error!(message_id = id, body, %failure, "poison: set aside");
                Some(id)
            }
            Err(failure @ Failure::Retry(_)) => {
                tracing::warn!(message_id = id, body, %failure, "will come again");
                Some(id)
            }
        }
    }

    /// Carries out a message, again where that fails. DynamoDB cancels one of
    /// two transactions that meet, and many meet at the fleet's counter when
    /// many workers die at once: none of their jobs shall wait for the queue.
    async fn take_until_done(&self, message: &Message, id: &str) -> Result<(), Failure> {
        let mut longest = self.timing.paced(FIRST_PAUSE);
        for _ in 1..TRIES {
            match self.take(message, id).await {
                Err(Failure::Retry(fault)) => tracing::debug!(fault, "tried again"),
                taken => return taken,
            }
            let share = rand::rng().random_range(0.0..1.0);
            tokio::time::sleep(longest.mul_f64(share)).await;
            longest *= 2;
        }
        self.take(message, id).await
    }

    /// Carries out a message. Its id is the same each time it is delivered,
    /// and no other's.
    async fn take(&self, message: &Message, id: &str) -> Result<(), Failure> {
        tracing::debug!(?message, "taken");
        match message {
            Message::Schedule {
                job,
                after_failures,
                try_seq,
            } => {
                let tried = Try {
                    after_failures: *after_failures,
                    seq: *try_seq,
                    message: id,
                };
                self.schedule(job, tried).await
            }
            Message::Watch(watch) => self.watch(watch, id).await,
            Message::StopBy { job, attempt } => self.stop_by(job, *attempt).await,
            Message::Delete { job } => self.delete(job).await,
            Message::Purge { job, bucket } => self.purge(job, bucket.as_deref()).await,
            Message::TaskStopped { worker } => self.task_stopped(worker).await,
            Message::Sweep => {
                self.sweep().await;
                Ok(())
            }
            Message::SweepOn(page) => self.sweep_on(page).await,
        }
    }

    /// Reads the job that a message is about: its trace is on every line about
    /// that message from here on.
    async fn job(&self, id: &JobId) -> Result<Option<StoredJob>, StoreError> {
        let stored = self.store.job(id).await?;
        if let Some(stored) = &stored {
            trace(Span::current(), &stored.job);
        }
        Ok(stored)
    }

    /// The size of worker that a job is placed on.
    fn size_for(&self, job: &Job) -> WorkerSize {
        self.one_size.unwrap_or_else(|| job.spec.worker_size())
    }

    /// Writes that a job has lost its worker, and closes that worker whatever
    /// its beat says, or its record, if it can't be read: it must not count
    /// against the fleet's limit for ever.
    async fn commit_closing(
        &self,
        transition: &Transition,
        worker: Option<WorkerId>,
    ) -> Result<(), CommitError> {
        if let Some(worker) = worker {
            let close = WorkerChange::Close {
                worker,
                seen_beat: None,
            };
            match self.store.commit(transition, close).await {
                // It is closed already, or gone.
                Err(CommitError::WorkerChanged) => {}
                written => return written,
            }
        }
        self.store.commit(transition, WorkerChange::None).await
    }

    async fn send(&self, message: Message, delay: Duration) -> Result<(), Failure> {
        Ok(self.queue.send(&message, delay).await?)
    }
}

/// The field of log lines that has a job's trace.
const TRACE_ID: &str = "trace_id";

/// Puts a job's trace on the lines that are logged in a span.
fn trace(span: Span, job: &Job) -> Span {
    if let Some(trace) = &job.trace_id {
        span.record(TRACE_ID, trace.as_str());
    }
    span
}

/// The transition a change makes of a job, now.
fn transition(job: &Job, change: Change) -> Result<Transition, IllegalChange> {
    job.apply(change, Timestamp::now())
}

#[cfg(test)]
mod tests;
