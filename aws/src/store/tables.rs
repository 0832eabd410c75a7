//! The tables' names and shape.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::{Store, StoreError};

/// Index of jobs and of workers by their state.
pub(super) const BY_STATE: &str = "by-state";
/// Sparse index of idle workers by their size.
pub(super) const IDLE: &str = "idle";
/// The attribute by which DynamoDB removes old records (epoch seconds).
pub(super) const EXPIRES_AT: &str = "expires_at";

/// What the tables are called in this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    /// Jobs and idempotency records.
    pub jobs: String,
    /// Workers and the fleet's counter.
    pub workers: String,
    /// The jobs' history.
    pub events: String,
}

impl TableNames {
    /// The names with a common prefix, as `ezlive-jobs`.
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |table: &str| format!("{prefix}-{table}");
        Self {
            jobs: name("jobs"),
            workers: name("workers"),
            events: name("events"),
        }
    }
}

impl Store {
    /// Makes the tables that are not there yet. For the embedded database and
    /// for tests; on AWS the stack makes them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the database refuses.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        let listed = self
            .client
            .list_tables()
            .send()
            .await
            .map_err(StoreError::of)?;
        let there = listed.table_names();
        let by_state = |id| index(BY_STATE, "state", id);
        if !there.contains(&self.tables.jobs) {
            let jobs = by_state("job_id").projection(include(&["doc"])).build();
            self.create(&self.tables.jobs, &[("job_id", S), ("state", S)], jobs.ok())
                .await?;
        }
        if !there.contains(&self.tables.workers) {
            let keys = Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build();
            let states = by_state("worker_id").projection(keys.clone()).build();
            let idle = index(IDLE, "idle", "worker_id").projection(keys).build();
            let attributes = [("worker_id", S), ("state", S), ("idle", S)];
            self.create(
                &self.tables.workers,
                &attributes,
                states.ok().into_iter().chain(idle.ok()),
            )
            .await?;
        }
        if !there.contains(&self.tables.events) {
            self.create(&self.tables.events, &[("job_id", S), ("seq", N)], None)
                .await?;
        }
        Ok(())
    }

    /// Makes one table; its key is the first attribute, and `seq` where there
    /// is one.
    async fn create(
        &self,
        name: &str,
        attributes: &[(&str, ScalarAttributeType)],
        indexes: impl IntoIterator<Item = GlobalSecondaryIndex>,
    ) -> Result<(), StoreError> {
        let (key, _) = &attributes[0];
        let sort = attributes
            .iter()
            .find(|(name, _)| *name == "seq")
            .map(|(name, _)| *name);
        let indexes: Vec<_> = indexes.into_iter().collect();
        let definitions = attributes.iter().filter_map(|(name, kind)| {
            AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(kind.clone())
                .build()
                .ok()
        });
        self.client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(definitions.collect()))
            .set_key_schema(Some(key_schema(key, sort)))
            .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
            .send()
            .await
            .map_err(StoreError::of)?;
        let expiry = TimeToLiveSpecification::builder()
            .attribute_name(EXPIRES_AT)
            .enabled(true);
        self.client
            .update_time_to_live()
            .table_name(name)
            .set_time_to_live_specification(expiry.build().ok())
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(())
    }
}

const S: ScalarAttributeType = ScalarAttributeType::S;
const N: ScalarAttributeType = ScalarAttributeType::N;

fn index(
    name: &str,
    hash: &str,
    range: &str,
) -> aws_sdk_dynamodb::types::builders::GlobalSecondaryIndexBuilder {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(key_schema(hash, Some(range))))
}

fn include(attributes: &[&str]) -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(attributes.iter().map(ToString::to_string).collect()))
        .build()
}

fn key_schema(hash: &str, range: Option<&str>) -> Vec<KeySchemaElement> {
    let element = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .ok()
    };
    element(hash, KeyType::Hash)
        .into_iter()
        .chain(range.and_then(|range| element(range, KeyType::Range)))
        .collect()
}

/// A key of one attribute.
pub(super) fn key(
    name: &str,
    value: impl Into<String>,
) -> HashMap<String, aws_sdk_dynamodb::types::AttributeValue> {
    HashMap::from([(
        name.to_owned(),
        aws_sdk_dynamodb::types::AttributeValue::S(value.into()),
    )])
}
