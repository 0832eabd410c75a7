//! Whether it is FFmpeg that the input waits for.

use std::time::Duration;

/// Over how long the share is taken, about.
const OVER: Duration = Duration::from_secs(5);

/// The share of the last seconds in which input waited for FFmpeg. An encoder
/// that is too slow for real time always has some waiting; a publisher that is
/// too slow never has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pressure {
    share: f64,
    waits: bool,
    at: Duration,
}

impl Pressure {
    /// Input waits, or no longer does, from `now` on; on any clock that only
    /// goes forward.
    pub fn waits(&mut self, waits: bool, now: Duration) {
        *self = Self {
            share: self.share(now),
            waits,
            at: now,
        };
    }

    /// From 0 to 1, up to `now`.
    pub fn share(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let kept = (-passed / OVER.as_secs_f64()).exp();
        let since = if self.waits { 1.0 } else { 0.0 };
        self.share * kept + since * (1.0 - kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A minute of tags every 40 ms, each of which waits for so long.
    fn share_after(waits: u64, paused: u64) -> f64 {
        let mut pressure = Pressure::default();
        for tag in 0..1500 {
            pressure.waits(true, ms(tag * 40));
            pressure.waits(false, ms(tag * 40 + waits));
        }
        pressure.share(ms(60_000 + paused))
    }

    #[test]
    fn a_slow_encoder_is_told_from_a_slow_publisher() {
        assert!(share_after(38, 0) > 0.9);
        assert!(share_after(1, 0) < 0.1);
        assert!(share_after(38, 15_000) < 0.1, "the publisher paused since");
    }

    #[test]
    fn a_wait_that_lasts_counts() {
        let mut pressure = Pressure::default();
        pressure.waits(true, ms(0));
        assert!(pressure.share(ms(15_000)) > 0.9);
    }
}
