//! An API that answers as a test says, and the real binary against it.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{
    HeaderMap, Response,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use domain::event::Event;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

pub const JOB: &str = "019a9a52-91d3-7000-8000-00005d7e0001";
pub const OTHER: &str = "019a9a52-91d3-7000-8000-0000aaaa0002";
pub const KEY: &str = "5ecret5ecret5ecret5ecret";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /jobs?limit=20`.
    pub call: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The API; gone when the test's runtime is.
pub struct MockApi {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl MockApi {
    /// Answers each call with a status and a body; null is no body. A
    /// `retry_after` in a body is a header too.
    pub async fn start(
        answer: impl Fn(&Seen) -> (u16, Value) + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, answer).await
    }

    /// The same on a listener that is there already.
    pub async fn serve(
        listener: TcpListener,
        answer: impl Fn(&Seen) -> (u16, Value) + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let app = Router::new().fallback(move |request: Request| {
            let (answer, log) = (answer.clone(), log.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let request = Seen {
                    call: format!("{} {}", parts.method, parts.uri),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                log.lock().unwrap().push(request.clone());
                let (status, body) = answer(&request);
                let kind = if status < 400 {
                    "application/json"
                } else {
                    "application/problem+json"
                };
                let retry_after = body["retry_after"].as_u64();
                let body = if body.is_null() {
                    Body::empty()
                } else {
                    Body::from(body.to_string())
                };
                let mut response = Response::builder()
                    .status(status)
                    .header(CONTENT_TYPE, kind);
                if let Some(seconds) = retry_after {
                    response = response.header(RETRY_AFTER, seconds);
                }
                response.body(body).unwrap()
            }
        });
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn calls(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.call).collect()
    }
}

/// How a run of the binary ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// All of it, for a snapshot.
    pub fn shown(&self) -> String {
        format!(
            "exit code {:?}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The binary, set to talk to `url`, without this machine's settings.
pub fn ezlive(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ezlive"));
    command
        .args(args)
        .env("EZLIVE_URL", url)
        .env_remove("EZLIVE_TOKEN")
        .kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub async fn end(mut command: Command) -> Ended {
    let output = command.output().await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub async fn run(url: &str, args: &[&str]) -> Ended {
    end(ezlive(url, args)).await
}

/// A job that streams, with all that it can have.
pub fn streaming_job() -> Value {
    json!({
        "id": JOB, "state": "streaming", "desired": "run", "reason": null, "spec": {}, "attempt": 2,
        "worker_id": "4f0c1d2e-0000-4000-8000-0a1b2c3d4e5f",
        "warnings": [{ "pointer": "/output/audio_outputs", "detail": "no audio output: players get silence" }],
        "ingest": { "protocol": "rtmp", "url": "rtmp://127.0.0.1:1935/live", "stream_key": KEY },
        "playback": { "hls": format!("http://h/live/{JOB}/master.m3u8"), "dash": format!("http://h/live/{JOB}/manifest.mpd") },
        "stats": {
            "fps": 25.01, "speed": 0.998, "dropped_frames": 3, "bytes_ingested": 1_000_000, "up_seconds": 3_725, "active_seconds": 3_700.4,
            "last_segment_age_ms": 1_234, "runs": 2,
            "input": {
                "video": { "codec": "h264", "width": 1280, "height": 720, "fps": 25.0 },
                "audio": { "codec": "aac", "sample_rate": 48_000, "channels": 2 },
                "bitrate_kbps": 2_560
            }
        },
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "created_at": "2026-11-22T18:51:33.123Z", "updated_at": "2026-11-22T19:53:40Z", "a_later_field": [1, 2]
    })
}

/// A job in a state, and little else.
pub fn job_in(state: &str) -> Value {
    json!({
        "id": JOB, "state": state, "desired": "run", "reason": null, "ingest": null, "stats": null,
        "created_at": "2026-11-22T18:51:33Z", "updated_at": "2026-11-22T18:51:33Z"
    })
}

/// An event as the API keeps it, so many milliseconds after the first.
pub fn event(seq: u64, ms: u64, from: Option<&str>, to: &str) -> Event {
    let at = format!("2026-11-22T18:51:{:02}.{:03}Z", 33 + ms / 1000, ms % 1000);
    let worker = (to != "created").then_some("4f0c1d2e-0000-4000-8000-0a1b2c3d4e5f");
    let kind = match (from, to) {
        (None, _) => "created",
        (_, "created") => "worker_lost",
        (_, "assigned") => "booked",
        (_, "running") => "listening",
        (_, "streaming") => "input_started",
        (_, over) => over,
    };
    let event = json!({ "job_id": JOB, "seq": seq, "at": at, "type": kind, "from": from, "to": to,
                        "attempt": u64::from(worker.is_some()), "worker_id": worker, "reason": null });
    serde_json::from_value(event).unwrap()
}

/// The API's answer to a call for a part of this history: no more than 100
/// events, those after `after`, and the number to go on after.
pub fn history(call: &str, events: &[Event]) -> (u16, Value) {
    const PAGE: usize = 100;
    let query = call.split_once('?').map(|(_, query)| query);
    let after = match query.map(|query| query.strip_prefix("after=").map(str::parse::<u64>)) {
        None => 0,
        Some(Some(Ok(after))) => after,
        Some(_) => return problem(400, "The request can't be read", call),
    };
    let new: Vec<&Event> = events.iter().filter(|event| event.seq > after).collect();
    let page = &new[..new.len().min(PAGE)];
    let next = page.last().filter(|_| page.len() < new.len());
    (
        200,
        json!({ "events": page, "next_cursor": next.map(|event| event.seq) }),
    )
}

pub fn problem(status: u16, title: &str, detail: &str) -> (u16, Value) {
    (
        status,
        json!({ "type": "about:blank", "title": title, "status": status, "detail": detail }),
    )
}

/// A program on a path of its own that writes its arguments to `args` beside
/// it and then runs `script`.
pub fn fake_program(dir: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.join(name);
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$(dirname \"$0\")/args\"\n{script}\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
