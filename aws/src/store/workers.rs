//! Workers: register, beat, leave.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use domain::ids::WorkerId;
use domain::job::{Job, Stats};
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;

use super::item::{doc, n, s, worker};
use super::tables::key;
use super::{Store, StoreError};

/// What a worker believes of itself when it beats.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// That it is in the fleet; it may have been booked meanwhile.
    Open,
    /// That it is still booked for this.
    Booked(Booking),
}

impl Store {
    /// Reads a worker, with all writes before now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn worker(&self, id: &WorkerId) -> Result<Option<Worker>, StoreError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.tables.workers)
            .set_key(Some(key("worker_id", id.as_str())))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        got.item().map(worker).transpose()
    }

    /// The worker a job is booked on. A record that can't be read is as good as
    /// none: nobody must be stuck with it.
    ///
    /// # Errors
    /// [`StoreError`], but never [`StoreError::Unreadable`].
    pub async fn worker_of(&self, job: &Job) -> Result<Option<Worker>, StoreError> {
        let Some(id) = &job.worker_id else {
            return Ok(None);
        };
        match self.worker(id).await {
            Err(error @ StoreError::Unreadable { .. }) => {
                tracing::error!(job_id = %job.id, %error, "poison");
                Ok(None)
            }
            read => read,
        }
    }

    /// The launched worker is there: `booting` becomes `booked` or `idle`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: nobody waits for this worker (any more); it
    /// must leave.
    pub async fn register_worker(
        &self,
        worker: &Worker,
        now: Timestamp,
    ) -> Result<Worker, StoreError> {
        let (state, update) = match worker.booking {
            Some(_) => (
                WorkerState::Booked,
                "SET #state = :to, beat = :one, updated_at = :now",
            ),
            None => (
                WorkerState::Idle,
                "SET #state = :to, beat = :one, updated_at = :now, idle = worker_size",
            ),
        };
        let values = [
            (":to", s(state.as_str())),
            (":booting", s("booting")),
            (":one", n(1)),
            (":now", s(now.to_string())),
        ];
        let registered = self
            .update_worker(&worker.id, update, "#state = :booting", values)
            .await;
        if !matches!(registered, Err(StoreError::Conflict)) {
            return registered;
        }
        // The SDK repeats a call whose answer was lost: the first one may
        // have registered it. The first beat is nobody else's.
        let found = self.worker(&worker.id).await?;
        found
            .filter(|found| {
                found.beat == 1 && found.state == state && found.booking == worker.booking
            })
            .ok_or(StoreError::Conflict)
    }

    /// One beat, with the numbers of the job it runs. On condition of what
    /// the worker believes, not of the count before: a write repeated after
    /// a lost answer must not look like a lost fence.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the booking is gone.
    pub async fn beat(
        &self,
        id: &WorkerId,
        expected: &Expected,
        stats: Option<&Stats>,
    ) -> Result<Worker, StoreError> {
        let one = (":one", n(1));
        match expected {
            Expected::Open => {
                let values = [one, (":closed", s("closed"))];
                let update = "SET beat = beat + :one";
                let condition = "attribute_exists(beat) AND #state <> :closed";
                self.update_worker(id, update, condition, values).await
            }
            Expected::Booked(booking) => {
                let values = [
                    one,
                    (":closed", s("closed")),
                    (":job", s(booking.job.as_str())),
                    (":attempt", n(booking.attempt)),
                    (":stats", doc(&stats)?),
                ];
                let update = "SET beat = beat + :one, stats = :stats";
                let condition =
                    "#state <> :closed AND booking_job = :job AND booking_attempt = :attempt";
                self.update_worker(id, update, condition, values).await
            }
        }
    }

    /// Notes what `WorkerLauncher::stop` needs to end this worker.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the worker is closed already; end it.
    pub async fn note_task(&self, id: &WorkerId, task: &str) -> Result<(), StoreError> {
        let values = [(":task", s(task)), (":closed", s("closed"))];
        let condition = "attribute_exists(worker_id) AND #state <> :closed";
        self.update_worker(id, "SET task = :task", condition, values)
            .await?;
        Ok(())
    }

    /// The worker is to leave: it takes no other job.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: it has left already, or never registered.
    pub async fn drain_worker(&self, id: &WorkerId, now: Timestamp) -> Result<Worker, StoreError> {
        let values = [
            (":draining", s("draining")),
            (":idle", s("idle")),
            (":booked", s("booked")),
            (":now", s(now.to_string())),
        ];
        let update = "SET #state = :draining, updated_at = :now REMOVE idle";
        let condition = "#state IN (:idle, :booked, :draining)";
        self.update_worker(id, update, condition, values).await
    }

    /// Notes that a sweep has seen a worker at its beat.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: it has moved on meanwhile.
    pub async fn note_beat(&self, seen: &Worker) -> Result<(), StoreError> {
        let values = [
            (":beat", n(seen.beat)),
            (":still", n(seen.still_for_sweeps())),
        ];
        let update = "SET swept_beat = :beat, swept_still = :still";
        // `#state` must occur in an expression that names it.
        let condition = "beat = :beat AND attribute_exists(#state)";
        self.update_worker(&seen.id, update, condition, values)
            .await?;
        Ok(())
    }

    async fn update_worker<const N: usize>(
        &self,
        id: &WorkerId,
        update: &str,
        condition: &str,
        values: [(&str, AttributeValue); N],
    ) -> Result<Worker, StoreError> {
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let updated = self
            .client
            .update_item()
            .table_name(&self.tables.workers)
            .set_key(Some(key("worker_id", id.as_str())))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_names("#state", "state")
            .set_expression_attribute_values(Some(values.into()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(StoreError::of)?;
        worker(updated.attributes().unwrap_or(&Default::default()))
    }
}
