//! What players get: over a minute of playing, and read back as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::{HANGS, Machine, SAMPLE};
use tests::player::{Player, probe, tracks};
use tests::publisher::Publisher;

use tests::viewer::Viewer;

const PLAYING: Duration = Duration::from_secs(60);
/// Label, width, height: as in live_job.json.
const VIDEOS: [(&str, u64, u64); 2] = [("video365k", 640, 360), ("video550k", 768, 432)];
const AUDIO: &str = "audio128k";

#[tokio::test]
async fn a_minute_of_playing_breaks_no_rule_and_reads_back_whole() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&serde_json::from_str(SAMPLE)?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", Duration::from_secs(60)).await?;
    let _publisher = Publisher::start(&job, "640x360", "25")?;
    let mut viewer = Viewer::of(&api, &job)?;
    let begins = viewer.sees("a playlist", "video365k.m3u8", HANGS, |_| true);
    begins.await?;
    viewer.watch(PLAYING).await?;

    assert_eq!(viewer.violations(), [] as [&str; 0]);
    assert!(viewer.looks > 300, "only {} looks", viewer.looks);
    let mut names = viewer.renditions();
    names.sort();
    assert_eq!(
        names,
        ["audio128k.m3u8", "video365k.m3u8", "video550k.m3u8"]
    );
    for name in &names {
        let playlist = viewer.media(name)?;
        assert_eq!(playlist.media_sequence, 0, "the window is longer than that");
        let expected = PLAYING.as_secs_f64() - 8.0;
        assert!(playlist.duration() > expected, "{name}: {playlist:?}");
        assert_eq!(viewer.discontinuities(name)?, 0, "{name}");
    }
    let dash_url = text(&job, "/playback/dash")?;
    let dash = tracks(dash_url).await?;
    has_all_renditions(&dash).context("the live manifest.mpd")?;
    let mut player = Player::start(dash_url)?;
    let first = player.next_clock().await?.context("DASH shows nothing")?;
    player.reaches(first + 3000, HANGS).await?;
    drop(player);

    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", HANGS).await?;
    viewer.look().await?;
    assert_eq!(viewer.violations(), [] as [&str; 0]);
    for name in &names {
        assert!(viewer.media(name)?.ended, "{name} has no end");
    }
    renditions_are_as_ordered(&viewer).await?;
    key_frames_are_at_the_same_times(&viewer).await?;
    let hls = tracks(text(&job, "/playback/hls")?).await?;
    has_all_renditions(&hls).context("the ended master.m3u8")?;
    let dash = tracks(dash_url).await?;
    has_all_renditions(&dash).context("the ended manifest.mpd")?;
    plays_without_a_jump(text(&job, "/playback/hls")?).await
}

fn has_all_renditions(tracks: &[Value]) -> anyhow::Result<()> {
    let sizes = tracks
        .iter()
        .filter(|track| track["codec_type"] == "video")
        .map(|track| (track["width"].as_u64(), track["height"].as_u64()));
    let mut sizes: Vec<_> = sizes.collect();
    sizes.sort();
    let expected = VIDEOS.map(|(_, width, height)| (Some(width), Some(height)));
    ensure!(sizes == expected, "{sizes:?}");
    ensure!(tracks.iter().any(|track| track["codec_type"] == "audio"));
    Ok(())
}

async fn renditions_are_as_ordered(viewer: &Viewer) -> anyhow::Result<()> {
    for (label, width, height) in VIDEOS {
        let url = viewer.url(&format!("{label}.m3u8"));
        let all = probe(&url, &["-show_streams", "-count_frames"]).await?;
        let [track] = all["streams"].as_array().context("no streams")?.as_slice() else {
            anyhow::bail!("{label}: {all}");
        };
        assert_eq!(track["codec_name"], "h264", "{label}");
        assert_eq!(
            (track["width"].as_u64(), track["height"].as_u64()),
            (Some(width), Some(height))
        );
        assert_eq!(track["r_frame_rate"], "25/1", "{label}");
        // Every frame of every segment is there and can be decoded.
        let frames: f64 = text(track, "/nb_read_frames")?.parse()?;
        let duration = viewer.media(&format!("{label}.m3u8"))?.duration();
        assert!(
            (frames - duration * 25.0).abs() <= 1.0,
            "{label}: {frames} frames in {duration} s"
        );
    }
    let audio = tracks(&viewer.url(&format!("{AUDIO}.m3u8"))).await?;
    assert_eq!(audio.len(), 1);
    assert_eq!(audio[0]["codec_name"], "aac");
    assert_eq!(audio[0]["sample_rate"], "48000");
    Ok(())
}

async fn key_frames_are_at_the_same_times(viewer: &Viewer) -> anyhow::Result<()> {
    let mut times = BTreeMap::new();
    for (label, ..) in VIDEOS {
        let arguments = ["-show_packets", "-show_entries", "packet=pts_time,flags"];
        let all = probe(&viewer.url(&format!("{label}.m3u8")), &arguments).await?;
        let packets = all["packets"].as_array().context("no packets")?;
        let is_key = |packet: &&Value| {
            packet["flags"]
                .as_str()
                .is_some_and(|flags| flags.starts_with('K'))
        };
        let keys: Vec<String> = packets
            .iter()
            .filter(is_key)
            .filter_map(|packet| packet["pts_time"].as_str().map(str::to_owned))
            .collect();
        assert!(
            keys.len() >= 28,
            "{label}: a key frame every two seconds, {keys:?}"
        );
        times.insert(label, keys);
    }
    assert_eq!(times[VIDEOS[0].0], times[VIDEOS[1].0]);
    Ok(())
}

/// The clock in the picture goes on from frame to frame by a frame's time.
async fn plays_without_a_jump(url: &str) -> anyhow::Result<()> {
    let mut player = Player::start(url)?;
    let mut clocks = Vec::new();
    let playing = async {
        while let Some(clock) = player.next_clock().await? {
            clocks.push(clock);
        }
        anyhow::Ok(())
    };
    let played = tokio::time::timeout(HANGS, playing).await;
    played.with_context(|| format!("{url} does not come to its end"))??;
    let (Some(first), Some(last)) = (clocks.first(), clocks.last()) else {
        anyhow::bail!("{url} shows nothing");
    };
    let shown = Duration::from_millis(last - first);
    ensure!(
        shown + Duration::from_secs(9) > PLAYING,
        "{url}: only {shown:?}"
    );
    // The publisher draws a frame a little late now and then, more on a busy
    // machine; but none is shown twice or before an earlier one, and no GOP,
    // which has two seconds, is missing.
    for pair in clocks.windows(2) {
        ensure!(
            pair[0] < pair[1] && pair[1] - pair[0] < 1900,
            "{url}: {pair:?}"
        );
    }
    Ok(())
}
