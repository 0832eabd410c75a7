//! What is wrong just now: everywhere, and with one component.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// A switch that many see.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// How often each kind of fault has come, in all the worlds of a run.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Tally {
    pub fn count(&self, fault: &'static str) {
        *self.0.lock().unwrap().entry(fault).or_default() += 1;
    }

    pub fn of(&self, fault: &str) -> u64 {
        self.0.lock().unwrap().get(fault).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, count) in &*self.0.lock().unwrap() {
            writeln!(f, "{count:>9} × {fault}")?;
        }
        Ok(())
    }
}

/// Whether faults come in a world, and the tally of those that have.
#[derive(Debug, Clone, Default)]
pub struct Storm {
    blows: Switch,
    tally: Tally,
}

impl Storm {
    /// One that is counted there; it does not blow yet.
    pub fn new(tally: Tally) -> Self {
        Self {
            tally,
            ..Self::default()
        }
    }

    pub fn set(&self, on: bool) {
        self.blows.set(on);
    }

    pub fn is_on(&self) -> bool {
        self.blows.is_on()
    }

    /// Counts a fault that it has brought.
    pub fn brings(&self, fault: &'static str) {
        self.tally.count(fault);
    }
}

/// What one component's calls meet.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// Calls fail now and then: the world's, the same for all.
    pub storm: Storm,
    /// This component does not reach the database.
    pub no_database: Switch,
    /// Nor the object store.
    pub no_store: Switch,
}

impl Weather {
    /// That of one component in a world with this storm.
    pub fn in_storm(storm: &Storm) -> Self {
        Self {
            storm: storm.clone(),
            ..Self::default()
        }
    }
}

/// A handler that dies at its n-th wait: the future is dropped there, as a
/// Lambda that is ended.
pub struct Mortal<F> {
    handler: Option<Pin<Box<F>>>,
    waits: u32,
}

impl<F: Future> Mortal<F> {
    pub fn new(handler: F, waits: u32) -> Self {
        Self {
            handler: Some(Box::pin(handler)),
            waits,
        }
    }
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(handler) = &mut self.handler else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(done) = handler.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if self.waits == 0 {
            self.handler = None;
            return Poll::Ready(None);
        }
        self.waits -= 1;
        Poll::Pending
    }
}
