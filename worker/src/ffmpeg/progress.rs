//! FFmpeg's `-progress` reports: blocks of `key=value` lines that end with
//! `progress=continue` or `progress=end`.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Over how many blocks (seconds, with `-stats_period 1`) rates are taken.
const WINDOW: usize = 5;

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Frames encoded by the first video output; `None` without video.
    pub frames: Option<u64>,
    /// Frames that FFmpeg dropped to hold the frame rate.
    pub dropped: u64,
    /// Media time written.
    pub out_time: Duration,
    /// Frames a second over the last seconds; `None` before two reports.
    pub fps: Option<f64>,
    /// Media seconds a second over the last seconds; `None` before two
    /// reports.
    pub speed: Option<f64>,
}

impl Progress {
    /// Whether media came out since `before`: frames where there is video.
    pub(super) fn moved_since(&self, before: &Progress) -> bool {
        match (self.frames, before.frames) {
            (Some(now), Some(then)) => now > then,
            (Some(now), None) => now > 0,
            (None, _) => self.out_time > before.out_time,
        }
    }
}

/// Collects lines to reports. FFmpeg's own `fps` and `speed` are averages
/// since its start, so rates are taken from the differences instead.
#[derive(Debug, Default)]
pub(super) struct ProgressParser {
    block: Progress,
    /// When, frames, media time of the last reports.
    reports: VecDeque<(Instant, u64, Duration)>,
}

impl ProgressParser {
    /// Takes a line that came in at this time; gives the report that it ends.
    /// Unknown keys and values that are no numbers (`N/A`) are passed over.
    pub(super) fn line(&mut self, line: &str, now: Instant) -> Option<Progress> {
        let (key, value) = line.trim().split_once('=')?;
        let number = value.trim().parse::<u64>().ok();
        match key {
            "frame" => self.block.frames = number.or(self.block.frames),
            "drop_frames" => self.block.dropped = number.unwrap_or(self.block.dropped),
            // `out_time_ms` is in microseconds too.
            "out_time_us" => {
                self.block.out_time = number.map_or(self.block.out_time, Duration::from_micros);
            }
            "progress" => {
                self.rates(now);
                return Some(self.block.clone());
            }
            _ => {}
        }
        None
    }

    fn rates(&mut self, now: Instant) {
        let frames = self.block.frames.unwrap_or_default();
        let out_time = self.block.out_time;
        if let Some((then, frames_then, out_time_then)) = self.reports.front() {
            let seconds = now.duration_since(*then).as_secs_f64();
            if seconds > 0.0 {
                let media = out_time.saturating_sub(*out_time_then).as_secs_f64();
                self.block.speed = Some(media / seconds);
                let encoded = frames.saturating_sub(*frames_then) as f64;
                self.block.fps = self.block.frames.map(|_| encoded / seconds);
            }
        }
        self.reports.push_back((now, frames, out_time));
        if self.reports.len() > WINDOW {
            self.reports.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(parser: &mut ProgressParser, text: &str, now: Instant) -> Progress {
        let reports: Vec<_> = text
            .lines()
            .filter_map(|line| parser.line(line, now))
            .collect();
        let [report] = reports.as_slice() else {
            panic!("{reports:?}")
        };
        report.clone()
    }

    #[test]
    fn reads_what_ffmpeg_reports() {
        let text = "frame=160\nfps=157.96\nstream_0_0_q=29.0\nbitrate= 641.9kbits/s\n\
            total_size=508422\nout_time_us=6336000\nout_time_ms=6336000\n\
            out_time=00:00:06.336000\ndup_frames=3\ndrop_frames=2\nspeed=6.26x\n\
            progress=continue\n";
        let report = block(&mut ProgressParser::default(), text, Instant::now());
        let expected = Progress {
            frames: Some(160),
            dropped: 2,
            out_time: Duration::from_millis(6336),
            ..Progress::default()
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn rates_are_of_the_last_seconds() {
        let mut parser = ProgressParser::default();
        let begin = Instant::now();
        let mut last = Progress::default();
        // A burst at the start, then half of real time.
        for second in 0u64..20 {
            let media = 10_000_000 + second * 500_000;
            let text = format!(
                "frame={}\nspeed=9x\nfps=200\nout_time_us={media}\nprogress=continue\n",
                250 + second * 12
            );
            last = block(&mut parser, &text, begin + Duration::from_secs(second));
        }
        assert_eq!(last.speed, Some(0.5));
        assert_eq!(last.fps, Some(12.0));
    }

    #[test]
    fn what_is_not_known_yet_is_kept() {
        let mut parser = ProgressParser::default();
        let now = Instant::now();
        block(
            &mut parser,
            "frame=7\nout_time_us=280000\nprogress=continue",
            now,
        );
        let report = block(
            &mut parser,
            "frame=\nout_time_us=N/A\nout_time_us=-5\nnonsense\nprogress=end",
            now,
        );
        assert_eq!(
            (report.frames, report.out_time),
            (Some(7), Duration::from_millis(280))
        );
        assert_eq!(report.speed, None, "no time has passed");
    }

    #[test]
    fn sound_alone_does_not_count_as_frames() {
        let at = |frames, millis| Progress {
            frames,
            out_time: Duration::from_millis(millis),
            ..Progress::default()
        };
        assert!(!at(Some(5), 900).moved_since(&at(Some(5), 100)));
        assert!(at(Some(6), 100).moved_since(&at(Some(5), 100)));
        assert!(at(None, 900).moved_since(&at(None, 100)));
        assert!(!at(Some(0), 900).moved_since(&at(None, 0)));
    }
}
