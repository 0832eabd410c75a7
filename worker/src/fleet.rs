//! A worker's life in the fleet: it registers, waits for bookings, serves
//! them one after the other, and leaves.

use std::time::Duration;

use anyhow::Context;
use aws::media::MediaStores;
use aws::store::{CommitError, Expected, Store, StoreError, WorkerChange};
use domain::protocol::{WhenIdle, closes_itself, when_idle};
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use crate::alive::Alive;
use crate::attempt::{self, After};
use crate::config::WorkerConfig;
use crate::naming::Naming;

/// How often an idle worker looks whether it was booked: a job waits for half
/// of this on average. It beats far less often: reading is cheap, and a beat
/// is a write.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a worker works with.
#[derive(Clone)]
pub struct Member {
    /// Its settings.
    pub config: WorkerConfig,
    /// The records.
    pub store: Store,
    /// Where it publishes.
    pub media: MediaStores,
    /// Names for its ingests, where the operator has a zone.
    pub naming: Option<Naming>,
    /// Cancelled when it was told to leave at once (SIGINT).
    pub leaving: CancellationToken,
    /// Cancelled when it was told to leave, once another worker is ready for
    /// its job (SIGTERM); a child of `leaving`.
    pub draining: CancellationToken,
    /// Where its container sees that it lives.
    pub alive: Alive,
}

/// What an idle worker found.
enum Found {
    Booked(Booking),
    /// It is to leave: told so, idle for too long, or closed by the scheduler.
    Leave,
}

/// Whether a worker that has been idle for too long is needed.
enum Spare {
    /// It was not, and has left.
    Left,
    /// It is kept warm.
    Kept,
    /// Things have moved: look again.
    Unclear,
}

impl Member {
    /// Registers, serves, and returns when the worker is to end.
    ///
    /// # Errors
    /// The database can't be reached at the start, or the store is no good.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Some(worker) = self.register().await? else {
            return Ok(());
        };
        let mut booked = worker.booking;
        loop {
            let booking = match booked.take() {
                Some(booking) => booking,
                None => match self.wait_for_booking().await? {
                    Found::Booked(booking) => booking,
                    Found::Leave => return self.leave().await,
                },
            };
            // What it can't serve any more its watch takes from it: at once,
            // as its process ends here. Freed meanwhile, its record would
            // stay as that of an idle worker.
            // On every line of it: one machine's workers log to one place.
            let span = tracing::info_span!(
                "job",
                job_id = %booking.job,
                attempt = booking.attempt,
                trace_id = Empty
            );
            let served = attempt::serve(&self, booking).instrument(span);
            if served.await == After::Leave {
                return self.leave().await;
            }
        }
    }

    /// `None`: nobody waits for this worker any more.
    async fn register(&self) -> anyhow::Result<Option<Worker>> {
        let id = &self.config.id;
        let record = self
            .store
            .worker(id)
            .await
            .context("the database can't be reached")?;
        let Some(record) = record else {
            tracing::warn!(worker_id = %id, "nobody has launched this worker: it leaves");
            return Ok(None);
        };
        match self.store.register_worker(&record, Timestamp::now()).await {
            Ok(worker) => {
                self.alive.beaten().await;
                tracing::info!(worker_id = %id, state = worker.state.as_str(), "registered");
                Ok(Some(worker))
            }
            Err(StoreError::Conflict) => {
                tracing::warn!(worker_id = %id, "this worker was given up: it leaves");
                Ok(None)
            }
            Err(error) => Err(error).context("the worker can't register"),
        }
    }

    async fn wait_for_booking(&self) -> anyhow::Result<Found> {
        let mut idle_since = Instant::now();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut next_beat = Instant::now();
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return Ok(Found::Leave),
                _ = look.tick() => {}
            }
            let beats = Instant::now() >= next_beat;
            if beats && idle_since.elapsed() >= self.config.idle_timeout {
                match self.leave_if_spare().await {
                    Ok(Spare::Left) => return Ok(Found::Leave),
                    Ok(Spare::Kept) => idle_since = Instant::now(),
                    Ok(Spare::Unclear) => {}
                    Err(error) => tracing::warn!(%error, "could not ask to leave"),
                }
            }
            let id = &self.config.id;
            let record = if beats {
                next_beat = Instant::now() + self.config.timing.beat_interval();
                self.store.beat(id, &Expected::Open, None).await.map(Some)
            } else {
                self.store.worker(id).await
            };
            match record.map(|record| when_idle(record.as_ref())) {
                Ok(WhenIdle::Serve(booking)) => return Ok(Found::Booked(booking)),
                Ok(WhenIdle::Wait) if beats => self.alive.beaten().await,
                Ok(WhenIdle::Wait) => {}
                Ok(WhenIdle::Leave) | Err(StoreError::Conflict) => return Ok(Found::Leave),
                // Looked again soon; should it last, the sweep closes us.
                Err(error) => tracing::warn!(%error, "could not look for a booking"),
            }
        }
    }

    /// Leaves the fleet, unless it is one of those that are kept warm. Of two
    /// that have counted each other one leaves, the other counts again.
    async fn leave_if_spare(&self) -> Result<Spare, StoreError> {
        let fleet = self.store.fleet().await?;
        let Some(record) = self.store.worker(&self.config.id).await? else {
            return Ok(Spare::Left);
        };
        if !matches!(record.state, WorkerState::Idle) {
            return Ok(Spare::Unclear);
        }
        let close = WorkerChange::Close {
            worker: record.id.clone(),
            seen_beat: Some(record.beat),
        };
        let now = Timestamp::now();
        let left = match fleet.standbys {
            None => self.store.commit_worker(close, now).await,
            Some(standbys) => {
                // Itself too is among those that are found.
                let limit = usize::try_from(standbys.min_idle + 1).unwrap_or(usize::MAX);
                let others = self.store.spare_workers(standbys.size, limit).await?;
                if !standbys.can_spare(&record, &others) {
                    return Ok(Spare::Kept);
                }
                self.store.commit_counted(close, fleet.counted, now).await
            }
        };
        match left {
            Ok(()) => {
                tracing::info!("idle for too long: leaving");
                Ok(Spare::Left)
            }
            Err(CommitError::Store(error)) => Err(error),
            // Booked in this moment, or another one has left in it.
            Err(_) => Ok(Spare::Unclear),
        }
    }

    /// Leaves the fleet. Booked at the last moment, the worker is found dead
    /// by its watch at once: its process ends here.
    async fn leave(&self) -> anyhow::Result<()> {
        let worker = self.config.id.clone();
        let Some(record) = self.store.worker(&worker).await? else {
            return Ok(());
        };
        if !closes_itself(&record) {
            return Ok(());
        }
        let close = WorkerChange::Close {
            worker,
            seen_beat: Some(record.beat),
        };
        match self.store.commit_worker(close, Timestamp::now()).await {
            Ok(()) | Err(CommitError::WorkerChanged) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
