//! The stall watchdog's clock and the meter of the input.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long a run may go without media while it has input.
#[derive(Debug)]
pub(super) struct StallClock {
    first_frame: Duration,
    stall: Duration,
    moved_ever: bool,
    stalled_for: Duration,
}

impl StallClock {
    /// `first_frame` holds until the first media, `stall` after it.
    pub(super) fn new(first_frame: Duration, stall: Duration) -> Self {
        Self {
            first_frame,
            stall,
            moved_ever: false,
            stalled_for: Duration::ZERO,
        }
    }

    /// How often to look.
    pub(super) fn period(&self) -> Duration {
        (self.stall / 10).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// What was seen over the last period: whether media came out, and whether
    /// FFmpeg had what it needs to make some (input, and room for its output).
    /// True once it has stalled.
    ///
    /// Only periods with input count, and one without starts over: the first
    /// bytes after a silence must not find a clock about to strike.
    pub(super) fn tick(&mut self, period: Duration, moved: bool, could_move: bool) -> bool {
        self.moved_ever |= moved;
        if moved || !could_move {
            self.stalled_for = Duration::ZERO;
            return false;
        }
        self.stalled_for += period;
        self.stalled_for >= self.patience()
    }

    /// For how long no media is no stall yet.
    pub(super) fn patience(&self) -> Duration {
        match self.moved_ever {
            true => self.stall,
            false => self.first_frame,
        }
    }
}

/// What flows through the worker into and out of FFmpeg.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Bytes of input that FFmpeg has taken.
    pub(super) fed: AtomicU64,
    /// Input waits for FFmpeg to take it.
    pub(super) feed_waits: AtomicBool,
    /// Output waits for the worker to take it: FFmpeg is not to blame.
    pub(super) output_waits: AtomicBool,
}

impl Flow {
    /// Whether input came, or waits to, since `before` bytes were fed; gives
    /// the bytes fed up to now.
    pub(super) fn input_since(&self, before: u64) -> (bool, u64) {
        let fed = self.fed.load(Ordering::Relaxed);
        (fed > before || self.feed_waits.load(Ordering::Relaxed), fed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> StallClock {
        StallClock::new(20 * SECOND, 5 * SECOND)
    }

    /// After how many seconds of (moved, could move) the clock strikes.
    fn strikes(seconds: impl IntoIterator<Item = (bool, bool)>) -> Option<usize> {
        let mut clock = clock();
        seconds
            .into_iter()
            .position(|(moved, could)| clock.tick(SECOND, moved, could))
    }

    #[test]
    fn media_that_stops_under_input_is_a_stall() {
        let stopped = [(true, true); 3].into_iter().chain([(false, true); 9]);
        assert_eq!(strikes(stopped), Some(3 + 4));
    }

    #[test]
    fn the_first_frame_has_more_time() {
        assert_eq!(strikes([(false, true); 30]), Some(19));
    }

    #[test]
    fn without_input_nothing_is_a_stall_and_its_return_starts_over() {
        let paused = [(true, true)].into_iter().chain([(false, false); 60]);
        let back = paused.chain([(false, true); 4]).chain([(true, true); 5]);
        assert_eq!(strikes(back), None);
        let trickle = [(true, true)]
            .into_iter()
            .chain((0..60).map(|second| (false, second % 4 != 0)));
        assert_eq!(strikes(trickle), None);
    }
}
