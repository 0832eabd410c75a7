//! Stable names of ingests: where the operator has a hosted zone (Route 53),
//! a job is pushed to at `{job}.{zone}`, whichever worker has it.
//!
//! Beside the address stands a text record with the attempt that put it there.
//! Both change in one batch, which deletes exactly what was read before: it
//! fails as a whole where somebody else has written in between. So a higher
//! attempt takes a name over, and a lower one never gets it back, however late
//! its write comes.

mod route53;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use aws_config::SdkConfig;
use domain::ids::JobId;
use thiserror::Error;

use crate::environment::{EnvironmentError, optional};
pub use route53::ChangeId;
use route53::{CallError, RecordSet, Route53};

/// Seconds that resolvers may keep an address: as long as publishers go on
/// trying the worker before.
const TTL_SECONDS: u32 = 10;
/// How often a name is read again that others write at the same time.
const TRIES: usize = 4;
/// What stands before the attempt in the text record.
const MARK: &str = "ezlive attempt ";

/// The operator's hosted zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestZone {
    id: String,
    name: String,
}

impl IngestZone {
    /// Reads `EZLIVE_INGEST_ZONE_ID` and `EZLIVE_INGEST_ZONE`, as
    /// `Z0123456789ABC` and `live.example.com`; none where neither is set.
    ///
    /// # Errors
    /// [`EnvironmentError`]: one of them is missing or is no such thing.
    pub fn from_environment() -> Result<Option<Self>, EnvironmentError> {
        Self::read(optional)
    }

    fn read(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, EnvironmentError> {
        const ID: &str = "EZLIVE_INGEST_ZONE_ID";
        const NAME: &str = "EZLIVE_INGEST_ZONE";
        let fault = |variable, fault: &str| EnvironmentError {
            variable,
            fault: fault.to_owned(),
        };
        let (id, name) = match (variable(ID), variable(NAME)) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(fault(ID, "is not set, but EZLIVE_INGEST_ZONE is")),
            (Some(_), None) => return Err(fault(NAME, "is not set, but EZLIVE_INGEST_ZONE_ID is")),
            (Some(id), Some(name)) => (id, name),
        };
        // The console shows the bare id, the API the path.
        let id = id.trim_start_matches("/hostedzone/").to_owned();
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(fault(ID, "is no id of a hosted zone"));
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !is_host_name(&name) {
            return Err(fault(NAME, "is no name of a zone"));
        }
        Ok(Some(Self { id, name }))
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(known)
    };
    name.len() <= 200 && name.split('.').all(is_label)
}

/// What pointing a name came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointed {
    /// It was there before: who asks is led here or, for a moment, to where it
    /// pointed before.
    Moved,
    /// It is new: who asks before this change is everywhere is told, and may
    /// remember for minutes, that there is no such name.
    New(ChangeId),
}

/// A name was not changed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// It is a later attempt's.
    #[error("the name is attempt {by}'s")]
    Fenced {
        /// That one.
        by: u64,
    },
    /// Route 53 did not take the change: perhaps the next time.
    #[error("Route 53: {0}")]
    Retry(String),
}

/// The names in the operator's zone.
#[derive(Debug, Clone)]
pub struct IngestNames {
    route53: Route53,
    zone: IngestZone,
}

impl IngestNames {
    /// The names in this zone, with the SDK's credentials.
    ///
    /// # Errors
    /// There are no credentials.
    pub fn new(sdk: &SdkConfig, zone: IngestZone) -> Result<Self, NameError> {
        let route53 = Route53::new(sdk).map_err(NameError::Retry)?;
        Ok(Self { route53, zone })
    }

    /// A job's name.
    pub fn of(&self, job: &JobId) -> String {
        format!("{job}.{}", self.zone.name)
    }

    /// Points a job's name at the worker of this attempt.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn point(
        &self,
        job: &JobId,
        attempt: u64,
        at: Ipv4Addr,
    ) -> Result<Pointed, NameError> {
        let name = self.of(job);
        self.replace(&name, attempt, &records(&name, attempt, at))
            .await
    }

    /// Takes a job's name away, as no worker has it any more.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn release(&self, job: &JobId, attempt: u64) -> Result<(), NameError> {
        self.replace(&self.of(job), attempt, &[]).await.map(drop)
    }

    /// Whether a change has reached all servers of the zone.
    ///
    /// # Errors
    /// [`NameError::Retry`].
    pub async fn is_everywhere(&self, change: &ChangeId) -> Result<bool, NameError> {
        let told = self.route53.is_in_sync(change).await;
        told.map_err(|error| NameError::Retry(error.to_string()))
    }

    async fn replace(
        &self,
        name: &str,
        attempt: u64,
        after: &[RecordSet],
    ) -> Result<Pointed, NameError> {
        let retry = |error: CallError| NameError::Retry(error.to_string());
        for _ in 0..TRIES {
            let before = self.route53.records(&self.zone.id, name).await;
            let before = before.map_err(retry)?;
            match attempt_in(&before) {
                Some(by) if by > attempt => return Err(NameError::Fenced { by }),
                _ if before == after => return Ok(Pointed::Moved),
                _ => {}
            }
            let changed = self.route53.change(&self.zone.id, &before, after).await;
            match changed {
                Ok(_) if !before.is_empty() => return Ok(Pointed::Moved),
                Ok(change) => return Ok(Pointed::New(change)),
                // Others have written since it was read.
                Err(CallError::Changed(_)) => {}
                Err(error) => return Err(retry(error)),
            }
        }
        Err(NameError::Retry(format!("{name} keeps changing")))
    }
}

/// The records of a name, as the attempt writes them; in the order of
/// [`Route53::records`].
fn records(name: &str, attempt: u64, at: Ipv4Addr) -> [RecordSet; 2] {
    let record = |kind: &str, value: String| RecordSet {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ttl: TTL_SECONDS,
        values: vec![value],
    };
    [
        record("A", at.to_string()),
        record("TXT", format!("\"{MARK}{attempt}\"")),
    ]
}

/// The attempt that wrote the records, where one of them says so.
fn attempt_in(records: &[RecordSet]) -> Option<u64> {
    let mut values = records.iter().flat_map(|set| &set.values);
    values.find_map(|value| value.trim_matches('"').strip_prefix(MARK)?.parse().ok())
}
