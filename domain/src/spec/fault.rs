//! What is wrong, or doubtful, in a request body.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One fault of a request body: where it is and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) in the client's own spelling of the keys,
    /// as `/Output/Video_outputs/0/Bitrate`.
    pub pointer: String,
    /// What is wrong, and the remedy.
    pub detail: String,
}

/// Every fault of a request body; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { "; " };
            write!(f, "{gap}{}: {}", fault.pointer, fault.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Something that works but that the client should think about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// JSON pointer into the resolved spec (snake_case keys).
    pub pointer: String,
    /// What is doubtful, and the remedy.
    pub detail: String,
}
