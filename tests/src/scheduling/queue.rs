//! The schedulers' queue: each message goes to one of them at a time, and
//! comes again where it failed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use aws::queue::{JobQueue, QueueError};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use domain::ids::JobId;
use domain::message::Message;
use functions::scheduler::Scheduler;

/// How often a message that fails is tried, as with the queue on AWS.
const TRIES: u32 = 5;

/// What a scheduler has for a message.
const DEADLINE: Duration = Duration::from_secs(30);

/// A queue without delays, but for looks: those it keeps.
#[derive(Debug, Default)]
pub struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Delivery>,
    /// Messages so far, which numbers them.
    sent: u64,
    again: u64,
    watched: Vec<JobId>,
}

#[derive(Debug)]
struct Delivery {
    message: SqsMessage,
    tries: u32,
}

impl Queue {
    /// One with a `Schedule` for each of these jobs.
    ///
    /// # Errors
    /// A message can't be written.
    pub fn of(jobs: &[JobId]) -> Result<Self, QueueError> {
        let queue = Self::default();
        for job in jobs {
            queue.lock().push(&Message::schedule(job.clone()))?;
        }
        Ok(queue)
    }

    /// Hands messages to a scheduler, one after the other, until none is left.
    ///
    /// # Errors
    /// One fails again and again.
    pub async fn serve(&self, scheduler: &Scheduler) -> anyhow::Result<()> {
        while let Some(mut delivery) = self.next() {
            let mut event = SqsEvent::default();
            event.records = vec![delivery.message.clone()];
            let failed = scheduler.handle(event, DEADLINE).await.batch_item_failures;
            if failed.is_empty() {
                continue;
            }
            delivery.tries += 1;
            if delivery.tries == TRIES {
                bail!("failed {TRIES} times: {:?}", delivery.message.body);
            }
            let mut state = self.lock();
            state.again += 1;
            state.waiting.push_back(delivery);
        }
        Ok(())
    }

    /// How many messages were sent after the first for each job: such as
    /// failed, and other tries that a scheduler asked for.
    pub fn sent_again(&self) -> u64 {
        self.lock().again
    }

    /// The jobs whose first look was sent, in order, each as often as it was.
    pub fn watched(&self) -> Vec<JobId> {
        let mut watched = self.lock().watched.clone();
        watched.sort();
        watched
    }

    fn next(&self) -> Option<Delivery> {
        self.lock().waiting.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, message: &Message) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(error.to_string()))?;
        self.sent += 1;
        let mut message = SqsMessage::default();
        message.message_id = Some(self.sent.to_string());
        message.body = Some(body);
        self.waiting.push_back(Delivery { message, tries: 0 });
        Ok(())
    }
}

#[async_trait]
impl JobQueue for Queue {
    async fn send(&self, message: &Message, _: Duration) -> Result<(), QueueError> {
        let mut state = self.lock();
        if let Message::Watch(watch) = message {
            state.watched.push(watch.job.clone());
            return Ok(());
        }
        state.again += 1;
        state.push(message)
    }
}
