//! Finding workers: the idle, the open, all in a state. An index names them,
//! their records are read besides, as the index lags behind.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use domain::ids::WorkerId;
use domain::spec::WorkerSize;
use domain::worker::{Worker, WorkerState};

use super::item::{idle_soon, readable, s, string, worker};
use super::rest::Rest;
use super::tables::{BY_STATE, IDLE, key};
use super::{Store, StoreError};

/// Ids asked for in one query: keys alone, so never cut at DynamoDB's 1 MB.
const INDEX_PAGE: usize = 1000;
/// Every id sorts after this.
const BEFORE_ALL: &str = "!";
/// DynamoDB's limit of one BatchGetItem.
const BATCH: usize = 100;

/// A page of workers, by id.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPage {
    /// The workers that can be read.
    pub workers: Vec<Worker>,
    /// The last of the page; `None`: no more come after it.
    pub next: Option<WorkerId>,
}

impl Store {
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
        let (idle, from) = (size.as_str(), from.as_str());
        let mut ids = self.idle_page(idle, from, ">=", limit).await?;
        if ids.len() < limit {
            let left = limit - ids.len();
            ids.extend(self.idle_page(idle, from, "<", left).await?);
        }
        Ok(ids)
    }

    async fn idle_page(
        &self,
        idle: &str,
        from: &str,
        side: &str,
        limit: usize,
    ) -> Result<Vec<WorkerId>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.workers)
            .index_name(IDLE)
            .key_condition_expression(format!("idle = :idle AND worker_id {side} :from"))
            .expression_attribute_values(":idle", s(idle))
            .expression_attribute_values(":from", s(from))
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
            .map(|state| self.worker_id_page(*state, limit + 1, after.map(WorkerId::as_str)));
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
        after: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.workers)
            .index_name(BY_STATE)
            .key_condition_expression("#state = :state AND worker_id > :after")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(state.as_str()))
            .expression_attribute_values(":after", s(after.unwrap_or(BEFORE_ALL)))
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

    /// The workers with these ids, as far as they are there, with all writes
    /// before now; one call for each hundred.
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

    /// Idle workers of this size, up to `limit`, in the index's order from a
    /// random point on, with all writes before now. Two queries at most, and
    /// their records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn idle_now(
        &self,
        size: WorkerSize,
        limit: usize,
    ) -> Result<Vec<Worker>, StoreError> {
        let anywhere = WorkerId::generate();
        let ids = self.idle_workers(size, &anywhere, limit).await?;
        let found = self.workers_with_ids(&ids).await?;
        let mut idle: Vec<Worker> = found
            .into_iter()
            .filter(|worker| worker.state == WorkerState::Idle && worker.size == size)
            .collect();
        idle.sort_by_key(|worker| ids.iter().position(|id| *id == worker.id));
        Ok(idle)
    }

    /// What is to be counted before a worker is kept warm or lets itself go:
    /// workers of this size that are idle, and those that boot with no job
    /// waiting for them, up to `limit` of each, with all writes before now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spare_workers(
        &self,
        size: WorkerSize,
        limit: usize,
    ) -> Result<Vec<Worker>, StoreError> {
        let anywhere = WorkerId::generate();
        let (idle, booting) = futures::future::try_join(
            self.idle_workers(size, &anywhere, limit),
            self.idle_page(&idle_soon(size), BEFORE_ALL, ">=", limit),
        )
        .await?;
        let ids = idle.into_iter().chain(booting);
        let ids = ids.map(|id| id.as_str().to_owned());
        self.workers_by_id(ids.collect()).await
    }

    async fn worker_ids_in(&self, state: WorkerState) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let after = ids.last().map(String::as_str);
            let page = self.worker_id_page(state, INDEX_PAGE, after).await?;
            let more = page.len() == INDEX_PAGE;
            ids.extend(page);
            if !more {
                return Ok(ids);
            }
        }
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
        let mut rest = Rest::default();
        let mut keys: Vec<_> = ids.iter().map(|id| key("worker_id", id)).collect();
        while !keys.is_empty() {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
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
            if !keys.is_empty() {
                rest.pause().await?;
            }
        }
        Ok(workers)
    }
}
