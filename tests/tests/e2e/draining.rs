//! Workers that are told to leave: what becomes of their jobs.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::{Machine, alive, small_channel, until};

/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A machine with one job, which listens, and its worker's process.
async fn listening(arguments: &[&str]) -> anyhow::Result<(Machine, Api, String, Pid)> {
    let machine = Machine::start(arguments).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    api.reaches(&id, "running", SOON).await?;
    let worker = machine.worker()?.context("no worker")?;
    Ok((machine, api, id, worker))
}

async fn kinds(api: &Api, id: &str) -> anyhow::Result<Vec<String>> {
    let mut events = api.events(id).await?;
    events.sort_by_key(|event| event["seq"].as_u64());
    let kinds = events.iter().map(|event| text(event, "/type"));
    kinds.map(|kind| Ok(kind?.to_owned())).collect()
}

/// The job once it is in this state under its second attempt.
async fn second_attempt(api: &Api, id: &str, state: &str) -> anyhow::Result<Value> {
    until(state, SOON, || async {
        let job = api.job(id).await?;
        Ok((job["attempt"] == 2 && job["state"] == state).then_some(job))
    })
    .await
}

#[tokio::test]
async fn without_room_for_another_the_job_is_handed_back() -> anyhow::Result<()> {
    let (_machine, api, id, worker) = listening(&["--max-workers", "1"]).await?;
    let before = api.job(&id).await?;
    kill(worker, Signal::SIGTERM)?;
    let after = second_attempt(&api, &id, "running").await?;
    assert_eq!(after["ingest"], before["ingest"]);
    let events = api.events(&id).await?;
    let mut back = events.iter().filter(|event| event["type"] == "handed_back");
    let back = back.next().context("not handed back")?;
    assert!(text(back, "/reason/message")?.contains("no other could be had"));
    assert!(events.iter().all(|event| event["type"] != "handed_over"));
    Ok(())
}

#[tokio::test]
async fn a_held_channel_is_handed_over_and_stays_held() -> anyhow::Result<()> {
    let (_machine, api, id, worker) = listening(&[]).await?;
    api.wish(&id, "pause").await?;
    let held = api.reaches(&id, "paused", SOON).await?;
    kill(worker, Signal::SIGTERM)?;
    let after = second_attempt(&api, &id, "paused").await?;
    assert_ne!(after["worker_id"], held["worker_id"]);
    let kinds = kinds(&api, &id).await?;
    assert!(kinds.contains(&"handed_over".to_owned()), "{kinds:?}");
    Ok(())
}

#[tokio::test]
async fn a_stop_while_it_drains_wins() -> anyhow::Result<()> {
    let (machine, api, id, worker) = listening(&[]).await?;
    kill(worker, Signal::SIGTERM)?;
    until("the drain", SOON, || async {
        let draining = kinds(&api, &id).await?.contains(&"draining".to_owned());
        Ok(draining.then_some(()))
    })
    .await?;
    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", SOON).await?;
    let worker = [(worker, "ezlive".to_owned())];
    let gone = || async { Ok(alive(&worker)?.is_empty().then_some(())) };
    until("the worker to leave", SOON, gone).await?;
    assert_eq!(api.job(&id).await?["state"], "stopped");
    drop(machine);
    Ok(())
}

/// All of them are to go: none waits for another, and none is launched.
#[tokio::test]
async fn the_end_of_the_machine_is_no_drain() -> anyhow::Result<()> {
    let (mut machine, _, id, _) = listening(&[]).await?;
    machine.end(Signal::SIGTERM).await?;
    let log = machine.log()?;
    assert!(!log.contains("a standby is launched"), "{log}");
    machine.restart().await?;
    let api = Api::of(&machine)?;
    api.reaches(&id, "running", SOON).await?;
    let kinds = kinds(&api, &id).await?;
    assert!(!kinds.contains(&"draining".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"handed_back".to_owned()), "{kinds:?}");
    Ok(())
}
