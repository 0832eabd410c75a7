//! Jobs: create, read, delete, and the chain of looks.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use domain::ids::JobId;
use domain::job::Job;
use domain::protocol::chain_link;

use super::error::{failed_conditions, met_another};
use super::item::{Item, event_item, job_item, n, s, stored_job, string};
use super::tables::{EXPIRES_AT, key};
use super::{CommitError, Store, StoreError};

/// How long an `Idempotency-Key` is remembered, in seconds.
const IDEMPOTENCY_KEPT_SECONDS: i64 = 24 * 3600;

/// A job as read, with where its chain of looks stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    /// The job.
    pub job: Job,
    /// The newest link of its chain of looks.
    pub watch_seq: u64,
    /// The message that has advanced the chain to that link.
    pub watch_by: Option<String>,
    /// The link that the last sweep saw.
    pub swept_watch_seq: Option<u64>,
}

impl StoredJob {
    /// The link at which the message with this id finds the chain
    /// ([`chain_link`]).
    pub fn watch_seq_for(&self, message: &str) -> u64 {
        chain_link(self.watch_seq, self.watch_by.as_deref(), message)
    }
}

/// What a request with an idempotency key came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The job is new.
    New,
    /// The same request was answered before, with this job.
    Before(JobId),
    /// The key was used before, for another body.
    KeyReused,
}

/// A client's `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Digest of the key.
    pub key: String,
    /// Digest of the body it came with.
    pub body: String,
}

impl Store {
    /// Writes a new job, its first event, and the idempotency record.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written. [`StoreError::Conflict`]: the
    /// same key is being written by another request just now.
    pub async fn create_job(
        &self,
        job: &Job,
        idempotency: Option<&Idempotency>,
    ) -> Result<Created, StoreError> {
        let put = |table: &str, item: Item, condition: &str| {
            Put::builder()
                .table_name(table)
                .set_item(Some(item))
                .condition_expression(condition)
                .build()
                .map(|put| TransactWriteItem::builder().put(put).build())
                .map_err(|error| StoreError::Unavailable(error.to_string()))
        };
        let absent = "attribute_not_exists(job_id)";
        let mut items = vec![
            put(&self.tables.jobs, job_item(job)?, absent)?,
            put(
                &self.tables.events,
                event_item(&job.created_event())?,
                absent,
            )?,
        ];
        if let Some(idempotency) = idempotency {
            items.push(put(
                &self.tables.jobs,
                idempotency_item(idempotency, job),
                absent,
            )?);
        }
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Created::New);
        };
        match (failed_conditions(&error), idempotency) {
            (Some(failed), Some(idempotency)) if failed.get(2) == Some(&true) => {
                self.created_before(idempotency).await
            }
            _ if met_another(&error) => Err(StoreError::Conflict),
            _ => Err(StoreError::of(error)),
        }
    }

    async fn created_before(&self, idempotency: &Idempotency) -> Result<Created, StoreError> {
        let item = self
            .get(&idempotency_key(idempotency))
            .await?
            .unwrap_or_default();
        if string(&item, "body") != Some(&idempotency.body) {
            return Ok(Created::KeyReused);
        }
        let job = string(&item, "created_job").and_then(JobId::parse);
        job.map(Created::Before).ok_or(StoreError::Conflict)
    }

    /// Reads a job, with all writes before now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, id: &JobId) -> Result<Option<StoredJob>, StoreError> {
        self.get(id.as_str())
            .await?
            .as_ref()
            .map(stored_job)
            .transpose()
    }

    async fn get(&self, id: &str) -> Result<Option<Item>, StoreError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.tables.jobs)
            .set_key(Some(key("job_id", id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(got.item)
    }

    /// Removes an ended job: its history first, so that where this breaks off
    /// the record is there to be deleted again.
    ///
    /// # Errors
    /// [`CommitError::JobChanged`] where it has changed since it was read.
    pub async fn delete_job(&self, job: &Job) -> Result<(), CommitError> {
        match self.job(&job.id).await? {
            Some(stored) if stored.job.version == job.version => {}
            _ => return Err(CommitError::JobChanged),
        }
        self.delete_events(&job.id).await?;
        let delete = Delete::builder()
            .table_name(&self.tables.jobs)
            .set_key(Some(key("job_id", job.id.as_str())))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", n(job.version))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        let sent = self
            .client
            .transact_write_items()
            .transact_items(delete)
            .send()
            .await;
        if let Err(error) = sent {
            return Err(match failed_conditions(&error) {
                Some(_) => CommitError::JobChanged,
                None if met_another(&error) => CommitError::JobChanged,
                None => StoreError::of(error).into(),
            });
        }
        Ok(())
    }

    /// Advances a job's chain of looks from `seq` to the next link, in the
    /// name of the message `by` (the queue's id of it). The same message may
    /// do so again, as after an answer that was lost; no other can, so the
    /// chain does not fork.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: another look was faster, this one is old.
    pub async fn advance_watch(
        &self,
        job: &JobId,
        attempt: u64,
        seq: u64,
        by: &str,
    ) -> Result<(), StoreError> {
        let values = [
            (":attempt", n(attempt)),
            (":from", n(seq)),
            (":to", n(seq + 1)),
            (":by", s(by)),
        ];
        self.update_job(
            job,
            "SET watch_seq = :to, watch_by = :by",
            "attempt = :attempt AND \
             (watch_seq = :from OR (watch_seq = :to AND watch_by = :by))",
            values,
        )
        .await
    }

    /// Notes the link that a sweep saw.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the chain has moved on meanwhile.
    pub async fn note_watch(&self, job: &JobId, seq: u64) -> Result<(), StoreError> {
        let values = [(":seq", n(seq))];
        self.update_job(
            job,
            "SET swept_watch_seq = :seq",
            "watch_seq = :seq",
            values,
        )
        .await
    }

    async fn update_job<const N: usize>(
        &self,
        job: &JobId,
        update: &str,
        condition: &str,
        values: [(&str, AttributeValue); N],
    ) -> Result<(), StoreError> {
        let values = values.map(|(name, value)| (name.to_owned(), value));
        self.client
            .update_item()
            .table_name(&self.tables.jobs)
            .set_key(Some(key("job_id", job.as_str())))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values.into()))
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(())
    }
}

fn idempotency_key(idempotency: &Idempotency) -> String {
    format!("idempotency/{}", idempotency.key)
}

fn idempotency_item(idempotency: &Idempotency, job: &Job) -> Item {
    let expires = job.created_at.as_second() + IDEMPOTENCY_KEPT_SECONDS;
    Item::from([
        ("job_id".to_owned(), s(idempotency_key(idempotency))),
        ("body".to_owned(), s(&idempotency.body)),
        ("created_job".to_owned(), s(job.id.as_str())),
        (EXPIRES_AT.to_owned(), n(expires)),
    ])
}
