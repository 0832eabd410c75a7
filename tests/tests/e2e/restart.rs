//! `ezlive up` that ends, one way or the other, and is started again.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tests::api::{Api, text};
use tests::machine::{Machine, alive, until};
use tests::publisher::Publisher;
use tokio::time::Instant;

use tests::machine::small_channel;
use tests::viewer::Viewer;

const MEDIA: &str = "video365k.m3u8";
/// How long children may outlive a killed `ezlive up`.
const GONE: Duration = Duration::from_secs(10);
/// How long an end in order may take.
const ORDERLY: Duration = Duration::from_secs(15);
/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn killed_in_midstream_it_leaves_nothing_and_comes_back() -> anyhow::Result<()> {
    ends_and_comes_back(Signal::SIGKILL).await
}

#[tokio::test]
async fn terminated_it_ends_in_order_and_comes_back() -> anyhow::Result<()> {
    ends_and_comes_back(Signal::SIGTERM).await
}

async fn ends_and_comes_back(signal: Signal) -> anyhow::Result<()> {
    let mut machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let mut publisher = Publisher::start(&job, "320x180", "25")?;
    api.reaches(&id, "streaming", SOON).await?;
    let mut viewer = Viewer::of(&api, &job)?;
    let first = viewer.sees("two segments", MEDIA, SOON, |list| list.segments.len() >= 2);
    first.await?;

    let descendants = descendants(&machine)?;
    let names: Vec<_> = descendants.iter().map(|(_, name)| name.as_str()).collect();
    assert!(names.contains(&"ezlive"), "no worker: {names:?}");
    assert!(names.contains(&"ffmpeg"), "no FFmpeg: {names:?}");
    let asked = Instant::now();
    let status = machine.end(signal).await?;
    if signal == Signal::SIGTERM {
        assert!(status.success(), "{status}\n{}", machine.log()?);
        assert!(asked.elapsed() < ORDERLY, "{:?}", asked.elapsed());
        assert_eq!(alive(&descendants)?, [], "left behind by an end in order");
    }
    until("every process to be gone", GONE, || async {
        Ok(alive(&descendants)?.is_empty().then_some(()))
    })
    .await?;
    publisher.ended(SOON).await?;

    machine.restart().await?;
    let back = api.reaches(&id, "running", SOON).await?;
    assert_eq!(back["ingest"], job["ingest"]);
    assert_eq!(back["playback"], job["playback"]);
    assert!(back["attempt"].as_u64() > job["attempt"].as_u64());
    viewer.look().await?;
    let before = viewer.media(MEDIA)?.clone();
    assert!(!before.ended, "{before:?}");
    let _publisher = Publisher::start(&back, "320x180", "25")?;
    api.reaches(&id, "streaming", SOON).await?;
    let next = before.next_sequence();
    let goes_on = viewer.sees("the numbers go on", MEDIA, SOON, |list| {
        list.next_sequence() > next
    });
    let after = goes_on.await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 1);
    let first_of_run = &after.segments[(next - after.media_sequence) as usize];
    assert!(first_of_run.discontinuity, "{after:?}");
    assert_eq!(viewer.violations(), [] as [&str; 0]);
    Ok(())
}

fn descendants(machine: &Machine) -> anyhow::Result<Vec<(Pid, String)>> {
    Machine::descendants_of(
        machine
            .pid()
            .ok_or_else(|| anyhow::anyhow!("it has ended"))?,
    )
}
