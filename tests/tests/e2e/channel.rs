//! What a client orders of a channel, and who may publish to it.

use std::time::Duration;

use anyhow::ensure;
use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use tests::api::{Api, text};
use tests::machine::{Machine, until};
use tests::publisher::{Publisher, test_picture};

use super::push_url;
use tests::machine::small_channel;
use tests::viewer::Viewer;

const MEDIA: &str = "video365k.m3u8";
/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_channel_is_paused_resumed_stopped_and_resumed() -> anyhow::Result<()> {
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

    api.wish(&id, "pause").await?;
    let paused = api.reaches(&id, "paused", SOON).await?;
    assert_eq!(paused["ingest"], job["ingest"]);
    viewer.look().await?;
    let before = viewer.media(MEDIA)?.clone();
    viewer.watch(Duration::from_secs(3)).await?;
    assert_eq!(viewer.media(MEDIA)?, &before, "nothing comes while paused");
    assert!(!before.ended, "the playlist stays open");

    // The publisher has been kept, and goes on.
    api.wish(&id, "resume").await?;
    api.reaches(&id, "streaming", SOON).await?;
    let next = before.next_sequence();
    let resumed = viewer.sees("what follows the pause", MEDIA, SOON, |list| {
        list.next_sequence() > next
    });
    resumed.await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 1);

    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", SOON).await?;
    publisher.ended(SOON).await?;
    viewer.look().await?;
    let ended = viewer.media(MEDIA)?.clone();
    assert!(ended.ended, "{ended:?}");

    api.wish(&id, "resume").await?;
    let again = api.reaches(&id, "running", SOON).await?;
    for same in ["/ingest/stream_key", "/playback/hls", "/playback/dash"] {
        assert_eq!(text(&again, same)?, text(&job, same)?);
    }
    let _publisher = Publisher::start(&again, "320x180", "25")?;
    let next = ended.next_sequence();
    let goes_on = viewer.sees("the numbers go on", MEDIA, SOON, |list| {
        !list.ended && list.media_sequence >= next && !list.segments.is_empty()
    });
    assert_eq!(goes_on.await?.media_sequence, next);
    assert_eq!(viewer.violations(), [] as [&str; 0]);
    api.reaches(&id, "streaming", SOON).await?;

    let path = format!("/jobs/{id}");
    let (status, _) = api.send(Method::DELETE, &path, None).await?;
    assert_eq!(status, StatusCode::CONFLICT, "it is live");
    let forced = format!("{path}?force=true&media=true");
    let (status, _) = api.send(Method::DELETE, &forced, None).await?;
    assert!(status.is_success(), "{status}");
    until("the job to be gone", SOON, || async {
        let (status, _) = api.send(Method::GET, &path, None).await?;
        Ok((status == StatusCode::NOT_FOUND).then_some(()))
    })
    .await?;
    let folder = machine.folder().join("media").join(&id);
    let tombstone = folder.join("timeline.json");
    until("its media to be gone", SOON, || async {
        Ok((walk(&folder)? == [tombstone.clone()]).then_some(()))
    })
    .await?;
    // Nobody can be writing before the next start.
    machine.end(Signal::SIGTERM).await?;
    machine.restart().await?;
    ensure!(!folder.exists(), "something is left in {folder:?}");
    Ok(())
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files.extend(walk(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    Ok(files)
}

#[tokio::test]
async fn only_who_has_the_key_publishes_and_only_one() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let key = text(&job, "/ingest/stream_key")?.to_owned();
    let picture = test_picture("320x180", "25")?;

    let wrong = format!("{}/not-the-key", text(&job, "/ingest/url")?);
    let mut refused = Publisher::push(&wrong, &picture)?;
    assert!(!refused.ended(SOON).await?.success());
    // Why the channel isn't up.
    let told = until("the refusal is told", SOON, || async {
        let job = api.job(&id).await?;
        Ok((job["reason"]["code"] == "publisher_refused").then_some(job))
    });
    assert_eq!(told.await?["state"], "running");

    let mut first = Publisher::start(&job, "320x180", "25")?;
    api.reaches(&id, "streaming", SOON).await?;
    let mut second = Publisher::push(&push_url(&job)?, &picture)?;
    assert!(!second.ended(SOON).await?.success());
    assert_eq!(api.job(&id).await?["state"], "streaming");

    let rotate = format!("/jobs/{id}/stream-key");
    let (status, rotated) = api.send(Method::PUT, &rotate, None).await?;
    assert_eq!(status, StatusCode::OK);
    let new_key = text(&rotated, "/ingest/stream_key")?.to_owned();
    assert_ne!(new_key, key);
    first.ended(SOON).await?;
    api.reaches(&id, "running", SOON).await?;
    let mut old = Publisher::push(&push_url(&job)?, &picture)?;
    assert!(!old.ended(SOON).await?.success());
    let _new = Publisher::start(&rotated, "320x180", "25")?;
    api.reaches(&id, "streaming", SOON).await?;

    let log = machine.log()?;
    assert!(log.contains("wrong stream key"), "{log}");
    for secret in [&key, &new_key] {
        assert!(!log.contains(secret), "a stream key in the log: {log}");
    }
    let (_, list) = api.send(Method::GET, "/jobs", None).await?;
    assert!(!list.to_string().contains(&new_key), "{list}");
    let events = api.events(&id).await?;
    assert!(!format!("{events:?}").contains(&new_key), "{events:?}");
    Ok(())
}
