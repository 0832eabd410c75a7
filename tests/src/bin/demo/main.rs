//! What `make demo` runs: a channel on this machine, from POST to picture.
//!
//! Starts `ezlive up`, posts live_job.json, publishes the test picture by
//! `ezlive publish`, and tells what happens until Ctrl-C. With the environment
//! variable `DEMO_SECONDS` it ends by itself after so many seconds of playing,
//! with exit code 0 only if what was published plays from end to end.

mod check;
mod children;
mod playlist;
mod screen;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::{Machine, SAMPLE};
use tokio::signal::unix::{SignalKind, signal};
use worker::ffmpeg::shim;

use children::Children;
use screen::Screen;
use watch::{Timeline, Watched};

/// From POST to the first playlist; far more than it takes.
const BEGIN: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    shim::run_if_asked();
    let screen = Screen;
    // One thread: children are tied to the one that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(&screen)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.line(&format!("\ndemo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(screen: &Screen) -> anyhow::Result<()> {
    let seconds = demo_seconds()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut children = Children::start(screen).await?;
    let asked = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let shown = tokio::select! {
        shown = show(screen, &mut children, seconds) => shown,
        () = asked => {
            screen.line("\nending in order ...");
            Ok(())
        }
    };
    let ended = children.end(screen).await;
    shown.and(ended)
}

/// How long to play; `None`: until Ctrl-C.
fn demo_seconds() -> anyhow::Result<Option<Duration>> {
    match std::env::var("DEMO_SECONDS") {
        Ok(text) if !text.is_empty() => {
            let seconds: u64 = text
                .parse()
                .with_context(|| format!("DEMO_SECONDS={text} is no number of seconds"))?;
            Ok(Some(Duration::from_secs(seconds)))
        }
        _ => Ok(None),
    }
}

/// What a person can do with the channel.
async fn addresses(api: &Api, machine: &Machine, job: &Value) -> anyhow::Result<String> {
    let hls = text(job, "/playback/hls")?;
    let console = format!("{}/", machine.url());
    let watch = match api.is_there(&console).await? {
        true => format!("{console}#/jobs/{}", text(job, "/id")?),
        // Built without npm.
        false => format!("ffplay {hls}   (with npm installed, a web page)"),
    };
    let dash = text(job, "/playback/dash")?;
    let log = machine.folder().join("log.txt");
    Ok(format!(
        "\n  watch      {watch}\n  HLS        {hls}\n  DASH       {dash}\n  log        {}\n",
        log.display()
    ))
}

async fn show(
    screen: &Screen,
    children: &mut Children,
    seconds: Option<Duration>,
) -> anyhow::Result<()> {
    let api = Api::of(&children.machine)?;
    let spec: Value = serde_json::from_str(SAMPLE)?;
    let mut timeline = Timeline::begin(screen);
    timeline.note("POST /jobs with live_job.json");
    let job = api.create(&spec).await?;
    let id = text(&job, "/id")?.to_owned();
    let answered = Timestamp::now();
    children.publish(&id)?;
    let mut watched = Watched::new(&api, &job)?;
    watched.tell(&mut timeline).await?;
    timeline.note_at(answered, "answered; `ezlive publish` waits for the ingest");
    let first = watched.first_playlists(&mut timeline);
    children
        .meanwhile(tokio::time::timeout(BEGIN, first))
        .await?
        .with_context(|| format!("nothing to play after {} s", BEGIN.as_secs()))??;

    screen.line(&addresses(&api, &children.machine, &job).await?);
    let Some(seconds) = seconds else {
        screen.line("Ctrl-C ends it\n");
        return children
            .meanwhile(watched.go_on(&mut timeline, None))
            .await?;
    };
    let playing = watched.go_on(&mut timeline, Some(seconds));
    children.meanwhile(playing).await??;
    watched.has_advanced(seconds)?;
    children.end_publisher().await?;
    api.wish(&id, "stop").await?;
    let stopped = api.reaches(&id, "stopped", Duration::from_secs(20));
    children.meanwhile(stopped).await??;
    watched.tell(&mut timeline).await?;
    check::plays_through(screen, &api, &job, &spec, seconds).await
}
