//! What a channel costs beside its encoder, and how soon it starts.
//!
//! `BENCH_SECONDS` (60) of media for `BENCH_PAIRS` (3) pairs of a channel and
//! a bare FFmpeg, then `BENCH_STARTS` (7) starts.

mod cost;
mod start;

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::api::Api;
use tests::bench::clip::Clip;
use tests::bench::figures::say;
use tests::bench::{setting, usage};
use tests::machine::{Machine, SAMPLE};

/// What both benches work with.
struct Bench {
    machine: Machine,
    api: Api,
    job: Value,
    clip: Clip,
    _folder: TempDir,
}

impl Bench {
    /// A machine with one worker at most, so that each job has the same one.
    async fn prepare(length: Duration) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clip = Clip::make(folder.path(), length).await?;
        let machine = Machine::start(&["--max-workers", "1"]).await?;
        Ok(Self {
            api: Api::of(&machine)?,
            machine,
            job: serde_json::from_str(SAMPLE)?,
            clip,
            _folder: folder,
        })
    }
}

// One thread: FFmpeg is tied to the one that starts it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let length = Duration::from_secs(setting("BENCH_SECONDS", 60)?);
    let pairs = setting("BENCH_PAIRS", 3)?;
    let starts = setting("BENCH_STARTS", 7)?;
    let bench = Bench::prepare(length).await?;
    say(&format!(
        "load before: {}; live_job.json on 720p25 H.264 and AAC over RTMP\n",
        usage::load()?
    ))?;
    start::bench(&bench, starts).await?;
    cost::bench(&bench, length, pairs).await
}
