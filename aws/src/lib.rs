//! DynamoDB, SQS, ECS and object storage behind the domain's words.

pub mod address;
pub mod environment;
pub mod launcher;
pub mod lazy;
pub mod media;
pub mod names;
pub mod queue;
pub mod sign;
pub mod store;
pub mod telemetry;
mod trust;
