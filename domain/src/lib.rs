//! The rules of ezlive, pure: what a job is, what may happen to it, who may
//! run it, which FFmpeg it needs and what its playlists say.
//!
//! Nothing here does I/O, reads a clock or knows AWS. Time comes in as an
//! argument; decisions go out as values that the callers carry out.

pub mod event;
pub mod ids;
pub mod input;
pub mod job;
pub mod message;
pub mod plan;
pub mod protocol;
pub mod spec;
pub mod timeline;
pub mod trace;
pub mod worker;
