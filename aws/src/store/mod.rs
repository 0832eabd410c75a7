//! The records: jobs, workers, their history. DynamoDB is the truth.
//!
//! Every transition is one transaction: the job on condition of the version
//! that was read, its event, and where it applies the worker, the fleet's
//! counter and the idempotency record. No request scans a table, and the
//! number of calls to place a job does not grow with the fleet.
//!
//! | table | key | indexes |
//! |---|---|---|
//! | jobs | `job_id` | `by-state` (`state`, `job_id`) |
//! | workers | `worker_id` | `by-state` (`state`, `worker_id`), sparse `idle` (`idle`, `worker_id`) |
//! | events | `job_id`, `seq` | |

mod commit;
mod error;
mod events;
mod find;
mod fleet;
mod item;
mod jobs;
mod list;
mod rest;
mod tables;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod workers;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

pub use commit::WorkerChange;
pub use error::{CommitError, StoreError};
pub use find::WorkerPage;
pub use fleet::Fleet;
pub use jobs::{Created, Idempotency, StoredJob};
pub use list::JobPage;
pub use tables::TableNames;
pub use workers::Expected;

use crate::lazy::{Lazy, lazy};

/// The records, behind the domain's words.
#[derive(Debug, Clone)]
pub struct Store {
    client: Lazy<Client>,
    tables: TableNames,
}

impl Store {
    /// The records in these tables.
    pub fn new(client: Client, tables: TableNames) -> Self {
        let client = lazy(move || client);
        Self { client, tables }
    }

    /// The same, by a client that is made when it is first used.
    pub fn open(sdk: SdkConfig, tables: TableNames) -> Self {
        let client = lazy(move || Client::new(&sdk));
        Self { client, tables }
    }
}

#[cfg(test)]
mod tests;
