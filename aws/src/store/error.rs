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
    /// A transaction was writing the record: the same call may succeed at once.
    #[error("another write of the record was under way")]
    Contended,
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
        match error.code() {
            Some("ConditionalCheckFailedException") => Self::Conflict,
            Some("TransactionConflictException") => Self::Contended,
            _ => Self::Unavailable(DisplayErrorContext(error).to_string()),
        }
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
    failed.contains(&true).then_some(failed)
}

/// Whether a transaction was cancelled, with none of its conditions failed,
/// because another one was writing the same records: it may be tried again
/// after a moment. The SDK doesn't do so by itself.
pub(super) fn met_another<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    !met_at(error).is_empty()
}

/// The actions, by their place, that met another transaction in such a case.
pub(super) fn met_at<R>(error: &SdkError<TransactWriteItemsError, R>) -> Vec<usize> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return Vec::new();
    };
    if failed_conditions(error).is_some() {
        return Vec::new();
    }
    let reasons = cancelled.cancellation_reasons().iter().enumerate();
    reasons
        .filter(|(_, reason)| reason.code() == Some("TransactionConflict"))
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    use super::*;

    fn cancelled(codes: &[&str]) -> SdkError<TransactWriteItemsError, ()> {
        let reasons = codes
            .iter()
            .map(|code| CancellationReason::builder().code(*code).build());
        let exception = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .build();
        let error = TransactWriteItemsError::TransactionCanceledException(exception);
        SdkError::service_error(error, ())
    }

    /// The embedded database writes one transaction after the other and never
    /// says `TransactionConflict`; DynamoDB does.
    #[test]
    fn a_failed_condition_is_told_from_a_meeting_of_transactions() {
        let (failed, met, none) = ("ConditionalCheckFailed", "TransactionConflict", "None");
        let condition = cancelled(&[none, failed]);
        assert_eq!(failed_conditions(&condition), Some(vec![false, true]));
        assert!(!met_another(&condition));
        let both = cancelled(&[met, failed]);
        assert_eq!(failed_conditions(&both), Some(vec![false, true]));
        assert!(!met_another(&both) && met_at(&both).is_empty());
        let meeting = cancelled(&[none, met]);
        assert_eq!(failed_conditions(&meeting), None);
        assert!(met_another(&meeting));
        assert_eq!(met_at(&meeting), [1]);
        let busy = cancelled(&["ThrottlingError", none]);
        assert_eq!(failed_conditions(&busy), None);
        assert!(!met_another(&busy));
    }
}
