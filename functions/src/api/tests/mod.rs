//! The API against the embedded database, call by call. Each answer is also
//! held against the OpenAPI document: an undocumented one fails its test.

mod creating;
mod deleting;
mod harness;
mod hostile;
mod listing;
mod showing;
mod trouble;
mod wishing;
mod workers;
