//! What a worker is told by its environment, read once at its start.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use aws::environment::{EnvironmentError, names, optional, parsed, required, seconds, timing};
use aws::names::IngestZone;
use aws::store::TableNames;
use aws::telemetry::LogFormat;
use domain::ids::WorkerId;
use domain::protocol::Timing;
use domain::spec::OperatorPolicy;

use crate::ffmpeg::shim::Tie;

/// The settings of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// `EZLIVE_WORKER_ID`: who it is.
    pub id: WorkerId,
    /// `EZLIVE_TABLE_PREFIX`: where its records are.
    pub tables: TableNames,
    /// `EZLIVE_STORE`: where it publishes, `s3://…` or `file:///…`.
    pub store_url: String,
    /// `EZLIVE_BUCKETS`: other buckets that jobs may name.
    pub buckets: Vec<String>,
    /// `EZLIVE_RTMP_ADDRESS`: the address it listens on for publishers.
    pub rtmp_address: IpAddr,
    /// `EZLIVE_RTMP_PORTS`: the ports it may take, as `1935-1999`.
    pub rtmp_ports: RangeInclusive<u16>,
    /// `EZLIVE_INGEST_HOST`: the host in the address it tells publishers, or
    /// `public` or `private` for its own address of that kind.
    pub ingest_host: String,
    /// `EZLIVE_INGEST_ZONE_ID`, `EZLIVE_INGEST_ZONE`: the hosted zone that its
    /// ingests have names in.
    pub zone: Option<IngestZone>,
    /// `EZLIVE_LEASE` and its kin.
    pub timing: Timing,
    /// `EZLIVE_IDLE_TIMEOUT`: how long it stays without a job.
    pub idle_timeout: Duration,
    /// `EZLIVE_ALLOW_PULL_FROM`: private networks that inputs may come from.
    pub policy: OperatorPolicy,
    /// `EZLIVE_FFMPEG`: the FFmpeg program.
    pub ffmpeg: String,
    /// What ties FFmpeg to this process: this binary itself, but in tests.
    pub tie: Tie,
}

impl WorkerConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`EnvironmentError`], which names the variable.
    pub fn from_environment() -> Result<Self, EnvironmentError> {
        let networks = optional("EZLIVE_ALLOW_PULL_FROM").unwrap_or_default();
        Ok(Self {
            id: parsed_by("EZLIVE_WORKER_ID", |text| {
                WorkerId::parse(text).ok_or("is no worker id".to_owned())
            })?,
            tables: TableNames::with_prefix(&required("EZLIVE_TABLE_PREFIX")?),
            store_url: required("EZLIVE_STORE")?,
            rtmp_address: parsed("EZLIVE_RTMP_ADDRESS", Ipv4Addr::UNSPECIFIED.into())?,
            rtmp_ports: match optional("EZLIVE_RTMP_PORTS") {
                Some(_) => parsed_by("EZLIVE_RTMP_PORTS", ports)?,
                None => 1935..=1935,
            },
            ingest_host: required("EZLIVE_INGEST_HOST")?,
            zone: IngestZone::from_environment()?,
            timing: timing()?,
            idle_timeout: seconds("EZLIVE_IDLE_TIMEOUT", Duration::from_secs(300))?,
            policy: OperatorPolicy::default()
                .allow_networks(&networks)
                .map_err(|error| EnvironmentError {
                    variable: "EZLIVE_ALLOW_PULL_FROM",
                    fault: format!("can't be read: {error}"),
                })?,
            buckets: names("EZLIVE_BUCKETS"),
            ffmpeg: optional("EZLIVE_FFMPEG").unwrap_or_else(|| "ffmpeg".to_owned()),
            tie: Tie::default(),
        })
    }
}

/// `EZLIVE_LOG_FORMAT`: `json` or `text`. Read before all else, so that what
/// is wrong with the rest can be told.
///
/// # Errors
/// [`EnvironmentError`]: it is neither.
pub fn log_format() -> Result<LogFormat, EnvironmentError> {
    match optional("EZLIVE_LOG_FORMAT").as_deref() {
        None | Some("json") => Ok(LogFormat::Json),
        Some("text") => Ok(LogFormat::Text),
        Some(other) => Err(EnvironmentError {
            variable: "EZLIVE_LOG_FORMAT",
            fault: format!("must be json or text, not {other:?}"),
        }),
    }
}

fn parsed_by<T>(
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, EnvironmentError> {
    parse(&required(variable)?).map_err(|fault| EnvironmentError { variable, fault })
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    text.split_once('-')
        .and_then(|(first, last)| Some(port(first)?..=port(last)?))
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "must be two ports, as 1935-1999".to_owned())
}
