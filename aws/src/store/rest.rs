//! The rest of a batch that a busy table has left undone.

use std::time::Duration;

use rand::RngExt;

use super::StoreError;

/// How often a rest is asked for again.
const TIMES: u32 = 6;
/// The longest pause before the first of them; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Paces and bounds how often the rest of a batch is asked for again.
#[derive(Debug, Default)]
pub(super) struct Rest {
    asked: u32,
}

impl Rest {
    /// Waits before the next time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where there have been enough.
    pub(super) async fn pause(&mut self) -> Result<(), StoreError> {
        if self.asked == TIMES {
            let fault = format!("a batch is still not done after {TIMES} times");
            return Err(StoreError::Unavailable(fault));
        }
        let longest = FIRST_PAUSE * 2_u32.pow(self.asked);
        self.asked += 1;
        let share = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(longest.mul_f64(share)).await;
        Ok(())
    }
}
