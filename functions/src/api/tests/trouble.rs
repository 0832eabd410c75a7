//! Requests that lead nowhere, and a database that is away.

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::{Method, StatusCode};
use domain::ids::JobId;

use super::harness::{Harness, SAMPLE};

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let api = Harness::start().await;
    for path in ["/", "/job", "/jobs/", "/jobs/x/y/z", "/openapi"] {
        assert_eq!(api.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = api.get("/nowhere").await;
    insta::assert_json_snapshot!("no_such_path", answer.json());

    let id = JobId::generate();
    for (method, path, allow) in [
        (Method::DELETE, "/jobs".to_owned(), "POST,GET,HEAD"),
        (Method::GET, "/createLiveJob".to_owned(), "POST"),
        (Method::POST, format!("/jobs/{id}"), "GET,HEAD,PATCH,DELETE"),
        (Method::POST, format!("/jobs/{id}/stop"), "PUT"),
        (Method::TRACE, "/health".to_owned(), "GET,HEAD"),
        (Method::PUT, "/openapi.json".to_owned(), "GET,HEAD"),
    ] {
        let answer = api.call(method, &path, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), allow, "{path}");
        insta::allow_duplicates! {
            insta::assert_json_snapshot!("method_not_allowed", answer.json());
        }
    }
}

#[tokio::test]
async fn what_is_no_id_is_the_id_of_no_job() {
    let api = Harness::start().await;
    let unknown = JobId::generate().to_string();
    for id in [
        unknown.as_str(),
        "1",
        "-i",
        "%00",
        "%ff",
        "..%2f..",
        "a;b",
        "%0a",
    ] {
        for (method, path) in [
            (Method::GET, format!("/jobs/{id}")),
            (Method::GET, format!("/jobs/{id}/events")),
            (Method::DELETE, format!("/jobs/{id}")),
            (Method::PUT, format!("/jobs/{id}/stop")),
            (Method::PUT, format!("/jobs/{id}/pause")),
            (Method::PUT, format!("/jobs/{id}/resume")),
            (Method::PUT, format!("/jobs/{id}/stream-key")),
            (Method::PATCH, format!("/jobs/{id}")),
        ] {
            let answer = api.call(method, &path, SAMPLE).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            insta::allow_duplicates! {
                insta::assert_json_snapshot!("no_such_job", answer.json());
            }
        }
    }
    // The records of idempotency keys lie in the same table.
    let answer = api.get("/jobs/idempotency%2Fabc").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn parameters_that_can_t_be_read_are_named() {
    let api = Harness::start().await;
    let id = api.job().await;
    let mut told = Vec::new();
    for (method, path) in [
        (Method::GET, "/jobs?limit=0".to_owned()),
        (Method::GET, "/jobs?limit=101".to_owned()),
        (Method::GET, "/jobs?limit=-1".to_owned()),
        (Method::GET, "/jobs?limit=".to_owned()),
        (Method::GET, "/jobs?limit=99999999999999999999".to_owned()),
        (Method::GET, "/jobs?limit=1&limit=2".to_owned()),
        (Method::GET, "/jobs?state=asleep".to_owned()),
        (Method::GET, "/jobs?state=%00".to_owned()),
        (Method::GET, "/jobs?cursor=x".to_owned()),
        (Method::GET, "/jobs?colour=red".to_owned()),
        (Method::GET, format!("/jobs/{id}?x=1")),
        (Method::GET, format!("/jobs/{id}/events?after=-1")),
        (Method::GET, format!("/jobs/{id}/events?limit=many")),
        (Method::POST, "/jobs?dry_run=yes".to_owned()),
        (Method::POST, "/createLiveJob?dryrun=true".to_owned()),
        (Method::DELETE, format!("/jobs/{id}?force=1")),
        (Method::DELETE, format!("/jobs/{id}?froce=true")),
        (Method::PUT, format!("/jobs/{id}/stop?now=true")),
        (Method::PATCH, format!("/jobs/{id}?x")),
        (Method::GET, "/workers?state=created".to_owned()),
        (Method::DELETE, format!("/workers/{id}?force=true")),
        (Method::GET, "/health?x=1".to_owned()),
    ] {
        let answer = api.call(method.clone(), &path, SAMPLE).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let detail = answer.json()["detail"]
            .as_str()
            .unwrap()
            .replace('\0', "\\0");
        told.push(format!(
            "{method} {}: {detail}",
            path.replace(id.as_str(), "[id]")
        ));
    }
    insta::assert_snapshot!("parameters", told.join("\n"));
    assert!(api.queue.take().is_empty());
}

#[tokio::test]
async fn without_the_database_the_client_is_told_to_come_again() {
    let api = Harness::without_database().await;
    let id = JobId::generate();
    for (method, path) in [
        (Method::POST, "/jobs".to_owned()),
        (Method::GET, "/jobs".to_owned()),
        (Method::GET, format!("/jobs/{id}")),
        (Method::GET, format!("/jobs/{id}/events")),
        (Method::PATCH, format!("/jobs/{id}")),
        (Method::PUT, format!("/jobs/{id}/stop")),
        (Method::PUT, format!("/jobs/{id}/stream-key")),
        (Method::DELETE, format!("/jobs/{id}")),
        (Method::GET, "/workers".to_owned()),
        (Method::GET, format!("/workers/{id}")),
        (Method::DELETE, format!("/workers/{id}")),
    ] {
        let answer = api.call(method, &path, SAMPLE).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        insta::allow_duplicates! {
            insta::assert_json_snapshot!("database_away", answer.json());
        }
    }
    assert!(api.queue.take().is_empty());
    assert_eq!(api.get("/health").await.status, StatusCode::OK);
}

/// The job is there, and can be stopped: only its live numbers are missing.
#[tokio::test]
async fn a_worker_that_cant_be_read_hides_no_job() {
    let api = Harness::start().await;
    let id = api.job().await;
    let worker = api.running(&id).await;
    api.spoil_worker(&worker.id).await;
    let job = api.get(&format!("/jobs/{id}")).await;
    assert_eq!(job.status, StatusCode::OK);
    assert_eq!(job.json()["worker_id"], worker.id.as_str());
    assert!(api.get("/jobs").await.text.contains(id.as_str()));
    let stop = api.put(&format!("/jobs/{id}/stop")).await;
    assert_eq!(stop.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_event_that_cant_be_read_hides_no_other_and_goes_with_its_job() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    for seq in 1..=2 {
        api.spoil_event(&id, seq).await;
    }
    let events = api.get(&format!("/jobs/{id}/events?limit=2")).await.json();
    let seqs: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["seq"].clone())
        .collect();
    assert_eq!(seqs, [3, 4]);
    assert_eq!(
        api.delete(&format!("/jobs/{id}")).await.status,
        StatusCode::NO_CONTENT
    );
    let left = api
        .database
        .client
        .query()
        .table_name(&api.database.tables.events)
        .key_condition_expression("job_id = :job")
        .expression_attribute_values(":job", AttributeValue::S(id.to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(left.count(), 0);
}
