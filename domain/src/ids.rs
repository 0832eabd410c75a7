//! The names of things: jobs, workers, stream keys.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A job's id: a UUID version 7, so ids sort by the time of creation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = "uuid")]
pub struct JobId(String);

impl JobId {
    /// A new id, later than all made before it on this machine.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Reads an id as a client wrote it; `None` where it can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(|id| Self(id.to_string()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A worker's id. Evenly spread, so that a random point in the index of idle
/// workers is a fair pick.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = "uuid")]
pub struct WorkerId(String);

impl WorkerId {
    /// A random id, for a worker that is started for no job in particular.
    pub fn generate() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The id of the worker that is launched for this attempt of this job.
    /// The same attempt always gives the same id, which makes a repeated
    /// launch a no-op (it is also the client token of ECS RunTask).
    pub fn for_attempt(job: &JobId, attempt: u64) -> Self {
        let name = format!("{job}/{attempt}");
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
    }

    /// The id of the standby that is launched while the worker of this attempt
    /// is drained: one for each drain, however often it is asked for.
    pub fn for_standby(job: &JobId, attempt: u64) -> Self {
        let name = format!("{job}/{attempt}/standby");
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
    }

    /// Reads an id as a client wrote it; `None` where it can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(|id| Self(id.to_string()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two secrets are the same; takes the same time wherever they differ.
pub fn equal_secrets(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (ours.as_bytes(), theirs.as_bytes());
    let mut differs = ours.len() ^ theirs.len();
    for (i, byte) in ours.iter().enumerate() {
        differs |= usize::from(byte ^ theirs.get(i).copied().unwrap_or(0));
    }
    differs == 0
}

/// The secret a publisher shows to push into a job's ingest. `Debug` and logs
/// never show it; only serialising it to the store or the owner does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String)]
pub struct StreamKey(String);

impl StreamKey {
    /// A new random key (122 bits).
    pub fn generate() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// Whether what a publisher showed is this key.
    pub fn matches(&self, shown: &str) -> bool {
        equal_secrets(&self.0, shown)
    }

    /// The secret itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_repeated_for_the_same_attempt_names_the_same_worker() {
        let job = JobId::generate();
        assert_eq!(
            WorkerId::for_attempt(&job, 1),
            WorkerId::for_attempt(&job, 1)
        );
        assert_ne!(
            WorkerId::for_attempt(&job, 1),
            WorkerId::for_attempt(&job, 2)
        );
    }

    #[test]
    fn a_stream_key_matches_itself_only_and_is_not_printed() {
        let key = StreamKey::generate();
        assert!(key.matches(key.reveal()));
        for wrong in ["", "x", &key.reveal()[1..], &format!("{}0", key.reveal())] {
            assert!(!key.matches(wrong));
        }
        assert!(!format!("{key:?}").contains(key.reveal()));
    }

    #[test]
    fn ids_are_uuids_and_nothing_else() {
        assert!(JobId::parse("../../etc/passwd").is_none());
        let id = JobId::generate();
        assert_eq!(JobId::parse(&id.to_string().to_uppercase()), Some(id));
    }
}
