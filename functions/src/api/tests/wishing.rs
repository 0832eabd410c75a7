//! PUT stop, pause, resume, stream-key; PATCH: what a client may want when.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use domain::job::{Change, JobState, Reason, ReasonCode, Totals};
use domain::message::Message;
use domain::protocol::Timing;

use super::harness::{Harness, SAMPLE, kinds};

/// That its playlists are still to be ended is the scheduler's affair: to its
/// client it has stopped, and can be started again.
#[tokio::test]
async fn a_job_whose_playlists_are_still_to_be_ended_is_a_stopped_one() {
    let api = Harness::start().await;
    let id = api.ending().await;
    for state in ["", "?state=stopped"] {
        let listed = api.get(&format!("/jobs{state}")).await;
        assert!(listed.text.contains(id.as_str()), "{state}");
    }
    let failed = api.get("/jobs?state=failed").await;
    assert!(!failed.text.contains(id.as_str()));
    assert_eq!(api.put(&format!("/jobs/{id}/stop")).await.status, 200);
    assert!(api.queue.take().is_empty());
    let patched = api
        .call(Method::PATCH, &format!("/jobs/{id}"), SAMPLE)
        .await;
    assert_eq!(patched.status, 200);
    assert_eq!(api.put(&format!("/jobs/{id}/resume")).await.status, 202);
    assert_eq!(kinds(&api.queue.take()), [("schedule".to_owned(), 0)]);
    let job = api.record(&id).await;
    assert!(!job.ending);
    assert_eq!(job.attempt, 1, "the next attempt takes the channel over");
}

#[tokio::test]
async fn a_job_without_a_worker_stops_at_once() {
    let api = Harness::start().await;
    let id = api.job().await;
    let answer = api.put(&format!("/jobs/{id}/stop")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["state"], "stopped");
    assert_eq!(answer.json()["desired"], "stop");
    let again = api.put(&format!("/jobs/{id}/stop")).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json(), answer.json());
    assert!(api.queue.take().is_empty());
}

#[tokio::test]
async fn the_stop_of_a_placed_job_is_bounded() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let answer = api.put(&format!("/jobs/{id}/stop")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["state"], "stopping");
    let stop_by = Message::StopBy {
        job: id.clone(),
        attempt: 1,
    };
    assert_eq!(api.queue.take(), [(stop_by, Timing::default().stop_grace)]);
    assert_eq!(api.put(&format!("/jobs/{id}/stop")).await.status, 200);
    assert!(api.queue.take().is_empty());

    // Stop wins.
    for wish in ["resume", "pause"] {
        let answer = api.put(&format!("/jobs/{id}/{wish}")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        insta::assert_json_snapshot!(format!("{wish}_while_stopping"), answer.json());
    }
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_worker_has_its_playlists_ended_by_the_scheduler() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let lost = Change::LoseWorker {
        reason: Reason::new(ReasonCode::WorkerLost, "its beat stood still"),
        totals: Totals::default(),
    };
    api.change(&id, lost).await;
    let answer = api.put(&format!("/jobs/{id}/stop")).await;
    assert_eq!(answer.json()["state"], "stopped");
    let stop_by = Message::StopBy {
        job: id.clone(),
        // Of its own: it fences whatever the lost worker still does.
        attempt: 2,
    };
    assert_eq!(api.queue.take(), [(stop_by, Duration::ZERO)]);
}

#[tokio::test]
async fn a_job_is_held_and_goes_on() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    for (wish, desired) in [("pause", "pause"), ("resume", "run")] {
        let answer = api.put(&format!("/jobs/{id}/{wish}")).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(answer.json()["desired"], desired);
        assert_eq!(answer.json()["state"], "running");
        assert_eq!(api.put(&format!("/jobs/{id}/{wish}")).await.status, 200);
    }
    // The worker sees the wish in the record.
    assert!(api.queue.take().is_empty());
}

