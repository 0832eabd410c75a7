//! Looking at a job again and again until it is where a command wants it.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::output::{LiveLine, Output};

/// How long the API may be away, as in a restart, before a command that waits
/// gives up.
const OUTAGE: Duration = Duration::from_secs(60);

/// The looks of one command: they sit out a while in which the API is away.
pub struct Looks<'a> {
    output: &'a Output,
    live: &'a LiveLine,
    every: Duration,
    last_good: Instant,
    deadline: Option<Instant>,
    is_away: bool,
}

impl<'a> Looks<'a> {
    /// Looks with such pauses between them, told of on this line.
    pub fn every(every: Duration, output: &'a Output, live: &'a LiveLine) -> Self {
        Self {
            output,
            live,
            every,
            last_good: Instant::now(),
            deadline: None,
            is_away: false,
        }
    }

    /// Sits out nothing after this.
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What a look has found; `None`: nothing, as the API is away, which is
    /// said once.
    ///
    /// # Errors
    /// What the look failed with, where waiting does not mend it or has lasted
    /// long enough: for [`OUTAGE`], or up to the deadline.
    pub async fn found<T>(
        &mut self,
        look: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Option<T>, Failure> {
        match look.await {
            Ok(found) => {
                self.last_good = Instant::now();
                self.is_away = false;
                Ok(Some(found))
            }
            Err(failure) if failure.is_momentary() && self.is_patient() => {
                self.say_away();
                // What is left of the pause is the next one's.
                let more = failure.retry_after().saturating_sub(self.every);
                tokio::time::sleep(more.min(OUTAGE)).await;
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn is_patient(&self) -> bool {
        let in_time = self.deadline.is_none_or(|end| Instant::now() < end);
        in_time && self.last_good.elapsed() < OUTAGE
    }

    /// Waits until it is time for the next look.
    pub async fn pause(&self) {
        tokio::time::sleep(self.every).await;
    }

    fn say_away(&mut self) {
        const AWAY: &str = "the API does not answer; trying on";
        if !self.is_away && !self.live.is_on() {
            self.output.note(AWAY);
        }
        self.is_away = true;
        self.live.set(AWAY);
    }
}
