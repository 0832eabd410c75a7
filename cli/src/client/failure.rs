//! Why a command failed, and the exit code that says so to scripts.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use super::api::is_momentary;
use super::signals::Signal;
use super::types::Problem;

/// What ends a command without success; the kinds are the exit codes.
#[derive(Debug, Error)]
pub enum Failure {
    /// The API understood and refused. Exit code 1.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// No such job or worker. Exit code 4.
    #[error("{0}")]
    NotFound(Box<Problem>),
    /// The job is not, or will not get, where the command needs it. Exit
    /// code 1.
    #[error("{0}")]
    Job(String),
    /// The command line asks for what can't be. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// This machine lacks something. Exit code 2.
    #[error("{what}\n  {remedy}")]
    Local {
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// Tokio could not start. Exit code 2.
    #[error("can't start: {0}")]
    Runtime(io::Error),
    /// Nothing answers at the URL. Exit code 3.
    #[error(
        "no answer from {url}: {why}\n  Start one with `ezlive up`, or name another with --url or EZLIVE_URL."
    )]
    Unreachable {
        /// Where the API was looked for, without credentials.
        url: String,
        /// What came instead of an answer.
        why: String,
    },
    /// Something answers at the URL, but not this API. Exit code 3.
    #[error("what answers at {url} is not ezlive: {why}\n  Name the API with --url or EZLIVE_URL.")]
    NotEzlive {
        /// Where the API was looked for, without credentials.
        url: String,
        /// What is odd about the answer.
        why: String,
    },
    /// Standard output is gone or full. A closed pipe is no fault: exit code
    /// 0 and not a word; anything else 2.
    #[error("can't write to standard output: {0}")]
    Output(#[from] io::Error),
    /// Ended by SIGINT (exit code 130) or SIGTERM (143).
    #[error("interrupted")]
    Interrupted(Signal),
}

impl Failure {
    /// Whether the API can't be had just now, as in a restart: the same call
    /// may succeed in a moment.
    pub fn is_momentary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => is_momentary(problem.status),
            _ => false,
        }
    }

    /// How long the API asks to be left alone.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Refused(problem) => problem.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// The program's exit code; listed in `ezlive --help`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) | Self::Job(_) => 1,
            Self::Usage(_) | Self::Local { .. } | Self::Runtime(_) => 2,
            Self::Unreachable { .. } | Self::NotEzlive { .. } => 3,
            Self::NotFound(_) => 4,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 2,
            Self::Interrupted(signal) => signal.exit_code(),
        })
    }
}
