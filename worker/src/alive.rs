//! The sign of life that a container's health check looks at: a file that is
//! touched at registration and with each good beat, idle or booked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws::environment::{EnvironmentError, optional, timing};

/// Names the file.
const VARIABLE: &str = "EZLIVE_ALIVE_FILE";

/// Touches the file, where there is to be one.
#[derive(Debug, Clone, Default)]
pub struct Alive(Option<Arc<Path>>);

impl Alive {
    /// As `EZLIVE_ALIVE_FILE` says; not set: no file.
    pub fn from_environment() -> Self {
        Self(optional(VARIABLE).map(|path| PathBuf::from(path).into()))
    }

    /// The worker has beaten. A file that can't be written makes the worker
    /// look dead to its container alone: the record has the last word.
    pub async fn beaten(&self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = tokio::fs::write(path, b"").await {
            tracing::warn!(path = %path.display(), %error, "the health check can't be told");
        }
    }
}

/// Whether the worker of this environment has beaten within its lease.
///
/// # Errors
/// [`EnvironmentError`].
pub fn is_healthy() -> Result<bool, EnvironmentError> {
    let Some(path) = optional(VARIABLE) else {
        return Ok(false);
    };
    Ok(beaten_within(Path::new(&path), timing()?.lease))
}

fn beaten_within(path: &Path, lease: Duration) -> bool {
    let touched = std::fs::metadata(path).and_then(|file| file.modified());
    // A time ahead of the clock is as good as now.
    touched.is_ok_and(|touched| {
        SystemTime::now()
            .duration_since(touched)
            .is_ok_and(|age| age <= lease)
            || touched > SystemTime::now()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn healthy_is_who_has_beaten_lately() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let lease = Duration::from_secs(8);
        assert!(!beaten_within(&path, lease), "never");
        Alive(Some(path.clone().into())).beaten().await;
        assert!(beaten_within(&path, lease));
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - 2 * lease).unwrap();
        assert!(!beaten_within(&path, lease), "long ago");
    }
}
