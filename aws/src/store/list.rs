//! Listing jobs, page by page, by their places in the index.

use domain::ids::JobId;
use domain::job::{Job, JobState};

use super::item::{DELETING, ENDING, index_states, readable, s, stored_job};
use super::tables::BY_STATE;
use super::{Store, StoreError};

/// A page of jobs, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the next page starts; `None`: this was the last.
    pub next: Option<JobId>,
}

impl Store {
    /// A page of the jobs in these states, newest first, all older than
    /// `before`. One query for each place in the index: a job's place in the
    /// list is its id, which sorts by time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs(
        &self,
        states: &[JobState],
        limit: usize,
        before: Option<&JobId>,
    ) -> Result<JobPage, StoreError> {
        let places = states.iter().copied().flat_map(index_states);
        self.page(places, limit, before).await
    }

    /// A page of the ended jobs whose playlists are still to be ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs_to_end(
        &self,
        limit: usize,
        before: Option<&JobId>,
    ) -> Result<JobPage, StoreError> {
        self.page(ENDING, limit, before).await
    }

    /// A page of the jobs that are to be deleted and have ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs_to_delete(
        &self,
        limit: usize,
        before: Option<&JobId>,
    ) -> Result<JobPage, StoreError> {
        self.page([DELETING], limit, before).await
    }

    async fn page(
        &self,
        places: impl IntoIterator<Item = &'static str>,
        limit: usize,
        before: Option<&JobId>,
    ) -> Result<JobPage, StoreError> {
        let pages = places
            .into_iter()
            .map(|place| self.jobs_in(place, limit + 1, before));
        let mut jobs: Vec<Job> = futures::future::try_join_all(pages)
            .await?
            .into_iter()
            .flatten()
            .collect();
        jobs.sort_by(|a, b| b.id.cmp(&a.id));
        // The index lags behind the table: a job may stand in two states at once.
        jobs.dedup_by(|a, b| a.id == b.id);
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = more
            .then(|| jobs.last().map(|job| job.id.clone()))
            .flatten();
        Ok(JobPage { jobs, next })
    }

    async fn jobs_in(
        &self,
        state: &str,
        limit: usize,
        before: Option<&JobId>,
    ) -> Result<Vec<Job>, StoreError> {
        let condition = match before {
            Some(_) => "#state = :state AND job_id < :before",
            None => "#state = :state",
        };
        let query = self
            .client
            .query()
            .table_name(&self.tables.jobs)
            .index_name(BY_STATE)
            .key_condition_expression(condition)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(state))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let query = match before {
            Some(id) => query.expression_attribute_values(":before", s(id.as_str())),
            None => query,
        };
        // To the end of the index or to as many as asked for: a page may come
        // short, cut at 1 MB or by records that can't be read.
        let mut items = query.into_paginator().items().send();
        let mut jobs = Vec::new();
        while jobs.len() < limit
            && let Some(item) = items.next().await
        {
            let item = item.map_err(StoreError::of)?;
            let job = stored_job(&item).map(|stored| stored.job);
            jobs.extend(readable(std::iter::once(job)));
        }
        Ok(jobs)
    }
}
