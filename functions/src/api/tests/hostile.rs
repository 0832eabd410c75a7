//! Bodies made to do harm: each is refused with the field named, and leaves
//! nothing behind.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Harness, SAMPLE};

/// The sample with the value at a pointer replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(SAMPLE).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    body.to_string()
}

async fn is_untouched(api: &Harness) {
    assert!(api.queue.take().is_empty());
    assert_eq!(api.get("/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn what_is_no_json() {
    let api = Harness::start().await;
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    for body in [
        Vec::new(),
        b"{".to_vec(),
        b"Input=rtmp".to_vec(),
        b"{\"Input\": {}}}".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"Output\": NaN}".to_vec(),
        b"{\"Output\": 1e999}".to_vec(),
        b"{\"a\": \"\0\"}".to_vec(),
        deep.into_bytes(),
    ] {
        let answer = api.post("/jobs", body.clone()).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}");
    }
    let answer = api.post("/jobs", "{\n  \"Input\": }").await;
    insta::assert_json_snapshot!("malformed", answer.json());
    is_untouched(&api).await;
}

#[tokio::test]
async fn what_is_too_large() {
    let api = Harness::start().await;
    for path in ["/jobs", "/createLiveJob", "/jobs?dry_run=true"] {
        let answer = api.post(path, " ".repeat(1024 * 1024)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        insta::allow_duplicates! {
            insta::assert_json_snapshot!("too_large", answer.json());
        }
    }
    is_untouched(&api).await;
    // Exactly the limit is no fault.
    let padded = format!("{SAMPLE}{}", " ".repeat(64 * 1024 - SAMPLE.len()));
    let answer = api.post("/jobs", padded).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn every_fault_is_named_where_it_is() {
    let api = Harness::start().await;
    let mut body: Value = serde_json::from_str(SAMPLE).unwrap();
    body["Input"]["Url"] = json!("file:///etc/passwd");
    body["Output"]["Segment_duration"] = json!(-4);
    body["Output"]["Video_outputs"][1]["Bitrate"] = json!("-i");
    body["Output"]["Video_outputs"][1]["Colour"] = json!("red");
    let answer = api.post("/jobs", body.to_string()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer.json();
    let mut pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    let expected = [
        "/Input/Url",
        "/Output/Segment_duration",
        "/Output/Video_outputs/1/Bitrate",
        "/Output/Video_outputs/1/Colour",
    ];
    assert_eq!(pointers, expected);
    insta::assert_json_snapshot!("faults", problem);
    is_untouched(&api).await;
}

#[tokio::test]
async fn what_is_no_spec() {
    let api = Harness::start().await;
    let rendition =
        serde_json::from_str::<Value>(SAMPLE).unwrap()["Output"]["Video_outputs"][0].clone();
    let video = "/Output/Video_outputs/0";
    let mut cases: Vec<(String, String)> = Vec::new();
    for body in [
        "null",
        "[]",
        "\"x\"",
        "1",
        "{}",
        r#"{"Input":1,"Output":[]}"#,
    ] {
        cases.push((String::new(), body.to_owned()));
    }
    for value in [
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!(true),
    ] {
        for field in ["Width", "Height", "Bitrate", "Gop_size"] {
            cases.push((
                format!("{video}/{field}"),
                with(&format!("{video}/{field}"), value.clone()),
            ));
        }
    }
    for text in [
        "-i",
        ";",
        "%0a",
        "\0",
        "a;rm -rf /",
        "$(id)",
        "libx264 -f null",
        "../x",
        "é",
    ] {
        for field in ["Codec", "Preset", "Bitrate", "Label"] {
            cases.push((
                format!("{video}/{field}"),
                with(&format!("{video}/{field}"), json!(text)),
            ));
        }
        for field in ["Stream_type", "Segment_format"] {
            cases.push((
                format!("/Output/{field}"),
                with(&format!("/Output/{field}"), json!(text)),
            ));
        }
    }
    cases.push((
        "/Output/Video_outputs".to_owned(),
        with("/Output/Video_outputs", json!([])),
    ));
    let thousand = json!(vec![json!({"Label": "x"}); 1_000]);
    cases.push((
        "/Output/Video_outputs".to_owned(),
        with("/Output/Video_outputs", thousand),
    ));
    let eleven = json!(vec![rendition; 11]);
    cases.push((
        "/Output/Video_outputs".to_owned(),
        with("/Output/Video_outputs", eleven),
    ));
    cases.push((
        "/Output/S3_output".to_owned(),
        with("/Output/S3_output", json!({"Bucket": "not-listed"})),
    ));
    for (pointer, body) in cases {
        let answer = api.post("/jobs", body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        let named = |error: &Value| error["pointer"].as_str().unwrap().starts_with(&pointer);
        assert!(errors.iter().any(named), "{pointer}: {}", answer.text);
    }
    is_untouched(&api).await;
}

#[tokio::test]
async fn urls_that_lead_inside() {
    let api = Harness::start().await;
    for url in [
        "http://127.0.0.1/x",
        "http://169.254.170.2/v2/credentials",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[::ffff:7f00:1]/x",
        "http://[fe80::1]/x",
        "http://[fd00:ec2::254]/x",
        "http://2130706433/x",
        "http://0x7f000001/x",
        "http://0177.0.0.1/x",
        "http://127.1/x",
        "http://0/x",
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://224.0.0.1/x",
        "http://localhost/x",
        "http://LOCALHOST./x",
        "http://a.localhost/x",
        "rtmp://10.1.2.3/live/x",
        "srt://127.0.0.1:9000",
        "rtsp://169.254.170.2/x",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "concat:a|b",
        "data:text/plain,x",
        "pipe:0",
        "-i",
        "/etc/passwd",
        "http://example.com/a b",
        "http://example.com/\u{0}",
        "http://",
        "gopher://example.com/",
        "ftp://example.com/x",
    ] {
        let answer = api.post("/jobs", with("/Input/Url", json!(url))).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/Input/Url", "{url}");
    }
    is_untouched(&api).await;
}
