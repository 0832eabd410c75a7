//! POST /jobs: the record, the message, the idempotency key, the dry run.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use domain::job::JobState;
use domain::message::Message;

use super::harness::{Harness, SAMPLE};

#[tokio::test]
async fn a_job_is_written_announced_and_shown() {
    let api = Harness::start().await;
    let answer = api.post("/jobs", SAMPLE).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let id = answer.job();
    assert_eq!(answer.header("location"), format!("/jobs/{id}"));
    insta::assert_json_snapshot!("created_job", answer.masked());

    assert_eq!(
        api.queue.take(),
        [(Message::schedule(id.clone()), Duration::ZERO)]
    );
    let read = api.get(&format!("/jobs/{id}")).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json(), answer.json());
    let events = api.get(&format!("/jobs/{id}/events")).await;
    insta::assert_json_snapshot!("created_events", events.masked());
}

#[tokio::test]
async fn the_old_name_creates_a_job_too() {
    let api = Harness::start().await;
    let answer = api.post("/createLiveJob", SAMPLE).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let read = api.get(answer.header("location")).await;
    assert_eq!(read.json(), answer.json());
}

#[tokio::test]
async fn a_job_whose_message_is_lost_is_there_for_the_sweep() {
    let api = Harness::start().await;
    api.queue.refuse();
    let answer = api.post("/jobs", SAMPLE).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(api.record(&answer.job()).await.state, JobState::Created);
}

#[tokio::test]
async fn playback_is_on_the_host_that_was_asked() {
    let api = Harness::start().await;
    for (host, base) in [
        ("live.example:8080", "http://live.example:8080/live/"),
        ("no host", "http://localhost/live/"),
    ] {
        let headers = [("host", host)];
        let answer = api
            .call_with(Method::POST, "/jobs", &headers, SAMPLE)
            .await
            .json();
        let (hls, dash) = (&answer["playback"]["hls"], &answer["playback"]["dash"]);
        let id = answer["id"].as_str().unwrap();
        assert_eq!(hls, &format!("{base}{id}/master.m3u8"));
        assert_eq!(dash, &format!("{base}{id}/manifest.mpd"));
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_leaves_nothing_behind() {
    let api = Harness::start().await;
    let pulled = SAMPLE.replace(
        "rtmp://127.0.0.1:1935/live/app",
        "https://example.com/it's live.m3u8"
            .replace(' ', "%20")
            .as_str(),
    );
    // The worker pulls RTMP itself, as it takes in what is pushed.
    let rtmp = SAMPLE.replace("127.0.0.1:1935", "example.com");
    for (body, input) in [
        (SAMPLE.to_owned(), "pipe:0"),
        (rtmp, "pipe:0"),
        (pulled, "https://example.com/it's%20live.m3u8"),
    ] {
        let answer = api.post("/jobs?dry_run=true", body).await;
        assert_eq!(answer.status, StatusCode::OK);
        let answer = answer.json();
        assert_eq!(answer["spec"]["output"]["video_outputs"][0]["width"], 640);
        assert!(answer["warnings"].is_array());
        let argv = answer["ffmpeg"]["argv"].as_array().unwrap();
        let words = shlex::split(answer["ffmpeg"]["command"].as_str().unwrap()).unwrap();
        assert_eq!(words[0], "ffmpeg");
        let at = words.iter().position(|word| word == "-i").unwrap();
        assert_eq!(words[at + 1], input);
        assert_eq!(serde_json::json!(words[1..]), serde_json::json!(argv));
    }
    assert!(api.queue.take().is_empty());
    assert_eq!(api.get("/jobs").await.json()["jobs"], serde_json::json!([]));
}

fn keyed(key: &str) -> [(&str, &str); 1] {
    [("idempotency-key", key)]
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_job_and_drives_it_again() {
    let api = Harness::start().await;
    let first = api
        .call_with(Method::POST, "/jobs", &keyed("k1"), SAMPLE)
        .await;
    api.queue.take();
    let again = api
        .call_with(Method::POST, "/createLiveJob", &keyed("k1"), SAMPLE)
        .await;
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(
        api.queue.take(),
        [(Message::schedule(first.job()), Duration::ZERO)]
    );

    // Once it has a worker there is nothing left to drive.
    api.running(&first.job()).await;
    let later = api
        .call_with(Method::POST, "/jobs", &keyed("k1"), SAMPLE)
        .await;
    assert_eq!(later.status, StatusCode::CREATED);
    assert_eq!(later.json()["state"], "running");
    assert!(api.queue.take().is_empty());

    let other = api
        .call_with(Method::POST, "/jobs", &keyed("k2"), SAMPLE)
        .await;
    assert_ne!(other.job(), first.job());
}

#[tokio::test]
async fn a_key_stands_for_one_body_and_one_job() {
    let api = Harness::start().await;
    let first = api
        .call_with(Method::POST, "/jobs", &keyed("k"), SAMPLE)
        .await;
    let body = SAMPLE.replace("25,", "30,");
    let other = api
        .call_with(Method::POST, "/jobs", &keyed("k"), body)
        .await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("key_reused", other.json());

    let path = format!("/jobs/{}", first.job());
    assert_eq!(api.put(&format!("{path}/stop")).await.status, 202);
    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    let gone = api
        .call_with(Method::POST, "/jobs", &keyed("k"), SAMPLE)
        .await;
    assert_eq!(gone.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("key_of_deleted_job", gone.json());
}

#[tokio::test]
async fn a_key_must_be_visible_ascii_of_some_length() {
    let api = Harness::start().await;
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in ["", "two words", "schlüssel", "tab\tkey", &too_long] {
        let answer = api
            .call_with(Method::POST, "/jobs", &keyed(key), SAMPLE)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{key:?}");
        assert!(answer.text.contains("Idempotency-Key"));
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = api.call_with(Method::POST, "/jobs", &twice, SAMPLE).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = api
        .call_with(Method::POST, "/jobs", &keyed(&longest), SAMPLE)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn of_many_requests_at_once_with_one_key_one_creates_the_job() {
    let api = Harness::start().await;
    let posts = (0..8).map(|_| {
        let api = &api;
        async move {
            let headers = keyed("race");
            api.call_with(Method::POST, "/jobs", &headers, SAMPLE).await
        }
    });
    let answers = futures::future::join_all(posts).await;
    let jobs: BTreeSet<_> = answers.iter().map(|answer| answer.job()).collect();
    assert_eq!(jobs.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201));
    let listed = api.get("/jobs").await.json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_is_part_of_the_trace_that_its_call_brings() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let harness = Harness::start().await;
    let parent = (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    let xray = (
        "x-amzn-trace-id",
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1",
    );
    let other = (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let unreadable = ("x-amzn-trace-id", "Root=1-<script>");
    for headers in [
        &[parent][..],
        &[xray],
        &[other, xray],
        &[unreadable, parent],
    ] {
        let created = harness
            .call_with(Method::POST, "/jobs", headers, SAMPLE)
            .await;
        assert_eq!(created.json()["trace_id"], TRACE, "{headers:?}");
        let stored = harness
            .api
            .store
            .job(&created.job())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.job.trace_id.unwrap().as_str(), TRACE);
    }
    let ids: BTreeSet<String> = [
        harness.post("/jobs", SAMPLE).await,
        harness.post("/createLiveJob", SAMPLE).await,
    ]
    .map(|created| created.json()["trace_id"].as_str().unwrap().to_owned())
    .into();
    assert_eq!(ids.len(), 2, "each call without a trace has one of its own");
}
