//! How much comes in.

use std::collections::VecDeque;
use std::time::Duration;

/// Over which the bitrate is averaged.
const WINDOW: Duration = Duration::from_secs(2);
/// What is counted together.
const STEP: Duration = Duration::from_millis(100);

/// Counts bytes, all of them and the latest.
#[derive(Debug, Default)]
pub struct Meter {
    total: u64,
    /// When a step began, and its bytes; the oldest first.
    recent: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// Counts bytes that came at `now`, on any clock that only goes forward.
    pub fn record(&mut self, bytes: usize, now: Duration) {
        self.total += bytes as u64;
        self.forget(now);
        match self.recent.back_mut() {
            Some((began, sum)) if now.saturating_sub(*began) < STEP => *sum += bytes as u64,
            _ => self.recent.push_back((now, bytes as u64)),
        }
    }

    /// All bytes so far.
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// The mean bitrate of the last two seconds in kbit/s; 0 when nothing
    /// came.
    pub fn kbps(&mut self, now: Duration) -> u64 {
        self.forget(now);
        let bits = self.recent.iter().map(|(_, bytes)| bytes * 8).sum::<u64>();
        bits / WINDOW.as_millis() as u64
    }

    fn forget(&mut self, now: Duration) {
        while let Some((began, _)) = self.recent.front()
            && now.saturating_sub(*began) >= WINDOW
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_and_silence_is_noticed() {
        let mut meter = Meter::default();
        // 10 kB every 40 ms: 2 Mbit/s.
        for step in 0..250_u64 {
            meter.record(10_000, Duration::from_millis(step * 40));
        }
        let end = Duration::from_secs(10);
        let measured = meter.kbps(end);
        assert!((1900..=2100).contains(&measured), "{measured}");
        assert_eq!(meter.total_bytes(), 2_500_000);
        assert_eq!(meter.kbps(end + WINDOW), 0);
        assert_eq!(meter.total_bytes(), 2_500_000);
    }
}
