//! What is wrong just now: everywhere, and with one component.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What one component's calls meet.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// Calls fail now and then: the world's, the same for all.
    pub storm: Switch,
    /// This component does not reach the database.
    pub no_database: Switch,
    /// Nor the object store.
    pub no_store: Switch,
}

impl Weather {
    /// That of one component in a world with this storm.
    pub fn in_storm(storm: &Switch) -> Self {
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
