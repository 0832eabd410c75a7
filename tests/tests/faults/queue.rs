//! The queue as the fault runs have it: it loses, repeats, delays and
//! reorders, and the scheduler that takes a message may die of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws::queue::{JobQueue, QueueError};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use domain::message::Message;
use functions::scheduler::Scheduler;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::weather::{Mortal, Storm};

/// As the queue on AWS: then it is a dead letter.
const TRIES: u32 = 5;
/// The pause before a message that was not dealt with comes again.
const VISIBILITY: Duration = Duration::from_millis(150);

/// What a scheduler has for a message: ten seconds, at the pace of these worlds.
const DEADLINE: Duration = Duration::from_millis(500);

/// A message on its way.
#[derive(Clone)]
struct Letter {
    body: String,
    delay: Duration,
}

/// One component's way to the queue.
#[derive(Clone)]
pub struct Post {
    sender: mpsc::UnboundedSender<Letter>,
    dice: Dice,
    storm: Storm,
}

/// The receiving end.
pub struct Letters {
    letters: mpsc::UnboundedReceiver<Letter>,
}

impl Post {
    /// A queue; `dice` are those of the first who posts.
    pub fn new(dice: Dice, storm: &Storm) -> (Self, Letters) {
        let (sender, letters) = mpsc::unbounded_channel();
        let post = Self {
            sender,
            dice,
            storm: storm.clone(),
        };
        (post, Letters { letters })
    }

    /// The same queue, for another component.
    pub fn of(&self, dice: Dice) -> Self {
        Self {
            dice,
            ..self.clone()
        }
    }

    fn post(&self, body: &str, delay: Duration) {
        let letter = Letter {
            body: body.to_owned(),
            delay,
        };
        // The world has ended.
        let _ = self.sender.send(letter);
    }
}

#[async_trait]
impl JobQueue for Post {
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).unwrap();
        let failed = || Err(QueueError("injected fault".to_owned()));
        let kind = format!("send {}", body.split('"').nth(3).unwrap_or_default());
        let mut dice = self.dice.throw(&kind);
        // A handler may die here too.
        tokio::task::yield_now().await;
        // What a queue has taken it delivers: a loss stands for what was never
        // sent, and is made up for by a sweep. A deletion goes on only once this
        // one is sent.
        let is_kept = matches!(message, Message::Purge { .. });
        if !self.storm.is_on() {
            self.post(&body, delay);
            return Ok(());
        }
        match dice.random_range(0..1000) {
            0..40 if !is_kept => self.storm.brings("queue: message lost"),
            40..60 => {
                self.storm.brings("queue: not reached");
                return failed();
            }
            60..80 => {
                self.storm.brings("queue: answer lost");
                self.post(&body, delay);
                return failed();
            }
            80..140 => {
                self.storm.brings("queue: message twice");
                self.post(&body, delay);
                self.post(
                    &body,
                    delay + Duration::from_millis(dice.random_range(0..600)),
                );
            }
            140..200 => {
                self.storm.brings("queue: message late");
                self.post(
                    &body,
                    delay + Duration::from_millis(dice.random_range(50..1000)),
                );
            }
            _ => self.post(&body, delay),
        }
        Ok(())
    }
}

impl Letters {
    /// Hands every letter to one of the schedulers when it is due.
    pub async fn deliver(mut self, schedulers: Vec<Arc<Scheduler>>, dice: Dice, storm: Storm) {
        let mut under_way = JoinSet::new();
        let ids = Arc::new(AtomicU64::new(0));
        loop {
            tokio::select! {
                letter = self.letters.recv() => {
                    let Some(letter) = letter else { return };
                    let delivery = deliver_one(letter, schedulers.clone(), dice.clone(), storm.clone(), ids.clone());
                    under_way.spawn(delivery);
                }
                Some(done) = under_way.join_next() => done.unwrap(),
            }
        }
    }
}

async fn deliver_one(
    letter: Letter,
    schedulers: Vec<Arc<Scheduler>>,
    dice: Dice,
    storm: Storm,
    ids: Arc<AtomicU64>,
) {
    tokio::time::sleep(letter.delay).await;
    let id = ids.fetch_add(1, Ordering::Relaxed).to_string();
    for _ in 0..TRIES {
        let mut dice = dice.throw("delivery");
        let scheduler = &schedulers[dice.random_range(0..schedulers.len())];
        let mut message = SqsMessage::default();
        message.message_id = Some(id.clone());
        message.body = Some(letter.body.clone());
        let mut event = SqsEvent::default();
        event.records = vec![message];
        let lives = match storm.is_on() && dice.random_bool(0.06) {
            true => dice.random_range(0..14),
            false => u32::MAX,
        };
        match Mortal::new(scheduler.handle(event, DEADLINE), lives).await {
            Some(response) if response.batch_item_failures.is_empty() => return,
            Some(_) => {}
            None => {
                storm.brings("scheduler: died of a message");
                tracing::info!(body = letter.body, "FAULT the scheduler died of a message");
            }
        }
        tokio::time::sleep(VISIBILITY).await;
    }
    tracing::error!(body = letter.body, "dead letter");
}
