//! What crosses components: end to end, faults, benches.

pub mod fake;
