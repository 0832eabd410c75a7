//! The history of a job.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use domain::event::Event;
use domain::ids::JobId;

use super::item::{Item, event, n, readable, s};
use super::rest::Rest;
use super::{Store, StoreError};

/// DynamoDB's limit of one BatchWriteItem.
const BATCH: usize = 25;

impl Store {
    /// Up to `limit` events after number `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(
        &self,
        job: &JobId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.events)
            .consistent_read(true)
            .key_condition_expression("job_id = :job AND seq > :after")
            .expression_attribute_values(":job", s(job.as_str()))
            .expression_attribute_values(":after", n(after))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        // To the end or to as many as asked for: what can't be read hides
        // nothing that comes after it.
        let mut items = query.into_paginator().items().send();
        let mut events = Vec::new();
        while events.len() < limit as usize
            && let Some(item) = items.next().await
        {
            let item = item.map_err(StoreError::of)?;
            events.extend(readable(std::iter::once(event(&item))));
        }
        Ok(events)
    }

    /// Removes the whole history of a job that was deleted, also what can't be
    /// read of it.
    pub(super) async fn delete_events(&self, job: &JobId) -> Result<(), StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.tables.events)
            .consistent_read(true)
            .key_condition_expression("job_id = :job")
            .expression_attribute_values(":job", s(job.as_str()))
            .projection_expression("job_id, seq")
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(StoreError::of)?;
            for batch in page.items().chunks(BATCH) {
                self.delete_batch(batch).await?;
            }
        }
        Ok(())
    }

    async fn delete_batch(&self, keys: &[Item]) -> Result<(), StoreError> {
        let deletes = keys.iter().filter_map(|key| {
            DeleteRequest::builder()
                .set_key(Some(key.clone()))
                .build()
                .ok()
        });
        let mut rest = Rest::default();
        let mut requests: Vec<_> = deletes
            .map(|delete| WriteRequest::builder().delete_request(delete).build())
            .collect();
        while !requests.is_empty() {
            let written = self
                .client
                .batch_write_item()
                .request_items(&self.tables.events, requests)
                .send()
                .await
                .map_err(StoreError::of)?;
            // A busy table takes part of a batch.
            let left = written
                .unprocessed_items()
                .and_then(|left| left.get(&self.tables.events));
            requests = left.cloned().unwrap_or_default();
            if !requests.is_empty() {
                rest.pause().await?;
            }
        }
        Ok(())
    }
}
