//! `ezlive publish`, with the real FFmpeg against a listener that shows when
//! it comes and when it is gone, and with a fake one that shows its arguments.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// An API whose job gets its ingest address, at `port`, with the third look.
async fn api_with_ingest(port: u16) -> MockApi {
    let looks = Arc::new(AtomicUsize::new(0));
    MockApi::start(move |_| {
        if looks.fetch_add(1, Ordering::SeqCst) < 2 {
            return (200, job_in("assigned"));
        }
        let mut job = job_in("running");
        job["ingest"] = json!({ "protocol": "rtmp", "url": format!("rtmp://127.0.0.1:{port}/live"), "stream_key": KEY });
        (200, job)
    })
    .await
}

/// Starts `ezlive publish` and waits until its FFmpeg connects.
async fn publishing() -> (Child, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = api_with_ingest(listener.local_addr().unwrap().port()).await;
    let child = ezlive(&api.url, &["publish", JOB]).spawn().unwrap();
    let (peer, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    (child, peer)
}

/// Waits until the other side has closed the connection.
async fn until_closed(peer: &mut TcpStream) {
    let mut bytes = Vec::new();
    let closed = async { while peer.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {} };
    timeout(PATIENCE, closed).await.expect("FFmpeg is gone");
}

fn send(child: &Child, signal: Signal) {
    kill(
        Pid::from_raw(child.id().unwrap().try_into().unwrap()),
        signal,
    )
    .unwrap();
}

async fn ended(child: Child) -> (ExitStatus, String) {
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.stdout.is_empty());
    (output.status, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_signal_ends_ffmpeg_and_the_key_is_never_printed() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let (child, mut peer) = publishing().await;
        send(&child, signal);
        let (status, stderr) = ended(child).await;
        until_closed(&mut peer).await;
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(
            stderr.contains("waiting for the ingest address: the job is assigned"),
            "{stderr}"
        );
        assert!(
            stderr.contains("publishing to rtmp://127.0.0.1:"),
            "{stderr}"
        );
        assert!(!stderr.contains(KEY), "{stderr}");
    }
}

#[tokio::test]
async fn not_even_sigkill_leaves_ffmpeg_behind() {
    let (mut child, mut peer) = publishing().await;
    child.kill().await.unwrap();
    until_closed(&mut peer).await;
}

#[tokio::test]
async fn a_server_that_hangs_up_is_ffmpegs_failure_and_its_words_come_without_the_key() {
    let (child, peer) = publishing().await;
    drop(peer);
    let (status, stderr) = ended(child).await;
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(
        stderr.contains("ffmpeg: ") && stderr.contains("/live/***"),
        "{stderr}"
    );
    assert!(!stderr.contains(KEY), "{stderr}");
}

#[tokio::test]
async fn ffmpeg_gets_the_target_and_its_exit_code_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    fake_program(dir.path(), "ffmpeg", "exit 7");
    let api = api_with_ingest(1935).await;
    let mut command = ezlive(
        &api.url,
        &["publish", JOB, "--size", "640x360", "--fps", "50"],
    );
    command.env("PATH", path_before(dir.path()));
    assert_eq!(end(command).await.code, Some(7));
    let args = std::fs::read_to_string(dir.path().join("args")).unwrap();
    let args: Vec<&str> = args.lines().collect();
    assert_eq!(
        args.last().copied(),
        Some(format!("rtmp://127.0.0.1:1935/live/{KEY}").as_str())
    );
    assert!(
        args.iter()
            .any(|arg| arg.contains("testsrc2=size=640x360:rate=50")),
        "{args:?}"
    );
    assert!(
        args.windows(2).any(|pair| pair == ["-f", "flv"]),
        "{args:?}"
    );
}

/// As when the job's worker is drained: its ingest has gone, and comes again.
#[tokio::test]
async fn an_ingest_that_goes_away_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let program = "printf 'out_time_us=2000000\nprogress=continue\n'\n\
        if [ -e \"$0.ran\" ]; then exit 0; fi\n\
        touch \"$0.ran\"; exit 1";
    fake_program(dir.path(), "ffmpeg", program);
    let api = api_with_ingest(1935).await;
    let mut command = ezlive(&api.url, &["publish", JOB]);
    command.env("PATH", path_before(dir.path()));
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("asking for it again"),
        "{}",
        ended.stderr
    );
    let began = ended.stderr.matches("publishing to").count();
    assert_eq!(began, 2, "{}", ended.stderr);
}

fn path_before(folder: &std::path::Path) -> String {
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", folder.display())
}

#[tokio::test]
async fn without_ffmpeg_the_remedy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let api = api_with_ingest(1935).await;
    let mut command = ezlive(&api.url, &["publish", JOB]);
    command.env("PATH", dir.path());
    let ended = end(command).await;
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("apt install ffmpeg"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn what_cannot_be_published_to_or_from_is_said_at_once() {
    let over = |state: &str| {
        let mut job = job_in(state);
        job["desired"] = json!("stop");
        job
    };
    let cases: [(Value, &str); 3] = [
        (over("stopped"), "ezlive resume"),
        (over("failed"), "the job is failed"),
        (job_in("running"), "pulls its input itself"),
    ];
    for (job, words) in cases {
        let api = MockApi::start(move |_| (200, job.clone())).await;
        let ended = run(&api.url, &["publish", JOB]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }

    let no_media = tempfile::NamedTempFile::new().unwrap();
    for (file, words) in [
        ("/no/such/film", "can't read"),
        (
            no_media.path().to_str().unwrap(),
            "neither picture nor sound",
        ),
    ] {
        let ended = run("http://127.0.0.1:9", &["publish", JOB, file]).await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn waiting_ends_after_the_timeout() {
    let api = MockApi::start(|_| (200, job_in("created"))).await;
    let ended = run(&api.url, &["publish", JOB, "--timeout", "0"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("no ingest address after 0 s: the job is created"),
        "{}",
        ended.stderr
    );
}
