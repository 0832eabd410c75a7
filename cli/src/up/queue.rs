//! The scheduler's queue in memory. It may forget: messages are hints, and
//! the sweep at the next start finds what they stood for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws::queue::{JobQueue, QueueError};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use domain::message::Message;
use functions::scheduler::Scheduler;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often a message that fails is tried, as with the queue on AWS.
const TRIES: u32 = 5;
/// The pause before a failed message comes again.
const PAUSE: Duration = Duration::from_secs(1);

/// What the scheduler has for a message.
const DEADLINE: Duration = Duration::from_secs(30);

/// The sending end.
#[derive(Debug, Clone)]
pub struct LocalQueue {
    sender: mpsc::UnboundedSender<Delivery>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Deliveries {
    receiver: mpsc::UnboundedReceiver<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    body: String,
    due: Instant,
}

impl LocalQueue {
    /// A queue.
    pub fn new() -> (Self, Deliveries) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, Deliveries { receiver })
    }
}

#[async_trait]
impl JobQueue for LocalQueue {
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(error.to_string()))?;
        let delivery = Delivery {
            body,
            due: Instant::now() + delay,
        };
        self.sender
            .send(delivery)
            .map_err(|_| QueueError("ezlive is ending".to_owned()))
    }
}

impl Deliveries {
    /// Hands every message to the scheduler when it is due, until `ended`.
    pub async fn deliver(mut self, scheduler: Arc<Scheduler>, ended: CancellationToken) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                Some(delivery) = self.receiver.recv() => {
                    under_way.spawn(deliver_one(delivery, scheduler.clone()));
                }
                Some(_) = under_way.join_next() => {}
            }
        }
    }
}

/// Hands one message over, again where it failed, as the SQS event that the
/// scheduler knows.
async fn deliver_one(delivery: Delivery, scheduler: Arc<Scheduler>) {
    tokio::time::sleep_until(delivery.due).await;
    let id = Uuid::new_v4().to_string();
    for _ in 0..TRIES {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.clone());
        message.body = Some(delivery.body.clone());
        let mut event = SqsEvent::default();
        event.records = vec![message];
        let failed = scheduler.handle(event, DEADLINE).await.batch_item_failures;
        if failed.is_empty() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!(
        message_id = id,
        body = delivery.body,
        "dead letter: set aside"
    );
}
