//! The time of a world: it passes in ticks, and only as fast as all who live
//! in the world keep up with it. So a busy machine makes a world slow, but
//! takes nobody's lease.
//!
//! Every component has a runtime of its own whose clock stands still by
//! itself; a task in it ([`Life::keep_pace`]) moves it by a tick at a time,
//! once everybody has had their turn.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// What passes at once.
const TICK: Duration = Duration::from_millis(20);
/// How long that takes at least: FFmpeg's processes live by the machine's
/// clock, and must get somewhere.
const REALLY: Duration = Duration::from_millis(10);
/// Turns that everything which is ready gets in a tick: one wakes another.
const TURNS: u32 = 12;

/// The time of one world. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ticked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Ticks since the world began.
    now: u32,
    /// Who takes part, and the tick that each waits to see the end of.
    lives: HashMap<u64, Option<u32>>,
    born: u64,
    last: Option<Instant>,
}

/// Somebody whom the world's time waits for.
pub struct Life {
    clock: Clock,
    id: u64,
    /// How many ticks it has lived through.
    lived: u32,
}

impl Clock {
    /// The time since the world began.
    pub fn now(&self) -> Duration {
        TICK * self.state().now
    }

    /// From now on time waits for this one too.
    pub fn begin(&self) -> Life {
        let mut state = self.state();
        state.born += 1;
        let id = state.born;
        state.lives.insert(id, None);
        Life {
            clock: self.clone(),
            id,
            lived: state.now,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Moves on where nobody is waited for any more.
    fn tick_if_all_wait<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        let now = state.now;
        if state.lives.values().any(|waits| *waits != Some(now)) {
            return;
        }
        if let Some(early) = state
            .last
            .and_then(|last| REALLY.checked_sub(last.elapsed()))
        {
            drop(state);
            std::thread::sleep(early);
            state = self.state();
            // Somebody was born, or another has moved time on.
            let is_over = |waits: &Option<u32>| *waits == Some(now);
            if state.now != now || !state.lives.values().all(is_over) {
                return;
            }
        }
        state.now += 1;
        state.last = Some(Instant::now());
        drop(state);
        self.0.ticked.notify_all();
    }
}

impl Life {
    /// Moves this runtime's clock with the world's, for ever. Its thread
    /// stands still in between.
    pub async fn keep_pace(mut self) {
        loop {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            let ticks = self.wait();
            tokio::time::advance(TICK * ticks).await;
        }
    }

    /// Waits for the next tick; how many have passed.
    fn wait(&mut self) -> u32 {
        let mut state = self.clock.state();
        if state.now == self.lived {
            state.lives.insert(self.id, Some(self.lived));
            self.clock.tick_if_all_wait(state);
            state = self.clock.state();
            while state.now == self.lived {
                // Whoever was waited for may leave just now.
                let waited = self.clock.0.ticked.wait_timeout(state, REALLY * 4);
                state = waited.unwrap().0;
                if state.now == self.lived {
                    self.clock.tick_if_all_wait(state);
                    state = self.clock.state();
                }
            }
        }
        state.lives.insert(self.id, None);
        let ticks = state.now - self.lived;
        self.lived = state.now;
        ticks
    }

    /// Whom to let go while its thread stands still.
    pub fn name(&self) -> Absence {
        Absence {
            clock: self.clock.clone(),
            id: self.id,
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.clock.state().lives.remove(&self.id);
    }
}

/// Somebody whom time need not wait for at times.
pub struct Absence {
    clock: Clock,
    id: u64,
}

impl Absence {
    /// Does something that stands still, while time goes on.
    pub fn during<T>(&self, standstill: impl FnOnce() -> T) -> T {
        self.clock.state().lives.remove(&self.id);
        let done = standstill();
        self.clock.state().lives.insert(self.id, None);
        done
    }
}

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:7.3}", self.now().as_secs_f64())
    }
}
