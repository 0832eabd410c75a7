//! Publishers' clocks onto one media time per run.

use std::time::Duration;

use thiserror::Error;

use crate::ingest::TagKind;

/// How far media may be ahead of wall time before the publisher is held back.
pub const MAX_AHEAD: Duration = Duration::from_secs(3);
/// How far media may fall behind wall time before the run has to end.
pub const MAX_BEHIND: Duration = Duration::from_secs(10);
/// Timestamps of one connection that are further apart than this, milliseconds,
/// and disagree with the wall clock by as much, are of another clock.
const JUMP_MS: i64 = 2000;

/// The publisher has fallen behind real time for good; the next run starts
/// afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("input is {} s behind real time", behind.as_secs())]
pub struct DriftBeyondBound {
    /// How far.
    pub behind: Duration,
}

/// Where a tag has been put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Milliseconds since the start of the run.
    pub timestamp: u64,
    /// How much that is ahead of the wall clock.
    pub ahead: Duration,
}

/// Anchors the first tag of each connection at the wall time of its arrival,
/// and lets the publisher's own clock run from there: the time between two
/// connections stays as a gap, which FFmpeg fills.
#[derive(Debug, Default)]
pub struct MediaClock {
    /// The furthest timestamp of this connection, and where it was put.
    cursor: Option<(u32, i64)>,
    /// The furthest that anything has been put, of any connection.
    furthest: Option<i64>,
    /// The last timestamp of each track.
    audio: Option<i64>,
    video: Option<i64>,
}

impl MediaClock {
    /// The next tag is the first of another connection.
    pub fn begin_connection(&mut self) {
        self.cursor = None;
    }

    /// Where a sequence header goes: before the track's next frame. It has no
    /// time of its own: senders stamp it with 0, or with whatever it was.
    pub fn place_config(&self, kind: TagKind) -> u64 {
        let last = match kind {
            TagKind::Audio => self.audio,
            TagKind::Video => self.video,
        };
        last.unwrap_or(0) as u64
    }

    /// Places a frame that arrives at `elapsed`. Within a track, each is later
    /// than the one before.
    pub fn place(
        &mut self,
        kind: TagKind,
        timestamp: u32,
        elapsed: Duration,
    ) -> Result<Placed, DriftBeyondBound> {
        let now = elapsed.as_millis() as i64;
        let position = self.follow(timestamp, now);
        let track = match kind {
            TagKind::Audio => &mut self.audio,
            TagKind::Video => &mut self.video,
        };
        let placed = position.max(track.map_or(0, |last| last + 1));
        *track = Some(placed);
        let furthest = self
            .furthest
            .map_or(placed, |furthest| furthest.max(placed));
        self.furthest = Some(furthest);

        let behind = Duration::from_millis((now - furthest).max(0) as u64);
        if behind > MAX_BEHIND {
            return Err(DriftBeyondBound { behind });
        }
        let ahead = Duration::from_millis((placed - now).max(0) as u64);
        Ok(Placed {
            timestamp: placed as u64,
            ahead,
        })
    }

