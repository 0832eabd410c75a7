//! Inputs that are pulled: a channel on another's output, to its end, and an
//! origin that leads astray.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::api::{Api, text};
use tests::machine::{Machine, on_path};
use tests::player::Player;
use tests::publisher::Publisher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use tests::machine::{now, small_channel};
use tests::viewer::Viewer;

/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// To probe a live playlist, and to bring out the first segment of it.
const PULLED: Duration = Duration::from_secs(60);

fn pulls(url: &str) -> anyhow::Result<Value> {
    small_channel(|job| job["Input"]["Url"] = json!(url))
}

#[tokio::test]
async fn a_channel_pulls_what_another_gives_out() -> anyhow::Result<()> {
    let machine = Machine::start(&["--allow-pull-from", "127.0.0.1/32"]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let begin = now();
    let _publisher = Publisher::start(&job, "320x180", "25")?;
    api.reaches(&id, "streaming", SOON).await?;

    let pulling = api.create(&pulls(text(&job, "/playback/hls")?)?).await?;
    let id = text(&pulling, "/id")?.to_owned();
    let pulling = api.reaches(&id, "streaming", PULLED).await?;
    assert_eq!(pulling["ingest"], Value::Null);
    assert_eq!(pulling["stats"]["input"]["video"]["codec"], "h264");
    let mut viewer = Viewer::of(&api, &pulling)?;
    let segments = viewer.sees("two segments", "video365k.m3u8", PULLED, |list| {
        list.segments.len() >= 2
    });
    segments.await?;
    assert_eq!(viewer.violations(), [] as [&str; 0]);
    // The publisher's picture, through both.
    let mut player = Player::start(text(&pulling, "/playback/hls")?)?;
    player.reaches(begin, PULLED).await?;
    let pulling = api.job(&id).await?;
    let number = |pointer: &str| pulling.pointer(pointer).and_then(Value::as_f64);
    // Several seconds of a small picture.
    assert!(
        number("/stats/bytes_ingested") > Some(100_000.0),
        "{pulling}"
    );
    assert!(
        number("/stats/input/bitrate_kbps") > Some(50.0),
        "{pulling}"
    );

    // The live playlist comes to its end, and so does what is made of it.
    api.wish(text(&job, "/id")?, "stop").await?;
    ends_with_its_input(&api, &id).await?;
    // What is left of it is a recording: played once.
    let again = api.create(&pulls(text(&job, "/playback/hls")?)?).await?;
    let id = text(&again, "/id")?;
    api.reaches(id, "streaming", PULLED).await?;
    ends_with_its_input(&api, id).await
}

#[tokio::test]
async fn a_missing_ffprobe_fails_the_job_at_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for program in ["ffmpeg", "ffprobe"] {
        std::os::unix::fs::symlink(on_path(program)?, folder.path().join(program))?;
    }
    let ffmpeg = folder.path().join("ffmpeg").display().to_string();
    let allowed = "127.0.0.1/32";
    let machine = Machine::start(&["--allow-pull-from", allowed, "--ffmpeg", &ffmpeg]).await?;
    // What was there when it started.
    std::fs::remove_file(folder.path().join("ffprobe"))?;
    let api = Api::of(&machine)?;
    let job = api.create(&pulls("http://127.0.0.1:9999/a.ts")?).await?;
    let failed = api.reaches(text(&job, "/id")?, "failed", PULLED).await?;
    assert_eq!(failed["reason"]["code"], "transcoder_failed", "{failed}");
    let message = text(&failed, "/reason/message")?;
    assert!(message.contains("ffprobe: No such file"), "{message}");
    Ok(())
}

async fn ends_with_its_input(api: &Api, id: &str) -> anyhow::Result<()> {
    let ended = api.reaches(id, "stopped", PULLED).await?;
    assert_eq!(ended["reason"]["code"], "input_ended", "{ended}");
    assert_eq!(ended["stats"]["runs"], 1, "{ended}");
    let playlist = text(&ended, "/playback/hls")?.replace("master", "video365k");
    let playlist = api.fetch(&playlist).await?.unwrap_or_default();
    let playlist = String::from_utf8(playlist)?;
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_leads_astray_fails_the_job_and_nobody_goes_there() -> anyhow::Result<()> {
    let machine = Machine::start(&["--allow-pull-from", "127.0.0.1/32"]).await?;
    let api = Api::of(&machine)?;
    // As much this machine as 127.0.0.1 is, but not among the allowed.
    let inside = TcpListener::bind("127.0.0.2:0").await?;
    let target = format!("http://{}/live.m3u8", inside.local_addr()?);
    let visits = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn(count(inside, visits.clone()));
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/live.m3u8", origin.local_addr()?);
    let redirecting = tokio::spawn(redirect(origin, target.clone()));

    let job = api.create(&pulls(&url)?).await?;
    let failed = api.reaches(text(&job, "/id")?, "failed", PULLED).await?;
    assert_eq!(failed["reason"]["code"], "input_forbidden", "{failed}");
    assert_eq!(visits.load(Ordering::SeqCst), 0);

    // What can be seen in the text is refused at once.
    let (status, problem) = api
        .send(Method::POST, "/jobs", Some(&pulls(&target)?))
        .await?;
    assert!(status.is_client_error(), "{status}");
    assert_ne!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        text(&problem, "/errors/0/pointer")?,
        "/Input/Url",
        "{problem}"
    );
    counting.abort();
    redirecting.abort();
    Ok(())
}

async fn count(listener: TcpListener, visits: Arc<AtomicUsize>) {
    while listener.accept().await.is_ok() {
        visits.fetch_add(1, Ordering::SeqCst);
    }
}

/// Answers every request with a redirect.
async fn redirect(listener: TcpListener, target: String) -> anyhow::Result<()> {
    loop {
        let (mut connection, _) = listener.accept().await?;
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await?;
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        connection.write_all(answer.as_bytes()).await?;
    }
}
