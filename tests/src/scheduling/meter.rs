//! What DynamoDB is asked and what that costs, counted inside the SDK: each
//! request as it goes out, each answer as it was read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

/// What comes before the operation's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// What was asked of DynamoDB.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls {
    /// Requests sent, by operation.
    pub by_operation: BTreeMap<String, u64>,
    /// Transactions cancelled, as a record had changed meanwhile.
    pub conflicts: u64,
    /// Read capacity units, as DynamoDB counts them.
    pub read_units: f64,
    /// Write capacity units; DynamoDB names none for a cancelled transaction.
    pub write_units: f64,
}

impl Calls {
    /// The requests of one operation.
    pub fn of(&self, operation: &str) -> u64 {
        self.by_operation
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.by_operation.values().sum()
    }
}

/// An interceptor that counts.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Calls>>);

impl Meter {
    /// What was counted so far.
    pub fn read(&self) -> Calls {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    /// Asks for the capacity that the call takes; the store has no use for it.
    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input_mut();
        let total = Some(ReturnConsumedCapacity::Total);
        if let Some(input) = input.downcast_mut::<GetItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<BatchGetItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<QueryInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<TransactWriteItemsInput>() {
            input.return_consumed_capacity = total;
        }
        Ok(())
    }

    /// Each try of the SDK's is a request of its own.
    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target");
        let operation = target.and_then(|target| target.strip_prefix(TARGET_PREFIX));
        let operation = operation.ok_or("a request that names no operation")?;
        *self
            .lock()
            .by_operation
            .entry(operation.to_owned())
            .or_default() += 1;
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut calls = self.lock();
        match context.output_or_error() {
            Ok(output) => {
                if let Some(answer) = output.downcast_ref::<GetItemOutput>() {
                    calls.read_units += units(answer.consumed_capacity.as_slice());
                } else if let Some(answer) = output.downcast_ref::<BatchGetItemOutput>() {
                    calls.read_units += units(answer.consumed_capacity());
                } else if let Some(answer) = output.downcast_ref::<QueryOutput>() {
                    calls.read_units += units(answer.consumed_capacity.as_slice());
                } else if let Some(answer) = output.downcast_ref::<UpdateItemOutput>() {
                    calls.write_units += units(answer.consumed_capacity.as_slice());
                } else if let Some(answer) = output.downcast_ref::<TransactWriteItemsOutput>() {
                    calls.write_units += units(answer.consumed_capacity());
                }
            }
            Err(error) => {
                let is_cancelled = error
                    .as_operation_error()
                    .and_then(|error| error.downcast_ref::<TransactWriteItemsError>())
                    .is_some_and(TransactWriteItemsError::is_transaction_canceled_exception);
                calls.conflicts += u64::from(is_cancelled);
            }
        }
        Ok(())
    }
}

fn units(consumed: &[ConsumedCapacity]) -> f64 {
    let each = consumed.iter().filter_map(|table| table.capacity_units);
    each.sum()
}
