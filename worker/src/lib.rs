//! The worker: takes a live input, drives FFmpeg, publishes HLS and DASH.
//!
//! Data flows one way: `ingest` -> `ffmpeg` -> `mp4` -> `segmenter` ->
//! `publisher` -> object storage. [`fleet`] is the worker's life, `attempt`
//! one job in it.

pub mod alive;
mod attempt;
mod backoff;
pub mod config;
pub mod ffmpeg;
pub mod fleet;
pub mod ingest;
pub mod mp4;
pub mod naming;
pub mod publisher;
pub mod segment;
pub mod segmenter;

use std::process::ExitCode;

use anyhow::Context;
use aws::media::MediaStores;
use aws::names::IngestNames;
use aws::store::Store;
use aws::telemetry::{self, LogFormat};
use aws_config::SdkConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use alive::Alive;
use config::WorkerConfig;
use fleet::Member;
use naming::Naming;

/// Runs a worker until it leaves the fleet, as its environment says.
pub fn run() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the worker ends: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the worker of this environment is healthy, as an exit code: the
/// health check of its container.
pub fn health() -> ExitCode {
    match alive::is_healthy() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn start() -> anyhow::Result<()> {
    let log_format = config::log_format();
    telemetry::init(*log_format.as_ref().unwrap_or(&LogFormat::Json))?;
    log_format?;
    let config = WorkerConfig::from_environment()?;
    // One thread: FFmpeg is tied to the thread that starts it, and a channel
    // needs no more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(mut config: WorkerConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sdk = aws::environment::sdk_config().await;
    let store = Store::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables.clone());
    let media = MediaStores::open(&config.store_url, &config.buckets)?;
    media
        .probe()
        .await
        .context("the object store is of no use")?;
    config.ingest_host = aws::address::ingest_host(&config.ingest_host).await?;
    let naming = naming(&sdk, &config)?;
    let leaving = CancellationToken::new();
    // Who is to leave at once does not wait for another first.
    let draining = leaving.child_token();
    let member = Member {
        config,
        store,
        media,
        naming,
        leaving: leaving.clone(),
        draining: draining.clone(),
        alive: Alive::from_environment(),
    };
    let mut serving = std::pin::pin!(member.serve());
    loop {
        tokio::select! {
            served = &mut serving => return served,
            _ = terminate.recv() => draining.cancel(),
            _ = interrupt.recv() => leaving.cancel(),
        }
    }
}

/// What the ingests of this worker are named with, where there is a zone.
fn naming(sdk: &SdkConfig, config: &WorkerConfig) -> anyhow::Result<Option<Naming>> {
    let Some(zone) = config.zone.clone() else {
        return Ok(None);
    };
    let address = config.ingest_host.parse().context(
        "EZLIVE_INGEST_HOST must be public, private or an IPv4 address: EZLIVE_INGEST_ZONE names it",
    )?;
    let names = IngestNames::new(sdk, zone)?;
    Ok(Some(Naming::new(names, address, config.timing)))
}
