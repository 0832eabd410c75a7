//! What keeps `ezlive up` from starting, and who may call it.

use std::net::TcpListener;
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::{HANGS, Machine, SAMPLE, free_ports, on_path, program, until};
use tests::publisher::Publisher;
use tokio::process::Command;

/// Runs `ezlive up`, which is not to come up; answers what it says.
async fn refused(arguments: &[&str]) -> anyhow::Result<String> {
    let running = Command::new(program("ezlive")?)
        .arg("up")
        .args(arguments)
        .env_remove("EZLIVE_TOKEN")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(HANGS, running).await??;
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_one_clear_line() -> anyhow::Result<()> {
    let running = Machine::start(&[]).await?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data").display().to_string();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder")?;
    let below_a_file = file.join("data").display().to_string();
    let in_use = running.folder().display().to_string();
    let first = free_ports(1)?;
    let busy = TcpListener::bind(("127.0.0.1", first))?;
    let ports = format!("{first}-{first}");
    let usual = ["--listen", "127.0.0.1:0"];
    let alone = folder.path().join("ffmpeg");
    std::os::unix::fs::symlink(on_path("ffmpeg")?, &alone)?;
    let (alone, missing) = (alone.display(), folder.path().join("ffprobe"));
    let (alone, missing) = (alone.to_string(), format!("{missing:?} not found"));
    let cases: [(&[&str], &str); 7] = [
        (&["--data", &data, "--listen", &taken], "--listen"),
        (
            &["--data", &data, "--ffmpeg", "/nonexistent/ffmpeg"],
            "/nonexistent/ffmpeg",
        ),
        (&["--data", &data, "--ffmpeg", &alone], &missing),
        (&["--data", &below_a_file], "--data"),
        (&["--data", &in_use], "another `ezlive up`"),
        (&["--data", &data, "--rtmp-ports", &ports], "--rtmp-ports"),
        (&["--data", &data, "--listen", "0.0.0.0:0"], "--token"),
    ];
    for (case, named) in cases {
        let mut arguments = case.to_vec();
        if !case.contains(&"--listen") {
            arguments.extend(usual);
        }
        if !case.contains(&"--rtmp-ports") {
            arguments.extend(["--rtmp-ports", "20000-20100"]);
        }
        let said = refused(&arguments).await?;
        assert_eq!(said.trim_end().lines().count(), 1, "{case:?}: {said}");
        assert!(said.starts_with("ezlive up: "), "{case:?}: {said}");
        assert!(said.contains(named), "{case:?}: {said}");
    }
    drop(busy);
    Ok(())
}

#[tokio::test]
async fn with_a_token_only_health_and_playback_are_free() -> anyhow::Result<()> {
    const TOKEN: &str = "a-token-that-nobody-guesses";
    let machine = Machine::start(&["--token", TOKEN]).await?;
    let stranger = Api::of(&machine)?;
    let sample: Value = serde_json::from_str(SAMPLE)?;
    let (status, _) = stranger.send(Method::POST, "/jobs", Some(&sample)).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = stranger.send(Method::GET, "/jobs", None).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let wrong = Api::with_token(&machine, "another-token")?;
    let (status, _) = wrong.send(Method::GET, "/jobs", None).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = stranger.send(Method::GET, "/health", None).await?;
    assert_eq!(status, StatusCode::OK);

    let api = Api::with_token(&machine, TOKEN)?;
    let job = api.create(&tests::machine::small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", HANGS).await?;
    let _publisher = Publisher::start(&job, "320x180", "25")?;
    let hls = text(&job, "/playback/hls")?;
    until("a playlist for a stranger", HANGS, || stranger.fetch(hls)).await?;
    let log = machine.log()?;
    assert!(!log.contains(TOKEN), "the token in the log");
    let export = format!("export EZLIVE_URL={}", machine.url());
    assert!(log.lines().any(|line| line == export), "{log}");
    Ok(())
}
