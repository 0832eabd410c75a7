//! What can go wrong with the records, named by what the caller does next.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use thiserror::Error;

/// A record could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The write's condition does not hold: read again and decide anew.
    #[error("the record has changed meanwhile")]
    Conflict,
    /// The database did not answer or is busy: the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A record that this version can't read: set it aside, go on with others.
    #[error("the record {item} can't be read: {fault}")]
    Unreadable {
        /// Table and key.
        item: String,
        /// What is wrong with it.
        fault: String,
    },
}

/// A transition was not written; nothing of it was.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The job has changed since it was read: read it again.
    #[error("the job has changed meanwhile")]
    JobChanged,
    /// The worker has: pick another, or read it again.
    #[error("the worker has changed meanwhile")]
    WorkerChanged,
    /// The fleet is at its limit: wait for a worker to come free.
    #[error("the fleet is at its limit")]
    FleetFull,
    /// The database's own trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// What an SDK error means to the caller.
    pub(super) fn of<E, R>(error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        if error.code() == Some("ConditionalCheckFailedException") {
            return Self::Conflict;
        }
        Self::Unavailable(DisplayErrorContext(error).to_string())
    }
}

/// For each action of a cancelled transaction, in order, whether its own
/// condition failed; `None` for any other error.
pub(super) fn failed_conditions<R>(
    error: &SdkError<TransactWriteItemsError, R>,
) -> Option<Vec<bool>> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) =
        error.as_service_error()?
    else {
        return None;
    };
    let reasons = cancelled.cancellation_reasons();
    let failed: Vec<bool> = reasons
        .iter()
        .map(|reason| reason.code() == Some("ConditionalCheckFailed"))
        .collect();
    // Without a failed condition it was a conflict with another transaction.
    failed.contains(&true).then_some(failed)
}
