//! What is made when it is first used, and then shared.

use std::sync::{Arc, LazyLock};

/// What is made when it is first used. Each client of an SDK reads a table of
/// AWS's regions when it is made, 0.11 ms, which a Lambda function that is
/// starting does not wait for: most events need one or two of them.
pub type Lazy<T> = Arc<LazyLock<T, Box<dyn FnOnce() -> T + Send>>>;

/// Puts off what makes it.
pub fn lazy<T>(make: impl FnOnce() -> T + Send + 'static) -> Lazy<T> {
    Arc::new(LazyLock::new(Box::new(make)))
}
