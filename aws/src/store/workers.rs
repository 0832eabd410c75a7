//! Workers: register, beat, find idle ones, list.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};
use domain::ids::WorkerId;
use domain::job::Stats;
use domain::spec::WorkerSize;
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;

use super::item::{doc, n, readable, s, string, worker};
use super::tables::{BY_STATE, IDLE, key};
use super::{Store, StoreError};

/// What a worker believes of itself when it beats.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// That it is in the fleet; it may have been booked meanwhile.
    Open,
    /// That it is still booked for this.
    Booked(Booking),
}

/// A page of workers, by id.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPage {
    /// The workers that can be read.
    pub workers: Vec<Worker>,
    /// The last of the page; `None`: no more come after it.
    pub next: Option<WorkerId>,
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

    /// Notes the beat that a sweep saw.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: it has moved on meanwhile.
    pub async fn note_beat(&self, id: &WorkerId, beat: u64) -> Result<(), StoreError> {
        let values = [(":beat", n(beat))];
        // `#state` must occur in an expression that names it.
        let condition = "beat = :beat AND attribute_exists(#state)";
        self.update_worker(id, "SET swept_beat = :beat", condition, values)
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

    /// Up to `limit` idle workers of this size, in index order from the id
    /// `from` on, then from the start: schedulers that begin at random points
    /// seldom meet. At most two queries, however large the fleet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn idle_workers(
        &self,
        size: WorkerSize,
        from: &WorkerId,
        limit: usize,
    ) -> Result<Vec<WorkerId>, StoreError> {
        let mut ids = self.idle_page(size, from, ">=", limit).await?;
        if ids.len() < limit {
            let left = limit - ids.len();
            ids.extend(self.idle_page(size, from, "<", left).await?);
        }
        Ok(ids)
    }

    async fn idle_page(
        &self,
        size: WorkerSize,
        from: &WorkerId,
        side: &str,
        limit: usize,
    ) -> Result<Vec<WorkerId>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.workers)
            .index_name(IDLE)
            .key_condition_expression(format!("idle = :size AND worker_id {side} :from"))
            .expression_attribute_values(":size", s(size.as_str()))
            .expression_attribute_values(":from", s(from.as_str()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::of)?;
        let ids = page
            .items()
            .iter()
            .filter_map(|item| string(item, "worker_id"));
        Ok(ids.filter_map(WorkerId::parse).collect())
    }

    /// Every worker in these states.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn workers(&self, states: &[WorkerState]) -> Result<Vec<Worker>, StoreError> {
        let pages = states.iter().map(|state| self.worker_ids_in(*state));
        // The index lags behind the table: a worker may stand in two states at once.
        let ids: BTreeSet<String> = futures::future::try_join_all(pages)
            .await?
            .into_iter()
            .flatten()
            .collect();
        self.workers_by_id(ids).await
    }

    /// Up to `limit` workers that count against the fleet's limit, by id, all
    /// after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_workers(
        &self,
        limit: usize,
        after: Option<&WorkerId>,
    ) -> Result<WorkerPage, StoreError> {
        let pages = WorkerState::OPEN
            .iter()
            .map(|state| self.worker_id_page(*state, limit + 1, after));
        let ids: BTreeSet<String> = futures::future::try_join_all(pages)
            .await?
            .into_iter()
            .flatten()
            .collect();
        let next = match ids.len() > limit {
            true => ids.iter().nth(limit - 1).and_then(|id| WorkerId::parse(id)),
            false => None,
        };
        let page = ids.into_iter().take(limit).collect();
        Ok(WorkerPage {
            workers: self.workers_by_id(page).await?,
            next,
        })
    }

    async fn worker_id_page(
        &self,
        state: WorkerState,
        limit: usize,
        after: Option<&WorkerId>,
    ) -> Result<Vec<String>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.workers)
            .index_name(BY_STATE)
            .key_condition_expression("#state = :state AND worker_id > :after")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(state.as_str()))
            // Every id sorts after "!".
            .expression_attribute_values(":after", s(after.map_or("!", WorkerId::as_str)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::of)?;
        let ids = page
            .items()
            .iter()
            .filter_map(|item| string(item, "worker_id"));
        Ok(ids.map(ToOwned::to_owned).collect())
    }

    /// The workers with these ids, as far as they are there; one call for
    /// each hundred. The newest beat may be missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn workers_with_ids(
        &self,
        ids: impl IntoIterator<Item = &WorkerId>,
    ) -> Result<Vec<Worker>, StoreError> {
        let ids = ids.into_iter().map(|id| id.as_str().to_owned());
        self.workers_by_id(ids.collect()).await
    }

    async fn worker_ids_in(&self, state: WorkerState) -> Result<Vec<String>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.tables.workers)
            .index_name(BY_STATE)
            .key_condition_expression("#state = :state")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(state.as_str()))
            .into_paginator()
            .items()
            .send();
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(StoreError::of)?;
            ids.extend(string(&item, "worker_id").map(ToOwned::to_owned));
        }
        Ok(ids)
    }

    async fn workers_by_id(&self, ids: BTreeSet<String>) -> Result<Vec<Worker>, StoreError> {
        let ids: Vec<String> = ids.into_iter().collect();
        let mut workers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            workers.extend(self.worker_batch(batch).await?);
        }
        Ok(workers)
    }

    async fn worker_batch(&self, ids: &[String]) -> Result<Vec<Worker>, StoreError> {
        let table = &self.tables.workers;
        let mut workers = Vec::with_capacity(ids.len());
        let mut keys: Vec<_> = ids.iter().map(|id| key("worker_id", id)).collect();
        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .build()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let got = self
                .client
                .batch_get_item()
                .request_items(table, wanted)
                .send()
                .await
                .map_err(StoreError::of)?;
            let items = got.responses().and_then(|tables| tables.get(table));
            workers.extend(readable(items.into_iter().flatten().map(worker)));
            // A busy table answers part of a batch.
            let left = got.unprocessed_keys().and_then(|tables| tables.get(table));
            keys = left.map(|left| left.keys().to_vec()).unwrap_or_default();
        }
        Ok(workers)
    }
}

/// DynamoDB's limit of one BatchGetItem.
const BATCH: usize = 100;
