//! The scheduler against the embedded database, message by message.

mod harness;
mod placing;
mod poison;
mod standby;
mod stopping;
mod sweeping;
mod watching;
