//! Decisions that a seed repeats.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Where a component's decisions come from. The n-th decision of a kind by a
/// component depends on the seed, the component, the kind and n alone: not on
/// what other threads did before, and so a seed gives each component the same
/// faults again. (Which of two threads is first is the kernel's to say, so
/// what the faults lead to may differ from run to run.)
#[derive(Clone)]
pub struct Dice {
    seed: u64,
    who: Arc<str>,
    thrown: Arc<Mutex<HashMap<String, u64>>>,
}

impl Dice {
    /// The decisions of one component.
    pub fn new(seed: u64, who: &str) -> Self {
        Self {
            seed,
            who: who.into(),
            thrown: Arc::default(),
        }
    }

    /// The next decision of this kind.
    pub fn throw(&self, what: &str) -> StdRng {
        let mut thrown = self.thrown.lock().unwrap();
        let count = thrown.entry(what.to_owned()).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, &*self.who, what, *count).hash(&mut hasher);
        StdRng::seed_from_u64(hasher.finish())
    }
}

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dice({}, {})", self.seed, self.who)
    }
}
