//! Whether what was published plays from end to end: read back over HTTP and
//! decoded, every rendition.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::api::{Api, text};
use tests::player::{Player, probe};

use crate::playlist::{Playlist, media_playlists};
use crate::screen::Screen;

/// Decodes all of a stopped channel.
///
/// # Errors
/// What does not play, or is not as ordered.
pub async fn plays_through(
    screen: &Screen,
    api: &Api,
    job: &Value,
    spec: &Value,
    played: Duration,
) -> anyhow::Result<()> {
    screen.line("\nreading it back:");
    let hls = text(job, "/playback/hls")?;
    let renditions = media_playlists(api, hls).await?;
    for (kind, pointer) in [
        ("video", "/Output/Video_outputs"),
        ("audio", "/Output/Audio_outputs"),
    ] {
        let ordered = spec.pointer(pointer).and_then(Value::as_array);
        for output in ordered.context("the sample has outputs")? {
            let name = format!("{}.m3u8", text(output, "/Label")?);
            let rendition = renditions.iter().find(|(named, _)| *named == name);
            let (_, url) = rendition.with_context(|| format!("{name} is not in {hls}"))?;
            let playlist = Playlist::fetch(api, url).await?;
            let decoded = decoded(url, kind, output, playlist)
                .await
                .with_context(|| name.clone())?;
            screen.line(&format!("  {name:<18} {decoded}"));
        }
    }
    let shown = clock_advances(hls, played).await?;
    screen.line(&format!(
        "  the burnt-in clock goes on from frame to frame, {:.1} s in all\n",
        shown.as_secs_f64()
    ));
    Ok(())
}

/// Decodes every frame of a rendition; answers what it is.
async fn decoded(
    url: &str,
    kind: &str,
    output: &Value,
    playlist: Playlist,
) -> anyhow::Result<String> {
    let probed = probe(url, &["-show_streams", "-count_frames"]).await?;
    let tracks = probed["streams"].as_array().context("no tracks")?;
    ensure!(tracks.len() == 1, "{} tracks", tracks.len());
    let track = &tracks[0];
    let ordered = text(output, "/Codec")?;
    let codec = text(track, "/codec_name")?;
    ensure!(codec == ordered, "{codec} instead of {ordered}");
    let frames: f64 = text(track, "/nb_read_frames")?.parse()?;
    let (looks, rate) = match kind {
        "video" => {
            for (found, wanted) in [("width", "Width"), ("height", "Height")] {
                ensure!(track[found] == output[wanted], "{found} {}", track[found]);
            }
            let rate = output["Framerate"].as_f64().context("a frame rate")?;
            (format!("{}x{}", track["width"], track["height"]), rate)
        }
        // A frame of AAC has 1024 samples (ISO/IEC 14496-3).
        _ => {
            let rate: f64 = text(track, "/sample_rate")?.parse()?;
            (format!("{rate} Hz"), rate / 1024.0)
        }
    };
    let seconds = frames / rate;
    // Up to a frame or two at either end are the encoder's.
    ensure!(
        (seconds - playlist.seconds).abs() < 0.2,
        "{seconds:.2} s of frames in {:.2} s of segments",
        playlist.seconds
    );
    Ok(format!(
        "{codec} {looks}: {frames} frames in {} segments, {seconds:.1} s",
        playlist.segments
    ))
}

/// Plays all of it; answers the time between the first and the last clock.
async fn clock_advances(hls: &str, played: Duration) -> anyhow::Result<Duration> {
    let mut player = Player::start(hls)?;
    let first = player.next_clock().await?.context("nothing is shown")?;
    let mut last = first;
    while let Some(clock) = player.next_clock().await? {
        ensure!(clock > last, "the clock goes back from {last} to {clock}");
        last = clock;
    }
    let shown = Duration::from_millis(last - first);
    // The playlists hold two minutes (`Time_shift_buffer_depth`).
    let expected = played.min(Duration::from_secs(110));
    ensure!(
        shown + Duration::from_secs(2) > expected,
        "only {shown:?} of {played:?} are shown"
    );
    Ok(shown)
}
