//! What a channel costs beside its encoder.
//!
//! A worker with its FFmpeg, and the same FFmpeg bare: the same command line
//! up to the output, which is null, fed the same file at the same pace over a
//! pipe. Both run at the same time, so that what else the machine does weighs
//! on both alike.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::Value;
use tests::api::text;
use tests::bench::figures::{median, mib, say, table, worst};
use tests::bench::usage::{self, Memory};
use tests::machine::{HANGS, Machine, program};
use tests::publisher::Publisher;
use worker::ffmpeg::shim::Tie;

use crate::Bench;
use crate::start::idle;

/// CPU seconds of one pair, and the worker's memory in the middle of it.
struct Pair {
    bare: f64,
    ffmpeg: f64,
    worker: f64,
    memory: Memory,
}

/// Runs the pairs and prints what they cost.
pub async fn bench(bench: &Bench, length: Duration, pairs: usize) -> anyhow::Result<()> {
    let argv = dry_run(bench).await?;
    let mut all = Vec::new();
    for _ in 0..pairs {
        all.push(pair(bench, &argv, length).await?);
    }
    say(&format!(
        "CPU of {} s of media, {pairs} pairs side by side:\n",
        length.as_secs_f64()
    ))?;
    let row = |name: &str, aim: &str, of: fn(&Pair) -> f64| {
        let seconds: Vec<f64> = all.iter().map(of).collect();
        let ratios: Vec<f64> = all.iter().map(|pair| of(pair) / pair.bare).collect();
        [
            name.to_owned(),
            format!("{:.2} s", median(&seconds)),
            format!("{:.3}", median(&ratios)),
            format!("{:.3}", worst(&ratios)),
            aim.to_owned(),
        ]
    };
    table(&[
        ["", "median", "ratio, median", "ratio, worst", "aim"].map(str::to_owned),
        row("bare FFmpeg", "", |pair| pair.bare),
        row("the worker's FFmpeg", "", |pair| pair.ffmpeg),
        row("the worker itself", "", |pair| pair.worker),
        row("worker and FFmpeg", "<= 1.05", |pair| {
            pair.worker + pair.ffmpeg
        }),
    ])?;
    say("\nMemory of the worker itself in mid-stream, the worst:\n")?;
    let row = |name: &str, aim: &str, of: fn(&Memory) -> u64| {
        let memories: Vec<f64> = all.iter().map(|pair| mib(of(&pair.memory))).collect();
        let worst = format!("{:.1} MiB", worst(&memories));
        [name.to_owned(), worst, aim.to_owned()]
    };
    table(&[
        ["", "", "aim"].map(str::to_owned),
        row("RSS", "<= 30 MB", |memory| memory.rss),
        row("RSS, ever", "", |memory| memory.peak_rss),
        row("PSS", "", |memory| memory.pss),
        row("heap and stacks", "", |memory| memory.anonymous),
    ])?;
    Ok(say("")?)
}

/// What the worker will run.
async fn dry_run(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let path = "/jobs?dry_run=true";
    let (_, plan) = bench.api.send(Method::POST, path, Some(&bench.job)).await?;
    Ok(serde_json::from_value(plan["ffmpeg"]["argv"].clone())?)
}

async fn pair(bench: &Bench, argv: &[String], length: Duration) -> anyhow::Result<Pair> {
    let Bench { machine, api, .. } = bench;
    let job = api.create(&bench.job).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", HANGS).await?;
    let worker = descendant(machine, "ezlive")?;
    let before = usage::cpu(worker)?;

    let bare = Bare::start(bench, argv)?;
    let mut publisher = Publisher::start_with(&job, &bench.clip.paced_args())?;
    tokio::time::sleep(length / 2).await;
    let memory = usage::memory(worker)?;
    let ffmpeg = usage::command_line(descendant(machine, "ffmpeg")?)?;
    ensure!(
        ffmpeg.get(1..) == Some(argv),
        "the worker runs something else than was compared: {ffmpeg:?}"
    );
    publisher.ended(length + HANGS).await?;
    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", HANGS).await?;
    let after = usage::cpu(worker)?;
    let bare = tokio::task::spawn_blocking(|| bare.ended()).await??;
    everything_came_out(bench, &job, length).await?;
    idle(bench).await?;
    Ok(Pair {
        bare: bare.as_secs_f64(),
        ffmpeg: (after.ended_children - before.ended_children).as_secs_f64(),
        worker: (after.own - before.own).as_secs_f64(),
        memory,
    })
}

fn descendant(machine: &Machine, name: &str) -> anyhow::Result<Pid> {
    let pid = machine.pid().context("ezlive up has ended")?;
    let all = Machine::descendants_of(pid)?;
    let found = all.iter().find(|(_, found)| found == name);
    Ok(found.with_context(|| format!("no {name}: {all:?}"))?.0)
}

/// A channel that left anything out would have had less to do.
async fn everything_came_out(bench: &Bench, job: &Value, length: Duration) -> anyhow::Result<()> {
    let playlist = text(job, "/playback/hls")?.replace("master", "video365k");
    let playlist = bench.api.fetch(&playlist).await?.context("no playlist")?;
    let playlist = String::from_utf8(playlist)?;
    let durations = playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:"))
        .map(|rest| rest.trim_end_matches(',').parse::<f64>());
    let seconds: f64 = durations.sum::<Result<_, _>>()?;
    // What the playlist's window holds of it.
    let expected = length.as_secs_f64().min(100.0) - 0.5;
    ensure!(seconds >= expected, "only {seconds} s came out");
    Ok(())
}

/// FFmpeg alone, with what feeds it.
struct Bare {
    ffmpeg: Child,
    feeder: Child,
}

impl Bare {
    fn start(bench: &Bench, argv: &[String]) -> anyhow::Result<Self> {
        let tie = Tie::through(program("ezlive")?);
        let mut feeder = tie
            .command("ffmpeg")
            .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
            .args(bench.clip.paced_args())
            .args(["-f", "flv", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = feeder.stdout.take().context("no pipe")?;
        let ffmpeg = tie
            .command("ffmpeg")
            .args(into_null(argv)?)
            .stdin(input)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { ffmpeg, feeder })
    }

    /// Waits for its end; answers the CPU time that FFmpeg used.
    fn ended(mut self) -> anyhow::Result<Duration> {
        let pid = Pid::from_raw(self.ffmpeg.id().try_into()?);
        // Ended, but still there to be asked.
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let cpu = usage::cpu(pid)?.own;
        let (fed, ended) = (self.feeder.wait()?, self.ffmpeg.wait()?);
        ensure!(
            fed.success() && ended.success(),
            "bare FFmpeg failed: {fed}, {ended}"
        );
        Ok(cpu)
    }
}

/// The same without output, and without the reports that go with it.
fn into_null(argv: &[String]) -> anyhow::Result<Vec<String>> {
    let starts = |words: [&str; 2]| argv.windows(2).position(|pair| pair == words);
    let output = starts(["-f", "mp4"]).context("no output in the plan")?;
    let progress = starts(["-progress", "pipe:3"]).context("no progress in the plan")?;
    let (head, rest) = argv[..output].split_at(progress);
    let null = ["-f", "null", "-"].map(str::to_owned);
    Ok([head, &rest[2..], &null].concat())
}
