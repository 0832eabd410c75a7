//! How soon a channel starts: from POST to FFmpeg, and to the first picture.
//!
//! A client posts the job and asks until it knows the ingest; FFmpeg is then
//! started as the publisher. All that it takes is in the times, also the
//! publisher's own start; the worker starts its FFmpeg when it has seen what
//! comes in.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tests::api::text;
use tests::bench::figures::{median, say, seconds, table, worst};
use tests::bench::usage;
use tests::machine::{HANGS, Machine};
use tests::publisher::Publisher;
use tokio::time::Instant;

use crate::Bench;

/// How often a client looks here.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Times since the POST.
struct Start {
    /// The client knows where to publish.
    ingest: Duration,
    /// The worker's FFmpeg has been started; 10 ms fine.
    ffmpeg: Duration,
    /// Multivariant playlist, a media playlist and its first segment are there.
    playable: Duration,
}

/// Starts channels on an idle worker and prints the times.
pub async fn bench(bench: &Bench, starts: usize) -> anyhow::Result<()> {
    let cold = start(bench).await?;
    let mut warm = Vec::new();
    for _ in 0..starts {
        warm.push(start(bench).await?);
    }
    let segment = segment_duration(bench)?;
    let row = |name: &str, cold: Duration, warm: Vec<Duration>, aim: &str| {
        let warm = seconds(&warm);
        let (median, worst) = (median(&warm), worst(&warm));
        [
            name.to_owned(),
            format!("{median:.2} s"),
            format!("{worst:.2} s"),
            format!("{:.2}", median / segment.as_secs_f64()),
            format!("{:.2} s", cold.as_secs_f64()),
            aim.to_owned(),
        ]
    };
    let all = |of: fn(&Start) -> Duration| warm.iter().map(of).collect::<Vec<_>>();
    let playable_aim = format!("< {:.1} s", segment.as_secs_f64() + 1.5);
    say(&format!(
        "From POST, {starts} starts on an idle worker, segments of {} s:\n",
        segment.as_secs_f64()
    ))?;
    table(&[
        [
            "to",
            "median",
            "worst",
            "in segments",
            "no worker yet",
            "aim",
        ]
        .map(str::to_owned),
        row("ingest known", cold.ingest, all(|start| start.ingest), ""),
        row("FFmpeg started", cold.ffmpeg, all(|s| s.ffmpeg), "< 1 s"),
        row(
            "playable",
            cold.playable,
            all(|s| s.playable),
            &playable_aim,
        ),
    ])?;
    Ok(say("")?)
}

fn segment_duration(bench: &Bench) -> anyhow::Result<Duration> {
    let seconds = bench.job.pointer("/Output/Segment_duration");
    let seconds = seconds.and_then(Value::as_f64);
    let seconds = seconds.context("the sample says no segment duration")?;
    Ok(Duration::try_from_secs_f64(seconds)?)
}

async fn start(bench: &Bench) -> anyhow::Result<Start> {
    let Bench { machine, api, .. } = bench;
    let (began, boot) = (Instant::now(), usage::since_boot()?);
    let job = api.create(&bench.job).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = soon("an ingest", || async {
        let job = api.job(&id).await?;
        Ok((!job["ingest"].is_null()).then_some(job))
    })
    .await?;
    let ingest = began.elapsed();
    let publisher = Publisher::start_with(&job, &bench.clip.paced_args())?;
    let master = text(&job, "/playback/hls")?;
    soon("a picture", || is_playable(bench, master)).await?;
    let playable = began.elapsed();

    let pid = machine.pid().context("ezlive up has ended")?;
    let processes = Machine::descendants_of(pid)?;
    let ffmpeg = processes.iter().find(|(_, name)| name == "ffmpeg");
    let ffmpeg = usage::started(ffmpeg.context("no FFmpeg")?.0)?.saturating_sub(boot);

    publisher.kill().await?;
    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", HANGS).await?;
    idle(bench).await?;
    Ok(Start {
        ingest,
        ffmpeg,
        playable,
    })
}

/// Waits until the worker has no job any more.
pub async fn idle(bench: &Bench) -> anyhow::Result<()> {
    soon("an idle worker", || async {
        let path = "/workers";
        let (_, fleet) = bench.api.send(reqwest::Method::GET, path, None).await?;
        let workers = fleet["workers"].as_array();
        let idle = workers.is_some_and(|all| all.iter().any(|worker| worker["state"] == "idle"));
        Ok(idle.then_some(()))
    })
    .await
}

/// Looks as a player does: down to a segment.
async fn is_playable(bench: &Bench, master: &str) -> anyhow::Result<Option<()>> {
    let Some(media) = first_uri(bench, master).await? else {
        return Ok(None);
    };
    let Some(segment) = first_uri(bench, &media).await? else {
        return Ok(None);
    };
    let segment = bench.api.fetch(&segment).await?;
    // A playlist never names what is not there.
    match segment {
        Some(bytes) if !bytes.is_empty() => Ok(Some(())),
        _ => bail!("a playlist names a segment that can't be fetched"),
    }
}

/// The first thing that a playlist names; `None` where it is not there, or
/// names nothing.
async fn first_uri(bench: &Bench, playlist: &str) -> anyhow::Result<Option<String>> {
    let Some(bytes) = bench.api.fetch(playlist).await? else {
        return Ok(None);
    };
    let lines = String::from_utf8(bytes)?;
    let uri = lines
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let base = url::Url::parse(playlist)?;
    let absolute = uri.map(|uri| base.join(uri)).transpose()?;
    Ok(absolute.map(String::from))
}

async fn soon<T, F>(what: &str, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let by = Instant::now() + HANGS;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= by {
            bail!("not within {HANGS:?}: {what}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
