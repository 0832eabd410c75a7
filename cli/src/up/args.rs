//! What `ezlive up` is told.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use domain::protocol::Timing;
use domain::spec::OperatorPolicy;
use functions::api::Playback;
use url::Url;

/// Run everything on this machine: API, scheduler, database, workers, playback.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where the API, playback and the console are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1080")]
    pub listen: SocketAddr,
    /// Where jobs and media are kept
    #[arg(long, value_name = "DIR", default_value = "ezlive-data")]
    pub data: PathBuf,
    /// The ports that publishers may be given, one for each job; or a single one
    #[arg(long, value_name = "FIRST-LAST", default_value = "1935-1999", value_parser = ports)]
    pub rtmp_ports: RangeInclusive<u16>,
    /// How many jobs may run at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_workers: u64,
    /// How many idle workers are kept warm, so that a job starts at once
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_idle: u64,
    /// How long a worker may be silent before its job goes to another
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = lease)]
    pub lease: Duration,
    /// How long a worker without a job is kept
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub idle_timeout: Duration,
    /// Ask for this bearer token on every call but /health and playback
    #[arg(
        long,
        value_name = "TOKEN",
        env = "EZLIVE_TOKEN",
        hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub token: Option<String>,
    /// The host name in the addresses given to publishers
    #[arg(long, value_name = "HOST")]
    pub public_host: Option<String>,
    /// Where players and browsers reach this server, if not at the address of their call: behind a proxy with TLS, https://live.example.com
    #[arg(long, value_name = "URL", value_parser = public_url)]
    pub public_url: Option<Url>,
    /// Private networks that pulled inputs may come from, as 10.0.0.0/8,127.0.0.0/8
    #[arg(long, value_name = "NETWORKS", default_value = "", value_parser = networks)]
    pub allow_pull_from: String,
    /// The FFmpeg program
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    pub ffmpeg: String,
}

impl UpArgs {
    /// The protocol's times.
    pub fn timing(&self) -> Timing {
        Timing {
            lease: self.lease,
            ..Timing::default()
        }
    }

    /// Where pulled inputs may come from.
    ///
    /// # Errors
    /// None: the command line was checked.
    pub fn policy(&self) -> anyhow::Result<OperatorPolicy> {
        Ok(OperatorPolicy::default()
            .with_one_store()
            .allow_networks(&self.allow_pull_from)?)
    }

    /// Where players find the channels.
    pub fn playback(&self) -> Playback {
        match &self.public_url {
            Some(url) => Playback::Fixed(format!("{}/live", url.as_str().trim_end_matches('/'))),
            None => Playback::FromHost,
        }
    }

    /// The folder that players are served from.
    pub fn media_folder(&self) -> PathBuf {
        self.data.join("media")
    }

    /// The same, as the URL of an object store.
    ///
    /// # Errors
    /// Where the folder is not there.
    pub fn media_url(&self) -> anyhow::Result<Url> {
        let folder = self.media_folder();
        let absolute = folder
            .canonicalize()
            .with_context(|| format!("the folder {} can't be found", folder.display()))?;
        Url::from_directory_path(&absolute)
            .map_err(|()| anyhow::anyhow!("{} can't be written as a URL", absolute.display()))
    }

    /// The host that publishers are told.
    pub fn ingest_host(&self) -> String {
        let host = match (&self.public_host, self.listen.ip()) {
            (Some(host), _) => return host.clone(),
            (None, ip) if ip.is_unspecified() => aws::address::private().unwrap_or(ip),
            (None, ip) => ip,
        };
        SocketAddr::new(host, 0)
            .to_string()
            .trim_end_matches(":0")
            .to_owned()
    }
}

/// Reads a range of ports, as `1935-1999`, or one port.
///
/// # Errors
/// What is wrong, with the remedy.
pub fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let remedy = "write two ports, as 1935-1999, or one";
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(0) | Err(_) => Err(format!("{text} is no port; {remedy}")),
        Ok(port) => Ok(port),
    };
    let range = port(first)?..=port(last)?;
    if range.is_empty() {
        return Err(format!("{text} goes backwards; {remedy}"));
    }
    Ok(range)
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text} is no number of seconds"))
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = seconds(text)?;
    if !Timing::LEASES.contains(&lease) {
        return Err("a lease must be from 1 to 60 seconds".to_owned());
    }
    Ok(lease)
}

fn public_url(text: &str) -> Result<Url, String> {
    let remedy = "write a URL without query, as https://live.example.com";
    let url = Url::parse(text).map_err(|error| format!("{error}; {remedy}"))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match url.scheme() {
        "http" | "https" if is_plain && url.has_host() => Ok(url),
        _ => Err(remedy.to_owned()),
    }
}

fn networks(text: &str) -> Result<String, String> {
    match OperatorPolicy::default().allow_networks(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
