//! FFmpeg as a child process: one run from start to exit.
//!
//! [`Run`] feeds it, splits what it writes, watches that it makes progress,
//! and says why it ended. It never outlives this process (see [`shim`]).

mod check;
pub mod environment;
mod feed;
mod process;
mod progress;
mod run;
pub mod shim;
mod stall;
mod stderr;
mod supervise;

pub use check::{
    OPTIONAL_ENCODERS, REQUIRED_ENCODERS, Release, ToolError, Version, check, encoders, ffprobe_of,
    release,
};
pub use feed::{Feed, FeedClosed};
pub use process::Exit;
pub use progress::Progress;
pub use run::{EndCause, Input, Run, RunConfig, RunEnd, StartError};
pub use stderr::FailureKind;
pub(crate) use stderr::summary;
