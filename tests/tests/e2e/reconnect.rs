//! Publishers that go and come back, as a player sees it.

use std::time::Duration;

use serde_json::json;
use tests::api::{Api, states, text};
use tests::machine::Machine;
use tests::player::Player;
use tests::publisher::Publisher;

use tests::machine::{now, small_channel};
use tests::viewer::Viewer;

const MEDIA: &str = "video365k.m3u8";
/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// From the publisher's first frame to a player at the live edge, which holds
/// back three segments: some 10 s, and a busy machine.
const PLAYED: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_publisher_comes_back_otherwise_and_the_player_goes_on() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let hls = text(&job, "/playback/hls")?.to_owned();
    let publisher = Publisher::start(&job, "640x360", "25")?;
    api.reaches(&id, "streaming", SOON).await?;
    let mut viewer = Viewer::of(&api, &job)?;
    let first = viewer.sees("two segments", MEDIA, SOON, |list| list.segments.len() >= 2);
    first.await?;
    let mut player = Player::start(&hls)?;
    player.next_clock().await?;

    // Another picture: FFmpeg has waited, and goes on.
    publisher.kill().await?;
    api.reaches(&id, "running", SOON).await?;
    viewer.watch(Duration::from_secs(5)).await?;
    let back = now();
    let publisher = Publisher::start(&job, "480x270", "30")?;
    api.reaches(&id, "streaming", SOON).await?;
    player.reaches(back + 2000, PLAYED).await?;
    viewer.look().await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 0);
    assert_eq!(api.job(&id).await?["stats"]["runs"], 1);

    // Other sound: that takes another run.
    publisher.kill().await?;
    api.reaches(&id, "running", SOON).await?;
    let back = now();
    let _publisher = Publisher::start_with_sound_of(&job, "640x360", "25", 44_100)?;
    api.reaches(&id, "streaming", SOON).await?;
    player.reaches(back + 2000, PLAYED).await?;
    viewer.look().await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 1);

    assert_eq!(viewer.violations(), [] as [&str; 0]);
    let job = api.job(&id).await?;
    assert_eq!(job["attempt"], 1);
    assert_eq!(text(&job, "/playback/hls")?, hls);
    assert_eq!(job["stats"]["input"]["audio"]["sample_rate"], 44_100);
    let events = api.events(&id).await?;
    let states = states(&events);
    let expected = "running streaming running streaming running streaming";
    assert!(states.join(" ").ends_with(expected), "{states:?}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_back_too_late_begins_a_run_after_one_discontinuity() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let spec = small_channel(|job| job["Input"]["Reconnect_window"] = json!(3))?;
    let job = api.create(&spec).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let publisher = Publisher::start(&job, "640x360", "25")?;
    api.reaches(&id, "streaming", SOON).await?;
    let mut viewer = Viewer::of(&api, &job)?;
    let first = viewer.sees("two segments", MEDIA, SOON, |list| list.segments.len() >= 2);
    first.await?;
    let mut player = Player::start(text(&job, "/playback/hls")?)?;
    player.next_clock().await?;

    publisher.kill().await?;
    api.reaches(&id, "running", SOON).await?;
    viewer.watch(Duration::from_secs(6)).await?;
    let before = viewer.media(MEDIA)?.clone();
    assert!(!before.ended, "the playlist stays open");
    let back = now();
    let _publisher = Publisher::start(&job, "640x360", "25")?;
    let goes_on = |list: &aws::media::check::MediaPlaylist| {
        list.next_sequence() >= before.next_sequence() + 2
    };
    let after = viewer.sees("the next run", MEDIA, SOON, goes_on).await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 1);
    let first_of_run = &after.segments[(before.next_sequence() - after.media_sequence) as usize];
    assert!(first_of_run.discontinuity, "{after:?}");
    player.reaches(back + 2000, PLAYED).await?;
    viewer.look().await?;
    assert_eq!(viewer.discontinuities(MEDIA)?, 1);
    assert_eq!(viewer.violations(), [] as [&str; 0]);
    let job = api.reaches(&id, "streaming", SOON).await?;
    assert_eq!(job["stats"]["runs"], 2);
    Ok(())
}
