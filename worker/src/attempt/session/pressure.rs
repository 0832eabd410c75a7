//! Who holds the media up: the publisher, or FFmpeg.

use std::time::Duration;

use tokio::time::Instant;

/// How long a run's FFmpeg has kept its input waiting: it encodes slower than
/// media comes in.
#[derive(Debug, Default)]
pub struct Pressure {
    total: Duration,
    since: Option<Instant>,
}

impl Pressure {
    /// Something waits for FFmpeg to take it, from now on.
    pub fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// FFmpeg has taken it.
    pub fn end(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.total += now - since;
        }
    }

    /// Whether it is the main reason for being so far behind real time.
    pub fn explains(&self, behind: Duration) -> bool {
        self.total * 2 >= behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waited_for_ffmpeg_is_its_fault() {
        let mut pressure = Pressure::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let behind = Duration::from_secs(11);
        pressure.end(at(1));
        assert!(!pressure.explains(behind), "nothing waited");
        pressure.begin(at(1));
        pressure.begin(at(3));
        pressure.end(at(5));
        assert!(!pressure.explains(behind), "4 s of 11");
        pressure.end(at(50));
        pressure.begin(at(60));
        pressure.end(at(62));
        assert!(pressure.explains(behind), "6 s of 11");
    }
}
