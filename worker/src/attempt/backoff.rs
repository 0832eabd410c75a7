//! How often, and after which pauses, a run that ended too soon is followed
//! by the next.

use std::time::Duration;

/// Runs in a row without a published segment after which a job fails.
pub const BUDGET: u32 = 8;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(16);

/// Counts runs that came to nothing.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A run published something: what was before no longer counts.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A run ended by itself. The pause before the next: none after a first
    /// one, then 1 s, doubling to 16 s.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        match self.failures {
            1 => Duration::ZERO,
            n => Duration::from_secs(1 << (n - 2).min(6)).min(LONGEST),
        }
    }

    /// Whether it has happened since the last success.
    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Whether it has happened too often.
    pub fn is_spent(&self) -> bool {
        self.failures >= BUDGET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_budget_ends() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..BUDGET).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 16, 16]);
        assert!(backoff.is_spent());
        backoff.succeeded();
        assert!(!backoff.is_spent());
        assert_eq!(backoff.failed(), Duration::ZERO);
    }
}
