//! What the benches share. Their figures are ratios, or come from one run
//! with what they are compared to: machines differ, and are never quiet.

pub mod clip;
pub mod figures;
pub mod load;
pub mod usage;

use std::str::FromStr;

use anyhow::anyhow;

/// A setting out of the environment.
///
/// # Errors
/// It is there and can't be read.
pub fn setting<T: FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| anyhow!("{name}={text}: not such a number")),
        Err(_) => Ok(default),
    }
}
