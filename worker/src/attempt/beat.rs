//! The beat of a booked worker, and what it learns with it: each second it
//! says that it is alive and reads what is wanted of it.
//!
//! It beats only while the attempt's loops make progress, and when it has not
//! been able to for three quarters of the lease it fences itself: by then
//! nobody can have declared it dead yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws::store::{Expected, Store, StoreError};
use domain::ids::{StreamKey, WorkerId};
use domain::job::Stats;
use domain::protocol::{Assignment, Timing, assignment};
use domain::worker::{Booking, Worker};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::drain::{Departure, Drain};
use crate::alive::Alive;
use crate::publisher;

/// What is wanted of the attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    /// Serve, hold, stop, or fall silent.
    pub assignment: Assignment,
    /// What publishers must show.
    pub stream_key: StreamKey,
    /// Whether the worker is to leave, and how.
    pub departure: Departure,
}

/// A sign of life of a loop: whoever owns it moves it, the beat looks.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The loop has made progress.
    pub fn moved(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The beat of one attempt.
pub struct Beat {
    /// The records.
    pub store: Store,
    /// Who beats.
    pub worker: WorkerId,
    /// For what.
    pub booking: Booking,
    /// Cancelled when the worker was told to leave.
    pub draining: CancellationToken,
    /// The protocol's times.
    pub timing: Timing,
    /// The attempt's loop.
    pub pulse: Pulse,
    /// The publisher's: it moves also while the store is away.
    pub publishing: watch::Receiver<publisher::Status>,
    /// What it sends along.
    pub stats: watch::Receiver<Stats>,
    /// The container's health check.
    pub alive: Alive,
    /// Whom it tells.
    pub orders: watch::Sender<Orders>,
}

impl Beat {
    /// Beats until the booking is gone; the last order is then `Gone`.
    pub async fn run(self) {
        // The booking was read just now, which is as good as a beat.
        let mut last_good = Instant::now();
        let mut seen = Seen::new();
        let mut drain = Drain::default();
        let mut every = tokio::time::interval(self.timing.beat_interval());
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let fence_after = self.timing.fence_after();
        loop {
            let fence_at = last_good + fence_after;
            tokio::select! {
                _ = every.tick() => {}
                () = tokio::time::sleep_until(fence_at) => break,
            }
            if seen.is_stuck(&self) {
                tracing::error!("the attempt makes no progress: no beat");
                continue;
            }
            let sent = Instant::now();
            let worker = match tokio::time::timeout_at(fence_at, self.beat()).await {
                Ok(Ok(worker)) => worker,
                Ok(Err(StoreError::Conflict)) | Err(_) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a beat was missed");
                    continue;
                }
            };
            // Alive, whatever becomes of the looks that follow.
            last_good = sent;
            self.alive.beaten().await;
            match self.look(&mut drain, &worker).await {
                Ok(Assignment::Gone) => break,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "could not look for orders"),
            }
        }
        tracing::warn!("the booking is gone, or can't be renewed: the attempt falls silent");
        self.orders
            .send_modify(|orders| orders.assignment = Assignment::Gone);
    }

    async fn beat(&self) -> Result<Worker, StoreError> {
        let stats = self.stats.borrow().clone();
        let expected = Expected::Booked(self.booking.clone());
        self.store.beat(&self.worker, &expected, Some(&stats)).await
    }

    /// A look at the fleet, where the worker is to leave, and one at the job.
    /// Both are over in time for the next beat.
    async fn look(&self, drain: &mut Drain, worker: &Worker) -> Result<Assignment, LookError> {
        let fence_after = self.timing.fence_after();
        let fleet = tokio::time::timeout(fence_after / 4, drain.look(self, worker)).await;
        let departure = fleet.unwrap_or_else(|_| {
            tracing::warn!("the look at the fleet takes too long");
            self.orders.borrow().departure.clone()
        });
        let orders = self.read_orders(worker, departure);
        Ok(tokio::time::timeout(fence_after / 2, orders).await??)
    }

    async fn read_orders(
        &self,
        worker: &Worker,
        departure: Departure,
    ) -> Result<Assignment, StoreError> {
        let stored = self.store.job(&self.booking.job).await?;
        let job = stored.map(|stored| stored.job);
        let assignment = assignment(job.as_ref(), worker);
        if let Some(job) = job {
            let orders = Orders {
                assignment,
                stream_key: job.stream_key,
                departure,
            };
            self.orders.send_if_modified(|current| {
                let changed = *current != orders;
                *current = orders;
                changed
            });
        }
        Ok(assignment)
    }
}

/// Why there was nothing to be seen of the job.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// What the beat saw of a loop last, and when that was new.
struct Mark {
    count: u64,
    since: Instant,
}

impl Mark {
    fn new() -> Self {
        Self {
            count: 0,
            since: Instant::now(),
        }
    }

    /// For how long the loop has stood still.
    fn still(&mut self, count: u64) -> Duration {
        if count != self.count {
            *self = Self {
                count,
                since: Instant::now(),
            };
        }
        self.since.elapsed()
    }
}

/// What the beat saw of the attempt's loops.
struct Seen {
    session: Mark,
    publisher: Mark,
}

impl Seen {
    fn new() -> Self {
        Self {
            session: Mark::new(),
            publisher: Mark::new(),
        }
    }

    /// Whether a loop has stood still for longer than half a lease. A
    /// publisher that has ended is the session's to see to.
    fn is_stuck(&mut self, beat: &Beat) -> bool {
        let patience = beat.timing.lease / 2;
        let publishing = beat.publishing.has_changed().is_ok();
        let progress = beat.publishing.borrow().progress;
        self.session.still(beat.pulse.count()) > patience
            || (self.publisher.still(progress) > patience && publishing)
    }
}
