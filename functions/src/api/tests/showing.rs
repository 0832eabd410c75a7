//! GET: one job with its live stats, its history, the document itself.

use aws::store::Expected;
use axum::http::{Method, StatusCode};
use domain::ids::JobId;
use domain::job::{Change, Job, Reason, ReasonCode};
use domain::spec::{OperatorPolicy, Spec};
use jiff::{SignedDuration, Timestamp};

use super::harness::{Harness, SAMPLE, stats, totals};
use crate::api::Playback;
use crate::api::extract::Host;

#[tokio::test]
async fn a_streaming_job_shows_ingest_and_live_numbers() {
    let api = Harness::start().await;
    let id = api.job().await;
    let first = api.running(&id).await;
    let lost = Change::LoseWorker {
        reason: Reason::new(ReasonCode::WorkerLost, "the worker's beat stood still"),
        totals: totals(),
    };
    api.change(&id, lost).await;
    let second = api.running(&id).await;
    api.change(&id, Change::StartInput).await;
    let store = &api.api.store;
    let beat = async |worker: &domain::worker::Worker, at| {
        let expected = Expected::Booked(worker.booking.clone().unwrap());
        store
            .beat(&worker.id, &expected, Some(&stats(at)))
            .await
            .unwrap();
    };
    // What the lost worker still sends counts for nothing.
    beat(&first, Timestamp::now()).await;
    beat(&second, Timestamp::now() - SignedDuration::from_secs(5)).await;

    let answer = api.get(&format!("/jobs/{id}")).await;
    let age = answer.json()["stats"]["last_segment_age_ms"].as_u64();
    assert!((5_000..35_000).contains(&age.unwrap()), "{age:?}");
    let key = api.record(&id).await.stream_key.reveal().to_owned();
    assert_eq!(answer.json()["ingest"]["stream_key"], key);
    insta::assert_json_snapshot!("streaming_job", answer.masked());

    // A worker whose clock is ahead has no segments from the future.
    beat(&second, Timestamp::now() + SignedDuration::from_secs(60)).await;
    let answer = api.get(&format!("/jobs/{id}")).await.json();
    assert_eq!(answer["stats"]["last_segment_age_ms"], 0);

    // In lists the same, but for the secrets.
    let mut owned = api.get(&format!("/jobs/{id}")).await.json();
    owned["ingest"]
        .as_object_mut()
        .unwrap()
        .remove("stream_key");
    let listed = api.get("/jobs").await;
    assert_eq!(listed.json()["jobs"][0], owned);
    assert!(!listed.text.contains(&key));
}

#[tokio::test]
async fn an_ended_job_shows_what_its_attempts_add_up_to() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    let answer = api.get(&format!("/jobs/{id}")).await.masked();
    insta::assert_json_snapshot!("stopped_job", answer["stats"]);
    assert_eq!(answer["ingest"], serde_json::Value::Null);
}

#[tokio::test]
async fn secrets_of_a_pulled_url_are_their_owners() {
    let api = Harness::start().await;
    let url = "rtmp://user:hunter2@example.com/app/hunter3?token=hunter4";
    let body = SAMPLE.replace("rtmp://127.0.0.1:1935/live/app", url);
    let answer = api.post("/jobs", body).await;
    assert_eq!(answer.json()["spec"]["input"]["url"], url);
    let listed = api.get("/jobs").await;
    assert!(!listed.text.contains("hunter"), "{}", listed.text);
    let shown = listed.json()["jobs"][0]["spec"]["input"]["url"].clone();
    assert!(
        shown
            .as_str()
            .unwrap()
            .starts_with("rtmp://example.com/app")
    );
}

/// The CDN has the default store alone.
#[test]
fn a_channel_in_a_bucket_of_its_own_is_played_from_there() {
    let playback = Playback::OfBuckets {
        default: "https://cdn.example".to_owned(),
        region: "eu-west-1".to_owned(),
    };
    let policy = OperatorPolicy::default().allow_buckets("films");
    let host = Host("api.example".to_owned());
    let base = |sample: &str| {
        let spec = Spec::parse(sample.as_bytes(), &policy).unwrap();
        let warned = policy.warning(&spec).is_some();
        let job = Job::new(JobId::generate(), spec, Timestamp::now());
        (playback.base(&job, &host), warned)
    };
    assert_eq!(base(SAMPLE), ("https://cdn.example".to_owned(), false));
    let mut films: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
    films["Output"]["S3_output"] = serde_json::json!({"Bucket": "films"});
    let films = films.to_string();
    let own = "https://films.s3.eu-west-1.amazonaws.com".to_owned();
    assert_eq!(base(&films), (own, true));
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    let whole = api.get(&format!("/jobs/{id}/events")).await;
    insta::assert_json_snapshot!("history", whole.masked());
    let whole = whole.json();

    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("/jobs/{id}/events?limit=2&after={after}");
        let page = api.get(&path).await.json();
        seen.extend(page["events"].as_array().unwrap().clone());
        match page["next_cursor"].as_u64() {
            Some(next) => after = next.to_string(),
            None => break,
        }
    }
    assert_eq!(serde_json::json!(seen), whole["events"]);

    let nothing_more = api.get(&format!("/jobs/{id}/events?after=99")).await;
    let expected = serde_json::json!({"events": [], "next_cursor": null});
    assert_eq!(nothing_more.json(), expected);
}

#[tokio::test]
async fn the_service_answers_and_describes_itself() {
    let api = Harness::start().await;
    let health = api.get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(health.json()["status"], "ok");
    assert_eq!(health.json()["version"], env!("CARGO_PKG_VERSION"));

    let document = api.document();
    let operations: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| {
                    let statuses: Vec<_> =
                        operation["responses"].as_object().unwrap().keys().collect();
                    format!("{method} {path} {statuses:?} {}", operation["security"])
                })
        })
        .collect();
    insta::assert_snapshot!("operations", operations.join("\n"));
    insta::assert_json_snapshot!("spec_body", document["components"]["schemas"]["SpecBody"]);
    insta::assert_json_snapshot!(
        "schema_of_problem",
        document["components"]["schemas"]["Problem"]
    );
    insta::assert_json_snapshot!("schema_of_job", document["components"]["schemas"]["Job"]);
}

/// A reference to a schema that is not there makes a document useless to
/// generators.
#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let api = Harness::start().await;
    let document = api.document();
    let mut left = vec![document];
    let mut references = 0;
    while let Some(value) = left.pop() {
        if let Some(reference) = value.get("$ref").and_then(|value| value.as_str()) {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference}");
            references += 1;
        }
        match value {
            serde_json::Value::Object(map) => left.extend(map.values()),
            serde_json::Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    assert!(references > 20);
}

#[tokio::test]
async fn a_head_is_a_get_without_a_body() {
    let api = Harness::start().await;
    // Not in the document: HTTP gives every GET a HEAD.
    let answer = api.get("/health").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let options = api.call(Method::OPTIONS, "/health", "").await;
    assert_eq!(options.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(options.header("allow").contains("HEAD"));
}
