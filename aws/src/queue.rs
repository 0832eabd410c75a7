//! The one queue of messages to the scheduler.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use domain::message::Message;
use thiserror::Error;

use crate::lazy::{Lazy, lazy};

/// Where messages to the scheduler go. On AWS it is SQS; on one machine a
/// queue in memory, as messages are hints and the sweep finds what they lost.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Sends a message, to be delivered after the delay.
    ///
    /// # Errors
    /// [`QueueError`] where the message was not, or perhaps not, taken.
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError>;
}

/// A message was perhaps not taken; the sweep will find what it stood for.
#[derive(Debug, Error)]
#[error("the queue did not take the message: {0}")]
pub struct QueueError(pub String);

/// The queue on AWS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Lazy<Client>,
    url: String,
}

/// The longest delay SQS has for a single message.
const LONGEST_DELAY_SECONDS: u64 = 900;

impl SqsQueue {
    /// The queue at this URL.
    pub fn new(sdk: SdkConfig, url: String) -> Self {
        let client = lazy(move || Client::new(&sdk));
        Self { client, url }
    }
}

#[async_trait]
impl JobQueue for SqsQueue {
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(error.to_string()))?;
        // SQS counts delays in whole seconds; rounded up, so that no look
        // comes early.
        let seconds = delay
            .as_millis()
            .div_ceil(1000)
            .min(LONGEST_DELAY_SECONDS.into());
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(i32::try_from(seconds).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| QueueError(DisplayErrorContext(error).to_string()))?;
        Ok(())
    }
}