    /// Where the publisher's clock says the tag belongs.
    fn follow(&mut self, timestamp: u32, now: i64) -> i64 {
        if let Some((input, output)) = self.cursor {
            // Modulo 2^32, so a wrap is a step like any other.
            let step = i64::from(timestamp.wrapping_sub(input) as i32);
            let position = output + step;
            // A long step is a pause where the wall clock has moved as far,
            // and else another clock: an encoder set right, a file begun anew.
            if step.abs() <= JUMP_MS || (position - now).abs() <= JUMP_MS {
                if step > 0 {
                    self.cursor = Some((timestamp, position));
                }
                return position;
            }
        }
        let anchor = self.furthest.map_or(now, |furthest| now.max(furthest + 1));
        self.cursor = Some((timestamp, anchor));
        anchor
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(clock: &mut MediaClock, timestamp: u32, elapsed_ms: u64) -> u64 {
        let elapsed = Duration::from_millis(elapsed_ms);
        clock
            .place(TagKind::Video, timestamp, elapsed)
            .unwrap()
            .timestamp
    }

    #[test]
    fn a_connection_is_anchored_at_the_wall_and_then_keeps_its_own_time() {
        let mut clock = MediaClock::default();
        assert_eq!(at(&mut clock, 5000, 0), 0);
        assert_eq!(at(&mut clock, 5040, 55), 40);
        // Four seconds without a publisher, who comes back with another clock.
        clock.begin_connection();
        assert_eq!(at(&mut clock, 77, 4100), 4100);
        assert_eq!(at(&mut clock, 117, 4130), 4140);
    }

    #[test]
    fn a_new_connection_never_goes_back_behind_what_was_written() {
        let mut clock = MediaClock::default();
        at(&mut clock, 0, 0);
        assert_eq!(at(&mut clock, 1500, 100), 1500);
        clock.begin_connection();
        assert_eq!(at(&mut clock, 0, 200), 1501);
    }

    #[test]
    fn the_wrap_at_32_bits_is_a_step_like_any_other() {
        let mut clock = MediaClock::default();
        at(&mut clock, u32::MAX - 19, 0);
        assert_eq!(at(&mut clock, 20, 40), 40);
    }

    #[test]
    fn a_jump_of_the_publishers_clock_does_not_jump_media_time() {
        for jump in [3_600_000_u32, 0_u32.wrapping_sub(3_600_000)] {
            let mut clock = MediaClock::default();
            at(&mut clock, 10_000_000, 0);
            assert_eq!(at(&mut clock, 10_000_040, 40), 40);
            let jumped = 10_000_080_u32.wrapping_add(jump);
            assert_eq!(at(&mut clock, jumped, 80), 80);
            assert_eq!(at(&mut clock, jumped + 40, 120), 120);
        }
    }

    #[test]
    fn a_pause_that_the_wall_clock_agrees_with_is_kept() {
        let mut clock = MediaClock::default();
        at(&mut clock, 0, 0);
        // Arrives 300 ms late: the publisher's own time counts.
        assert_eq!(at(&mut clock, 7000, 7300), 7000);
    }

    #[test]
    fn tracks_may_lag_each_other_but_none_goes_back() {
        let mut clock = MediaClock::default();
        let mut place = |kind, timestamp| {
            clock
                .place(kind, timestamp, Duration::ZERO)
                .unwrap()
                .timestamp
        };
        assert_eq!(place(TagKind::Video, 1000), 0);
        assert_eq!(place(TagKind::Video, 1000), 1);
        assert_eq!(place(TagKind::Audio, 990), 0);
        assert_eq!(place(TagKind::Audio, 1010), 10);
        assert_eq!(place(TagKind::Audio, 1005), 11);
        assert_eq!(clock.place_config(TagKind::Video), 1);
        assert_eq!(clock.place_config(TagKind::Audio), 11);
    }

    #[test]
    fn a_publisher_who_falls_behind_ends_the_run() {
        let mut clock = MediaClock::default();
        at(&mut clock, 0, 0);
        // Half speed: behind by 9 s, then by 11 s. No step is long.
        for second in 1..=9_u64 {
            assert_eq!(
                at(&mut clock, second as u32 * 1000, second * 2000),
                second * 1000
            );
        }
        at(&mut clock, 10_000, 20_000);
        let drift = clock.place(TagKind::Video, 11_000, Duration::from_millis(22_000));
        assert_eq!(
            drift,
            Err(DriftBeyondBound {
                behind: Duration::from_secs(11)
            })
        );
    }

    #[test]
    fn a_publisher_who_runs_ahead_is_seen_to() {
        let mut clock = MediaClock::default();
        for step in 0..50_u32 {
            at(&mut clock, step * 100, 10);
        }
        let placed = clock
            .place(TagKind::Video, 5000, Duration::from_millis(10))
            .unwrap();
        assert_eq!(placed.ahead, Duration::from_millis(5000));
    }

    proptest! {
        #[test]
        fn whatever_comes_time_goes_on(
            tags in proptest::collection::vec(
                (any::<bool>(), any::<u32>(), 0_u64..500, 0_u8..20), 1..200,
            ),
        ) {
            let mut clock = MediaClock::default();
            let (mut now, mut last, mut furthest) = (0, [None; 2], 0);
            for (video, timestamp, wait, reconnect) in tags {
                now += wait;
                if reconnect == 0 {
                    clock.begin_connection();
                }
                let kind = if video { TagKind::Video } else { TagKind::Audio };
                let elapsed = Duration::from_millis(now);
                let placed = clock.place(kind, timestamp, elapsed).unwrap();
                if let Some(last) = last[usize::from(video)] {
                    prop_assert!(placed.timestamp > last);
                }
                last[usize::from(video)] = Some(placed.timestamp);
                // A wild clock never leads further than one jump from wall or
                // from what is written already.
                let bound = furthest.max(now) + JUMP_MS as u64;
                prop_assert!(placed.timestamp <= bound + 1);
                furthest = furthest.max(placed.timestamp);
            }
        }

        #[test]
        fn a_steady_publisher_is_reproduced_exactly(
            start in any::<u32>(), step in 1_u32..1000, count in 1_u32..300,
        ) {
            let mut clock = MediaClock::default();
            for n in 0..count {
                let elapsed = u64::from(n * step);
                prop_assert_eq!(at(&mut clock, start.wrapping_add(n * step), elapsed), elapsed);
            }
        }
    }
}
