//! What a client may send to do harm, to the real server: it is refused with
//! the field named, starts nothing, and is answered as the document says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tests::api::{Api, text};
use tests::machine::{Machine, SAMPLE, program, sample_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use worker::ffmpeg::shim::Tie;

const VIDEO: &str = "/Output/Video_outputs/0";

/// The sample with the value at a pointer replaced.
fn with(pointer: &str, value: Value) -> anyhow::Result<Value> {
    let mut job: Value = serde_json::from_str(SAMPLE)?;
    let (parent, name) = pointer.rsplit_once('/').context("not a pointer")?;
    job.pointer_mut(parent).context("not in the sample")?[name] = value;
    Ok(job)
}

/// Bodies that are no JSON, with the status that each is refused with.
fn unreadable() -> Vec<(Vec<u8>, StatusCode)> {
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let mut bodies: Vec<_> = [
        "",
        "{",
        "Input=rtmp",
        "{\"Input\": {}}}",
        "{\"Output\": NaN}",
        "{\"Output\": 1e999}",
        "{\"a\": \"\0\"}",
        &deep,
    ]
    .map(|body| (body.as_bytes().to_vec(), StatusCode::BAD_REQUEST))
    .to_vec();
    bodies.push((b"\xff\xfe{}".to_vec(), StatusCode::BAD_REQUEST));
    bodies.push((vec![b' '; 1024 * 1024], StatusCode::PAYLOAD_TOO_LARGE));
    bodies
}

/// Bodies that are no spec, with the field at fault.
fn faulty() -> anyhow::Result<Vec<(String, Value)>> {
    let mut cases = vec![
        (String::new(), json!(null)),
        (String::new(), json!([])),
        (String::new(), json!("x")),
        ("/Output".to_owned(), json!({"Input": {}, "Output": []})),
    ];
    let mut add = |pointer: String, value: Value| -> anyhow::Result<()> {
        let body = with(&pointer, value)?;
        cases.push((pointer, body));
        Ok(())
    };
    for field in ["Width", "Height", "Framerate", "Bitrate", "Gop_size"] {
        for value in [
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!([]),
            json!({}),
            json!(true),
        ] {
            add(format!("{VIDEO}/{field}"), value)?;
        }
    }
    for value in ["-i", ";", "%0a", "\0", "$(id)", "libx264 -f null"] {
        for field in ["Codec", "Preset", "Bitrate", "Label"] {
            add(format!("{VIDEO}/{field}"), json!(value))?;
        }
        for field in ["Stream_type", "Segment_format"] {
            add(format!("/Output/{field}"), json!(value))?;
        }
        add("/Input/Url".to_owned(), json!(value))?;
    }
    let renditions = vec![json!({"Label": "x"}); 1_000];
    add("/Output/Video_outputs".to_owned(), json!(renditions))?;
    let bucket = json!({"Bucket": "Not a bucket"});
    add("/Output/S3_output".to_owned(), bucket)?;
    for url in INWARD {
        add("/Input/Url".to_owned(), json!(url))?;
    }
    Ok(cases)
}

/// Inputs that lead to where only this machine may go.
const INWARD: [&str; 17] = [
    "http://127.0.0.1/x",
    "http://127.1/x",
    "http://2130706433/x",
    "http://0x7f000001/x",
    "http://0177.0.0.1/x",
    "http://[::1]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://[::ffff:7f00:1]/x",
    "http://169.254.170.2/v2/credentials",
    "http://2852039166/latest/meta-data/",
    "http://10.0.0.1/x",
    "http://localhost/x",
    "http://LOCALHOST./x",
    "srt://127.0.0.1:9000",
    "file:///etc/passwd",
    "concat:/etc/passwd|/etc/shadow",
    "data:text/plain,x",
];

#[tokio::test]
async fn hostile_bodies_are_refused_and_start_nothing() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let client = Client::builder().no_proxy().build()?;
    for (body, expected) in unreadable() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        for path in ["/jobs", "/createLiveJob", "/jobs?dry_run=true"] {
            let url = format!("{}{path}", machine.url());
            let request = client.post(url).header("content-type", "application/json");
            let answer = request.body(body.clone()).send().await?;
            ensure!(
                answer.status() == expected,
                "{shown}: {}",
                answer.text().await?
            );
        }
    }
    for (pointer, body) in faulty()? {
        for path in ["/jobs", "/jobs?dry_run=true"] {
            let (status, problem) = api.send(Method::POST, path, Some(&body)).await?;
            ensure!(
                status == StatusCode::UNPROCESSABLE_ENTITY,
                "{pointer}: {status} {problem} for {body}"
            );
            let errors = problem["errors"].as_array().context("no errors")?;
            let named = |error: &Value| {
                let at = error["pointer"].as_str();
                at.is_some_and(|at| at.starts_with(&pointer))
            };
            ensure!(errors.iter().any(named), "{pointer}: {problem}");
        }
    }
    let (_, jobs) = api.send(Method::GET, "/jobs", None).await?;
    assert_eq!(jobs["jobs"], json!([]));
    let pid = machine.pid().context("it has ended")?;
    assert_eq!(Machine::descendants_of(pid)?, []);
    Ok(())
}

/// Answers every request with a redirect to `target`.
async fn redirector(target: String) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is asked for does not matter.
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok(port)
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_address_fails_without_a_contact() -> anyhow::Result<()> {
    // 127.0.0.1 is allowed for this machine, its neighbour is not.
    let machine = Machine::start(&["--allow-pull-from", "127.0.0.1/32"]).await?;
    let api = Api::of(&machine)?;
    let forbidden = TcpListener::bind("127.0.0.2:0").await?;
    let target = format!("http://{}/secret.m3u8", forbidden.local_addr()?);
    let port = redirector(target).await?;
    let job = sample_with(|job| {
        job["Input"]["Url"] = json!(format!("http://127.0.0.1:{port}/live.m3u8"));
    })?;
    let job = api.create(&job).await?;
    let failed = api
        .reaches(text(&job, "/id")?, "failed", Duration::from_secs(60))
        .await?;
    assert_eq!(text(&failed, "/reason/code")?, "input_forbidden");
    let contact = tokio::time::timeout(Duration::ZERO, forbidden.accept()).await;
    assert!(contact.is_err(), "the forbidden address was contacted");
    Ok(())
}

/// Schemathesis (`tests/schema`) sends what the document allows, and what it
/// does not, and compares every answer with the document.
#[tokio::test]
async fn every_answer_is_as_the_document_says() -> anyhow::Result<()> {
    // Jobs that come to be wait for one worker: this is about the API.
    let machine = Machine::start(&["--max-workers", "1"]).await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schemathesis = root.join(".venv/bin/schemathesis");
    ensure!(
        schemathesis.exists(),
        "schemathesis is not installed: run `make deps-test`"
    );
    let output = Command::from(Tie::through(program("ezlive")?).command(&schemathesis))
        .arg("--config-file")
        .arg(root.join("tests/schema/schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/openapi.json", machine.url()))
        .current_dir(machine.folder())
        .kill_on_drop(true)
        .output()
        .await
        .context("schemathesis can't be started")?;
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        std::fs::read_to_string(machine.folder().join("log.txt"))?
    );
    Ok(())
}
