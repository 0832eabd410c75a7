//! Who holds the media up: the publisher, or FFmpeg.

use std::time::Duration;

use tokio::time::Instant;

/// Over how long the share is taken, about.
const OVER: Duration = Duration::from_secs(5);

/// The share of the last seconds in which input waited for FFmpeg to take it.
/// For an encoder that is slower than real time some always waits; for a
/// publisher that is too slow none does. What was long ago does not count: in
/// a day even a fast encoder has kept its input waiting for seconds.
#[derive(Debug, Default)]
pub struct Pressure {
    share: f64,
    waits: bool,
    at: Option<Instant>,
}

impl Pressure {
    /// Something waits for FFmpeg to take it, from now on.
    pub fn begin(&mut self, now: Instant) {
        self.turn(true, now);
    }

    /// FFmpeg has taken it.
    pub fn end(&mut self, now: Instant) {
        self.turn(false, now);
    }

    /// Whether it is the main reason where media is behind real time.
    pub fn is_high(&self, now: Instant) -> bool {
        self.share(now) > 0.5
    }

    fn turn(&mut self, waits: bool, now: Instant) {
        *self = Self {
            share: self.share(now),
            waits,
            at: Some(now),
        };
    }

    fn share(&self, now: Instant) -> f64 {
        let passed = self.at.map_or(Duration::ZERO, |at| now - at);
        let kept = (-passed.as_secs_f64() / OVER.as_secs_f64()).exp();
        let since = if self.waits { 1.0 } else { 0.0 };
        self.share * kept + since * (1.0 - kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a minute of tags every 40 ms, each of which waits for so many
    /// milliseconds, is pressure after a pause of the publisher's.
    fn is_high_after(waits: u64, paused: u64) -> bool {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pressure = Pressure::default();
        for tag in 0..1500 {
            pressure.begin(at(tag * 40));
            pressure.end(at(tag * 40 + waits));
        }
        pressure.is_high(at(60_000 + paused))
    }

    #[test]
    fn a_slow_encoder_is_told_from_a_slow_publisher() {
        assert!(is_high_after(38, 0));
        assert!(!is_high_after(1, 0));
        assert!(!is_high_after(38, 15_000), "the publisher has paused since");
    }

    #[test]
    fn a_wait_that_lasts_counts() {
        let start = Instant::now();
        let mut pressure = Pressure::default();
        assert!(!pressure.is_high(start));
        pressure.begin(start);
        assert!(pressure.is_high(start + Duration::from_secs(15)));
    }
}
