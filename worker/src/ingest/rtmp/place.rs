//! The one place of a publisher: whoever holds it publishes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a holder that is to leave may take to.
const LEAVING: Duration = Duration::from_secs(5);

/// Since when a connection is waited for; `None` while it sends, or is not
/// being read because what it sends is not taken.
#[derive(Debug, Clone, Default)]
pub struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// The next byte is waited for.
    pub fn begin(&self) {
        self.set(Some(Instant::now()));
    }

    /// It has come.
    pub fn end(&self) {
        self.set(None);
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn lasts(&self) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The place, shared by all connections.
#[derive(Debug, Clone)]
pub struct Place {
    permit: Arc<Semaphore>,
    holder: Arc<Mutex<Option<(Silence, CancellationToken)>>>,
}

/// The place is held. Dropped, it is free.
#[derive(Debug)]
pub struct Held {
    _permit: OwnedSemaphorePermit,
    /// Another has come while this one was silent.
    pub replaced: CancellationToken,
}

impl Place {
    /// A place that is free.
    pub fn new() -> Self {
        Self {
            permit: Arc::new(Semaphore::new(1)),
            holder: Arc::default(),
        }
    }

    /// Takes the place for a connection with this silence. A holder that has
    /// been silent for `patience` is half open, as after a change of network:
    /// it must leave, and is waited for. `None`: the place is held.
    pub async fn take(&self, silence: &Silence, patience: Duration) -> Option<Held> {
        let permit = match Arc::clone(&self.permit).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.replace_silent(patience)?;
                let freed = Arc::clone(&self.permit).acquire_owned();
                timeout(LEAVING, freed).await.ok()?.ok()?
            }
        };
        let replaced = CancellationToken::new();
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        *holder = Some((silence.clone(), replaced.clone()));
        Some(Held {
            _permit: permit,
            replaced,
        })
    }

    fn replace_silent(&self, patience: Duration) -> Option<()> {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        let (silence, replaced) = holder.as_ref()?;
        // One newcomer at a time.
        if replaced.is_cancelled() || silence.lasts() < patience {
            return None;
        }
        replaced.cancel();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_silent_holder_makes_room() {
        let (place, patience) = (Place::new(), Duration::from_millis(1500));
        let (first, second) = (Silence::default(), Silence::default());
        let held = place.take(&first, patience).await.unwrap();
        tokio::time::advance(patience * 2).await;
        assert!(place.take(&second, patience).await.is_none(), "not read");
        first.begin();
        tokio::time::advance(patience / 2).await;
        assert!(place.take(&second, patience).await.is_none(), "not yet");
        tokio::time::advance(patience).await;
        let leaving = async {
            held.replaced.cancelled().await;
            drop(held);
        };
        let (taken, ()) = tokio::join!(place.take(&second, patience), leaving);
        assert!(!taken.unwrap().replaced.is_cancelled());
    }
}
