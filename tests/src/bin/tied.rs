//! Runs a program as the worker runs FFmpeg until either ends, for tests of
//! what becomes of the program then: `tied PROGRAM [ARGUMENT]...`. Prints the
//! program's process number, and its end.
//!
//! It also is the shim of test binaries, which have no `main` of their own.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use worker::ffmpeg::shim::{self, Tie};
use worker::ffmpeg::{Input, Run, RunConfig};
use worker::ingest::meter::Received;

fn main() -> anyhow::Result<()> {
    shim::run_if_asked();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut run = Run::start(RunConfig {
        program: args
            .next()
            .context("usage: tied PROGRAM [ARGUMENT]...")?
            .into(),
        argv: args.collect(),
        input: Input::Opened(Received::default()),
        tie: Tie::default(),
        stall: Duration::from_secs(60),
        first_frame: Duration::from_secs(60),
        http_proxy: None,
        secrets: Vec::new(),
    })?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", run.pid().context("it has ended already")?)?;
    let mut pieces = run.take_pieces().context("taken once")?;
    while pieces.recv().await.is_some() {}
    writeln!(stdout, "{:?}", run.wait().await.exit)?;
    Ok(())
}
