//! `ezlive doctor`: whether this machine has what `ezlive up` needs, and what
//! to do where it hasn't.

mod ffmpeg;
mod machine;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::local_url;
use super::output::{self, Output, paint};
use crate::up::ports;

/// Arguments of `ezlive doctor`.
#[derive(Debug, Args)]
#[command(after_help = help::DOCTOR)]
pub struct DoctorArgs {
    /// The folder that `ezlive up` is to keep its data in
    #[arg(long, value_name = "DIR", default_value = "ezlive-data")]
    data: PathBuf,
    /// Where `ezlive up` is to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1080")]
    listen: SocketAddr,
    /// The ports that publishers may be given, or a single one
    #[arg(long, value_name = "FIRST-LAST", default_value = "1935-1999", value_parser = ports)]
    rtmp_ports: RangeInclusive<u16>,
    /// The FFmpeg program
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    ffmpeg: String,
}

impl DoctorArgs {
    /// Where `ezlive up` would serve the API.
    pub fn usual_url(&self) -> String {
        local_url(self.listen)
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It will do for some things.
    Warning,
    /// `ezlive up` can't work so.
    Fault,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    /// What to do about it; null where all is well.
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn warning(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Warning,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn fault(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Fault,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Looks at everything and prints what it finds; exit code 0 without faults,
/// else 1. `is_named`: whether somebody said where the API is.
///
/// # Errors
/// [`Failure::Output`].
pub async fn run(
    api: &ApiClient,
    is_named: bool,
    output: &Output,
    args: &DoctorArgs,
) -> Result<ExitCode, Failure> {
    let mut checks = ffmpeg::checks(&args.ffmpeg).await;
    let api_check = check_api(api, is_named, args.listen).await;
    let is_ours = api_check.status == Status::Ok && machine::leads_to(api.url(), args.listen);
    checks.push(machine::listen_port(args.listen, is_ours));
    checks.push(machine::rtmp_ports(
        args.listen.ip(),
        args.rtmp_ports.clone(),
    ));
    checks.push(machine::data_folder(&args.data));
    checks.push(api_check);

    let good = checks.iter().all(|check| check.status != Status::Fault);
    if output.json {
        output.document(&serde_json::json!({ "ok": good, "checks": checks }))?;
    } else {
        for check in &checks {
            output.line(&in_words(check))?;
        }
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn in_words(check: &Check) -> String {
    let mark = match check.status {
        Status::Ok => paint(output::GREEN, "✓"),
        Status::Warning => paint(output::YELLOW, "!"),
        Status::Fault => paint(output::RED, "✗"),
    };
    let remedy = check
        .remedy
        .as_deref()
        .map(|remedy| format!("\n  → {remedy}"));
    format!(
        "{mark} {}: {}{}",
        check.name,
        output::clean(&check.detail),
        remedy.unwrap_or_default()
    )
}

/// Whether the API answers. That nothing runs yet is no fault, unless a URL
/// other than the default says that it should.
async fn check_api(api: &ApiClient, is_named: bool, listen: SocketAddr) -> Check {
    const NAME: &str = "API";
    let url = api.shown_url();
    let start = if api.is_default() {
        "Start it: ezlive up".to_owned()
    } else {
        format!("Start it: ezlive up --listen {listen}")
    };
    match api.health().await {
        Ok(_) => Check::ok(NAME, format!("answers at {url}")),
        Err(Failure::Unreachable { why, .. }) if !is_named || api.is_default() => {
            Check::warning(NAME, format!("nothing at {url}: {why}"), start)
        }
        Err(Failure::Unreachable { why, .. }) => Check::fault(
            NAME,
            format!("no answer from {url}: {why}"),
            "Check --url or EZLIVE_URL, and that it runs.",
        ),
        Err(other) => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default().to_owned();
            Check::fault(NAME, first, "Name the API with --url or EZLIVE_URL.")
        }
    }
}
