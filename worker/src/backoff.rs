//! Growing pauses between tries.

use std::time::Duration;

/// Pauses that double, from the first to the longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: bool,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            jitter: false,
            next: first,
        }
    }

    /// Each shortened by up to a half at random, so that many workers don't
    /// come back all at once.
    pub const fn with_jitter(self) -> Self {
        Self {
            jitter: true,
            ..self
        }
    }

    /// The pause before the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        if self.jitter {
            pause.mul_f64(rand::random_range(0.5..=1.0))
        } else {
            pause
        }
    }

    /// It went well: the next pause is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.pause(), FIRST);
    }

    #[test]
    fn jitter_shortens_them_and_never_to_nothing() {
        let mut backoff = Backoff::new(FIRST, LONGEST).with_jitter();
        let pauses: Vec<_> = (0..20).map(|_| backoff.pause()).collect();
        assert!((FIRST / 2..=FIRST).contains(&pauses[0]));
        let bound = LONGEST / 2..=LONGEST;
        assert!(pauses[10..].iter().all(|pause| bound.contains(pause)));
    }
}
