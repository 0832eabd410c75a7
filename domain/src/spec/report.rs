//! Gathers faults while a body is read.

use super::fault::{Fault, Faults};
use super::limits::MAX_FAULTS;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    left_out: usize,
}

impl Report {
    /// Notes one fault.
    pub(super) fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.faults.len() == MAX_FAULTS {
            self.left_out += 1;
            return;
        }
        self.faults.push(Fault {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    /// What was read, unless anything was wrong.
    pub(super) fn finish<T>(mut self, read: Option<T>) -> Result<T, Faults> {
        if self.left_out > 0 {
            let detail = format!("and {} more faults", self.left_out);
            self.faults.push(Fault {
                pointer: String::new(),
                detail,
            });
        }
        match read {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(Faults(self.faults)),
        }
    }
}

/// A client's text as it may be repeated: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let start: String = text.chars().take(LONGEST).collect();
    let gap = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{gap}\"", start.escape_debug())
}

/// One more step of a JSON pointer (RFC 6901, section 3).
pub(super) fn step(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}
