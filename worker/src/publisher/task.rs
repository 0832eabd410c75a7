//! The publisher's loop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws::media::{BeginError, Channel, ChannelError, MediaStore, SegmentTrack};
use aws::telemetry::METRICS;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::buffer::{Buffer, Item, Limits};
use super::{Config, Outcome, Status};
use crate::backoff::Backoff;

/// How long one try may take. The S3 client gives up on a request sooner;
/// this is for a file system that hangs.
const TRY: Duration = Duration::from_secs(30);

/// The pauses between two tries.
fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).with_jitter()
}

/// What the handle and the loop share.
#[derive(Debug)]
pub struct Shared {
    buffer: Mutex<Buffer>,
    filled: Notify,
}

impl Shared {
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: Mutex::new(Buffer::new(limits)),
            filled: Notify::new(),
        }
    }

    pub fn push(&self, item: Item) {
        self.buffer().push(item);
        self.filled.notify_one();
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        // Its operations don't panic half-way.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self) -> Item {
        loop {
            if let Some(item) = self.buffer().take() {
                return item;
            }
            self.filled.notified().await;
        }
    }
}

/// Nothing waits for a loop that is gone, however it went.
struct ShutOnExit(Arc<Shared>);

impl Drop for ShutOnExit {
    fn drop(&mut self) {
        self.0.buffer().shut();
    }
}

/// The publisher's loop and what it works on.
#[derive(Debug)]
pub struct Task {
    store: MediaStore,
    config: Config,
    shared: Arc<Shared>,
    status: watch::Sender<Status>,
}

impl Task {
    pub fn new(
        store: MediaStore,
        config: Config,
        shared: Arc<Shared>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            store,
            config,
            shared,
            status,
        }
    }

    /// Publishes until the end.
    pub async fn run(self) -> Outcome {
        let _shut = ShutOnExit(Arc::clone(&self.shared));
        let outcome = self.publish().await.unwrap_or_else(|early| early);
        let Config { job, attempt, .. } = &self.config;
        tracing::info!(%job, attempt, ?outcome, "publisher ended");
        outcome
    }

    /// # Errors
    /// The outcome too, where it came before it was asked for.
    async fn publish(&self) -> Result<Outcome, Outcome> {
        let mut channel = self.claim().await?;
        let mut current_run = None;
        loop {
            match self.alive(self.shared.take()).await {
                Item::Run(run, inits) => {
                    let number = run.number;
                    match channel.start_run(run, inits) {
                        Ok(()) => current_run = Some(number),
                        Err(error) => self.refused(&error),
                    }
                }
                Item::Segment(tracks) => {
                    self.segment(&mut channel, tracks, current_run).await?;
                }
                Item::End => {
                    self.end(&mut channel).await?;
                    return Ok(Outcome::Ended);
                }
                Item::Close => return Ok(Outcome::Closed),
            }
        }
    }

    async fn claim(&self) -> Result<Channel, Outcome> {
        let Config {
            job,
            attempt,
            presentation,
            ..
        } = &self.config;
        let mut backoff = backoff();
        loop {
            let store = self.store.clone();
            let claim = Channel::claim(store, job, *attempt, *presentation, &Timestamp::now);
            match self.try_once(claim, &mut backoff).await? {
                Some(channel) => return Ok(channel),
                None => continue,
            }
        }
    }

    async fn segment(
        &self,
        channel: &mut Channel,
        tracks: Vec<SegmentTrack>,
        run: Option<u32>,
    ) -> Result<(), Outcome> {
        if let Err(error) = channel.begin_segment(tracks, Timestamp::now()) {
            self.refused(&error);
            self.status
                .send_modify(|status| status.dropped_segments += 1);
            return Ok(());
        }
        let began = Instant::now();
        self.drive(channel).await?;
        self.measured(began.elapsed());
        self.status.send_modify(|status| {
            status.published_segments += 1;
            status.published_run = run;
            status.last_published = Some(Instant::now());
        });
        Ok(())
    }

    /// For the metrics that the stack makes of the log.
    fn measured(&self, upload: Duration) {
        let Config { job, attempt, .. } = &self.config;
        let (waiting_segments, dropped_segments) = {
            let status = self.status.borrow();
            (status.waiting_segments, status.dropped_segments)
        };
        tracing::info!(
            target: METRICS,
            %job,
            attempt,
            upload_lag_ms = u64::try_from(upload.as_millis()).unwrap_or(u64::MAX),
            waiting_segments,
            dropped_segments,
            "published"
        );
    }

    async fn end(&self, channel: &mut Channel) -> Result<(), Outcome> {
        match channel.begin_end(Timestamp::now()) {
            Ok(()) => self.drive(channel).await,
            Err(error) => {
                self.refused(&error);
                Ok(())
            }
        }
    }

    /// Tries until the store has taken all of it.
    async fn drive(&self, channel: &mut Channel) -> Result<(), Outcome> {
        let mut backoff = backoff();
        while self
            .try_once(channel.drive(&Timestamp::now), &mut backoff)
            .await?
            .is_none()
        {}
        Ok(())
    }

    /// One try; after one that is worth repeating it waits.
    async fn try_once<T>(
        &self,
        operation: impl Future<Output = Result<T, ChannelError>>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, Outcome> {
        let limit = self.config.timing.paced(TRY);
        let error = match self.alive(timeout(limit, operation)).await {
            Ok(Ok(value)) => {
                self.store_obeys();
                return Ok(Some(value));
            }
            Ok(Err(ChannelError::Retry(error))) => error.to_string(),
            Ok(Err(ChannelError::Fenced { holder })) => return Err(Outcome::Fenced { holder }),
            Ok(Err(ChannelError::Deleted)) => return Err(Outcome::Deleted),
            Ok(Err(ChannelError::Corrupt(error))) => return Err(Outcome::Corrupt(error)),
            Err(_) => format!("no answer within {limit:?}"),
        };
        self.store_fails(error);
        let pause = self.config.timing.paced(backoff.pause());
        self.alive(sleep(pause)).await;
        Ok(None)
    }

    /// Waits for something, and shows meanwhile that the loop is alive.
    async fn alive<T>(&self, waiting: impl Future<Output = T>) -> T {
        let mut pulse = interval(self.config.timing.pulse_interval());
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = std::pin::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                done = &mut waiting => return done,
                _ = pulse.tick() => self.pulse(),
            }
        }
    }

    fn pulse(&self) {
        let (waiting, dropped) = {
            let mut buffer = self.shared.buffer();
            (buffer.waiting(), buffer.take_dropped())
        };
        self.status.send_modify(|status| {
            status.progress += 1;
            status.waiting_segments = waiting;
            status.dropped_segments += dropped;
        });
        if dropped > 0 {
            let Config { job, attempt, .. } = &self.config;
            tracing::warn!(%job, attempt, dropped, "segments left out: the store is too slow");
        }
    }

    /// Said once per outage: the status has the last word.
    fn store_fails(&self, error: String) {
        let Config { job, attempt, .. } = &self.config;
        self.status.send_modify(|status| {
            if status.store_error.is_none() {
                tracing::warn!(%job, attempt, error, "the media store fails; trying again");
            }
            status.store_error = Some(error);
        });
    }

    fn store_obeys(&self) {
        let Config { job, attempt, .. } = &self.config;
        self.status.send_if_modified(|status| {
            let failed = status.store_error.take().is_some();
            if failed {
                tracing::info!(%job, attempt, "the media store is back");
            }
            failed
        });
    }

    fn refused(&self, error: &BeginError) {
        let Config { job, attempt, .. } = &self.config;
        tracing::warn!(%job, attempt, %error, "not published");
    }
}