#[tokio::test]
async fn an_ended_job_comes_back_with_key_and_playback() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    let before = api.record(&id).await;
    let paused = api.put(&format!("/jobs/{id}/pause")).await;
    assert_eq!(paused.status, StatusCode::CONFLICT);
    let answer = api.put(&format!("/jobs/{id}/resume")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["state"], "created");
    assert_eq!(answer.job(), id);
    assert_eq!(api.record(&id).await.stream_key, before.stream_key);
    assert_eq!(api.queue.take(), [(Message::schedule(id), Duration::ZERO)]);
}

#[tokio::test]
async fn a_stream_key_is_rotated() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let path = format!("/jobs/{id}");
    let before = api.get(&path).await.json()["ingest"]["stream_key"].clone();
    let answer = api.put(&format!("{path}/stream-key")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let after = answer.json()["ingest"]["stream_key"].clone();
    assert_ne!(before, after);
    assert_eq!(api.record(&id).await.stream_key.reveal(), after);
}

#[tokio::test]
async fn a_spec_is_replaced_once_its_job_has_ended() {
    let api = Harness::start().await;
    let id = api.job().await;
    let path = format!("/jobs/{id}");
    let body = SAMPLE.replace("\"Framerate\": 25", "\"Framerate\": 30");
    let live = api.call(Method::PATCH, &path, body.clone()).await;
    assert_eq!(live.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("spec_of_live_job", live.json());

    api.put(&format!("{path}/stop")).await;
    let answer = api.call(Method::PATCH, &path, body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let rates = &answer.json()["spec"]["output"]["video_outputs"][0]["framerate"];
    assert_eq!(rates.as_f64(), Some(30.0));
    assert_eq!(api.get(&path).await.json(), answer.json());

    for (body, status) in [("{", 400), ("{}", 422)] {
        assert_eq!(api.call(Method::PATCH, &path, body).await.status, status);
    }
    let large = " ".repeat(64 * 1024 + 1);
    assert_eq!(api.call(Method::PATCH, &path, large).await.status, 413);
}

#[tokio::test]
async fn bodies_of_wishes_are_of_no_account() {
    let api = Harness::start().await;
    let id = api.job().await;
    let body = "\u{0}not { json".repeat(100_000);
    let path = format!("/jobs/{id}/stop");
    assert_eq!(api.call(Method::PUT, &path, body).await.status, 202);
}

#[tokio::test]
async fn of_many_stops_at_once_one_is_the_stop() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let path = format!("/jobs/{id}/stop");
    let answers = futures::future::join_all((0..8).map(|_| api.put(&path))).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(StatusCode::ACCEPTED), count(StatusCode::OK)), (1, 7));
    assert_eq!(kinds(&api.queue.take()), [("stop_by".to_owned(), 10)]);
    let events = api.get(&format!("/jobs/{id}/events")).await;
    assert_eq!(events.text.matches("stop_requested").count(), 1);
}

#[tokio::test]
async fn a_stop_gets_through_however_the_job_changes_meanwhile() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let (stop, rotate) = (format!("/jobs/{id}/stop"), format!("/jobs/{id}/stream-key"));
    let version = api.record(&id).await.version;
    let calls = [&rotate, &rotate, &stop, &rotate, &rotate].map(|path| api.put(path));
    let answers = futures::future::join_all(calls).await;
    assert!(
        answers.iter().all(|answer| answer.status.is_success()),
        "{answers:?}"
    );
    let job = api.record(&id).await;
    assert_eq!(job.state, JobState::Stopping);
    // Nothing was lost: each of the five is in the history.
    assert_eq!(job.version, version + 5);
}

#[tokio::test]
async fn a_job_that_never_holds_still_is_left_for_later() {
    use crate::api::step::StepError;

    let api = Harness::start().await;
    let id = api.job().await;
    let taken: Result<(), _> = api
        .api
        .step(&id, |_| async { Err(StepError::Changed) })
        .await;
    insta::assert_json_snapshot!("keeps_changing", taken.unwrap_err());
}
