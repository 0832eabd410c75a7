//! The two functions: the API that clients call, and the scheduler behind
//! the queue. Each runs as a Lambda (`src/bin/`) and inside `ezlive up`.

pub mod api;
pub mod scheduler;
