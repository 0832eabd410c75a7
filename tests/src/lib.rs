//! What crosses components: end to end, faults, benches.

pub mod api;
pub mod bench;
pub mod fake;
pub mod machine;
pub mod on_air;
pub mod outage;
pub mod outsider;
pub mod player;
pub mod publisher;
pub mod scheduling;
pub mod viewer;
