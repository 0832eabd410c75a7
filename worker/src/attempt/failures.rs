//! How often, and after which pauses, a run that ended too soon is followed
//! by the next.

use std::time::Duration;

use crate::backoff::Backoff;

/// Runs in a row without a published segment after which a job fails.
pub const BUDGET: u32 = 8;

/// Counts runs that came to nothing.
#[derive(Debug)]
pub struct Failures {
    count: u32,
    backoff: Backoff,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            count: 0,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(16)),
        }
    }
}

impl Failures {
    /// A run published something: what was before no longer counts.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A run ended by itself. The pause before the next: none after a first
    /// one, then 1 s, doubling to 16 s.
    pub fn failed(&mut self) -> Duration {
        self.count = self.count.saturating_add(1);
        match self.count {
            1 => Duration::ZERO,
            _ => self.backoff.pause(),
        }
    }

    /// Whether it has happened since the last success.
    pub fn has_failed(&self) -> bool {
        self.count > 0
    }

    /// Whether it has happened too often.
    pub fn is_spent(&self) -> bool {
        self.count >= BUDGET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_budget_ends() {
        let mut failures = Failures::default();
        let pauses: Vec<u64> = (0..BUDGET).map(|_| failures.failed().as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 16, 16]);
        assert!(failures.is_spent());
        failures.succeeded();
        assert!(!failures.is_spent());
        assert_eq!(failures.failed(), Duration::ZERO);
    }
}
