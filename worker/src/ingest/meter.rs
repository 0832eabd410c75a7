//! How much comes in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted together.
const STEP: Duration = Duration::from_millis(100);

/// Bytes of an input that FFmpeg fetches itself, counted where they pass
/// through the worker. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// Counts bytes.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All bytes so far.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts bytes, all of them and the latest.
#[derive(Debug)]
pub struct Meter {
    /// Over which the bitrate is averaged.
    window: Duration,
    total: u64,
    /// What [`Self::follow`] has counted already.
    followed: u64,
    /// When a step began, and its bytes; the oldest first.
    recent: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// A meter whose bitrate is the mean over this time.
    pub fn over(window: Duration) -> Self {
        Self {
            window,
            total: 0,
            followed: 0,
            recent: VecDeque::new(),
        }
    }

    /// Counts bytes that came at `now`, on any clock that only goes forward.
    pub fn record(&mut self, bytes: u64, now: Duration) {
        self.total += bytes;
        self.forget(now);
        match self.recent.back_mut() {
            Some((began, sum)) if now.saturating_sub(*began) < STEP => *sum += bytes,
            _ => self.recent.push_back((now, bytes)),
        }
    }

    /// Counts what was received since it last did.
    pub fn follow(&mut self, received: &Received, now: Duration) {
        let total = received.total();
        self.record(total - self.followed, now);
        self.followed = total;
    }

    /// All bytes so far.
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// The mean bitrate of the window up to `now` in kbit/s; 0 when nothing
    /// came.
    pub fn kbps(&mut self, now: Duration) -> u64 {
        self.forget(now);
        let bits = self.recent.iter().map(|(_, bytes)| bytes * 8).sum::<u64>();
        bits / self.window.as_millis() as u64
    }

    fn forget(&mut self, now: Duration) {
        while let Some((began, _)) = self.recent.front()
            && now.saturating_sub(*began) >= self.window
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
        let window = Duration::from_secs(2);
        let mut meter = Meter::over(window);
        // 10 kB every 40 ms: 2 Mbit/s.
        for step in 0..250_u64 {
            meter.record(10_000, Duration::from_millis(step * 40));
        }
        let end = Duration::from_secs(10);
        let measured = meter.kbps(end);
        assert!((1900..=2100).contains(&measured), "{measured}");
        assert_eq!(meter.total_bytes(), 2_500_000);
        assert_eq!(meter.kbps(end + window), 0);
        assert_eq!(meter.total_bytes(), 2_500_000);
    }

    #[test]
    fn what_passes_elsewhere_is_counted_once() {
        let (received, mut meter) = (Received::default(), Meter::over(Duration::from_secs(2)));
        let elsewhere = received.clone();
        for second in 1..=3 {
            elsewhere.add(125_000);
            meter.follow(&received, Duration::from_secs(second));
            meter.follow(&received, Duration::from_secs(second));
        }
        assert_eq!(meter.total_bytes(), 375_000);
        assert_eq!(meter.kbps(Duration::from_secs(3)), 1000);
    }
}
