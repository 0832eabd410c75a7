//! A browser in front of a running `ezlive up`: the console makes a job,
//! hls.js and dash.js play it (`tests/browser`, started from here).

#![allow(
    clippy::print_stdout,
    reason = "what the browser says belongs to the test's output"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tests::api::Api;
use tests::machine::{Machine, program};
use tests::publisher::Publisher;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use worker::ffmpeg::shim::Tie;

/// What the whole takes at most; about 150 s on two cores.
const LIMIT: Duration = Duration::from_secs(600);

#[tokio::test]
async fn the_console_and_dash_js_play_a_channel() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let mut node = node(machine.url())?;
    let ended = tokio::time::timeout(LIMIT, async {
        obey(&mut node, &api).await?;
        Ok::<_, anyhow::Error>(node.wait().await?)
    });
    let failed = match ended.await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => format!("the browser's test: {status}"),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("the browser goes on and on, for {LIMIT:?}"),
    };
    bail!("{failed}\n{}", machine.log()?)
}

fn node(url: &str) -> anyhow::Result<Child> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    if !folder.join("node_modules").exists() {
        bail!("the browser's tests are not installed: run `make deps-test`");
    }
    Command::from(Tie::through(program("ezlive")?).command("node"))
        .arg("run.mjs")
        .arg(url)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("node can't be started")
}

/// Shows what the browser's test says, and drives the publisher for it.
async fn obey(node: &mut Child, api: &Api) -> anyhow::Result<()> {
    let mut said = BufReader::new(node.stdout.take().context("no standard output")?).lines();
    let mut answers = node.stdin.take().context("no standard input")?;
    let mut publisher = None;
    while let Some(line) = said.next_line().await? {
        println!("{line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [">", "publish", job, size, rate] => {
                publisher = Some(Publisher::start(&api.job(job).await?, size, rate)?);
            }
            [">", "kill"] => {
                publisher
                    .take()
                    .context("there is no publisher")?
                    .kill()
                    .await?
            }
            [">", ..] => bail!("no such order: {line}"),
            _ => continue,
        }
        answers.write_all(b"done\n").await?;
    }
    Ok(())
}
