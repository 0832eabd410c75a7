//! DynamoDB, SQS, ECS and object storage behind the domain's words.

pub mod media;
