//! The history of a job.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use domain::event::Event;
use domain::ids::JobId;

use super::item::{event, n, readable, s};
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
        let page = self
            .client
            .query()
            .table_name(&self.tables.events)
            .consistent_read(true)
            .key_condition_expression("job_id = :job AND seq > :after")
            .expression_attribute_values(":job", s(job.as_str()))
            .expression_attribute_values(":after", n(after))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(readable(page.items().iter().map(event)))
    }

    /// Removes the whole history of a job that was deleted.
    pub(super) async fn delete_events(&self, job: &JobId) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let events = self.events(job, after, 100).await?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            after = last.seq;
            for batch in events.chunks(BATCH) {
                self.delete_batch(batch).await?;
            }
        }
    }

    async fn delete_batch(&self, batch: &[Event]) -> Result<(), StoreError> {
        let deletes = batch.iter().filter_map(|event| {
            DeleteRequest::builder()
                .key("job_id", s(event.job_id.as_str()))
                .key("seq", n(event.seq))
                .build()
                .ok()
        });
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
        }
        Ok(())
    }
}
