//! A channel on one machine, from POST to picture, with the real FFmpeg.

use std::time::Duration;

use tests::api::{Api, text};
use tests::machine::{Machine, SAMPLE, until};
use tests::publisher::Publisher;

#[tokio::test]
async fn a_pushed_channel_streams_and_stops() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&serde_json::from_str(SAMPLE)?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", Duration::from_secs(10)).await?;
    let publisher = Publisher::start(&job, "640x360", "25")?;
    let job = api
        .reaches(&id, "streaming", Duration::from_secs(20))
        .await?;
    let playlist = text(&job, "/playback/hls")?.to_owned();
    until("a playlist", Duration::from_secs(5), || {
        api.fetch(&playlist)
    })
    .await?;
    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", Duration::from_secs(10)).await?;
    let media = playlist.replace("master", "video365k");
    let media = String::from_utf8(api.fetch(&media).await?.unwrap_or_default())?;
    assert!(media.contains("#EXT-X-ENDLIST"), "{media}");
    drop(publisher);
    Ok(())
}
