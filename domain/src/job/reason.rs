//! Why a job stands where it stands, in a code for programs and a sentence
//! for people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people: what happened and what to do about it. Never a secret.
    pub message: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What a program can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Every worker the operator allows is in use.
    FleetLimit,
    /// The machine or ECS has no room for another worker just now.
    NoCapacity,
    /// A worker could not be started.
    LaunchFailed,
    /// A worker was started but never registered.
    LaunchTimeout,
    /// The worker's beat stopped.
    WorkerLost,
    /// The worker's task or process ended.
    WorkerExited,
    /// The worker gave the job back because it was told to leave.
    WorkerDrained,
    /// The publisher went away.
    InputLost,
    /// A publisher was turned away, as with a wrong stream key.
    PublisherRefused,
    /// The pulled input had an end, and was played up to it.
    InputEnded,
    /// The pulled input could not be reached.
    InputUnreachable,
    /// The pulled input leads to an address that is not allowed.
    InputForbidden,
    /// The input carries a codec that can't be read.
    InputUnsupported,
    /// FFmpeg refused the spec.
    SpecRejected,
    /// FFmpeg kept failing.
    TranscoderFailed,
    /// FFmpeg encodes slower than real time: the ladder is too much for it.
    TranscoderSlow,
    /// The object store could not be written.
    StoreUnavailable,
    /// No ingest port was free.
    NoIngestPort,
    /// No input for as long as the spec allows.
    IdleStop,
    /// The worker did not stop in time and was ended.
    StopForced,
}
