//! DELETE /jobs/{id}: at once, after the stop, with the media.

use axum::http::StatusCode;
use domain::ids::JobId;
use domain::job::{Change, Deletion, JobState};

use super::harness::{Harness, kinds, totals};

async fn is_listed(api: &Harness, id: &JobId) -> bool {
    api.get("/jobs").await.text.contains(id.as_str())
}

#[tokio::test]
async fn an_ended_job_goes_at_once_with_its_history() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    let path = format!("/jobs/{id}");
    let answer = api.delete(&path).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.text, "");
    assert!(api.queue.take().is_empty());
    for gone in [path.clone(), format!("{path}/events")] {
        assert_eq!(api.get(&gone).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(api.delete(&path).await.status, StatusCode::NOT_FOUND);
    assert!(!is_listed(&api, &id).await);
    assert_eq!(api.api.store.events(&id, 0, 10).await.unwrap(), []);
}

/// Its record tells which playlists are still to be ended: it goes last.
#[tokio::test]
async fn an_ended_job_whose_playlists_have_not_goes_by_the_scheduler() {
    let api = Harness::start().await;
    let id = api.ending().await;
    let answer = api.delete(&format!("/jobs/{id}")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 0)]);
    let job = api.record(&id).await;
    assert!(job.ending && job.is_to_be_deleted());
    assert!(!is_listed(&api, &id).await);
}

#[tokio::test]
async fn a_live_job_must_be_stopped_or_forced() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let answer = api.delete(&format!("/jobs/{id}")).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("live_job_not_deleted", answer.json());
    let answer = api.delete(&format!("/jobs/{id}?media=true")).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(api.queue.take().is_empty());
    assert_eq!(api.record(&id).await.deletion, None);
}

#[tokio::test]
async fn a_forced_deletion_stops_first() {
    let api = Harness::start().await;
    let id = api.job().await;
    api.running(&id).await;
    let path = format!("/jobs/{id}?force=true");
    let answer = api.delete(&path).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["state"], "stopping");
    let both = [("stop_by".to_owned(), 10), ("delete".to_owned(), 1)];
    assert_eq!(kinds(&api.queue.take()), both);

    // Asked again: the deletion is driven again, nothing is written.
    let version = api.record(&id).await.version;
    assert_eq!(api.delete(&path).await.status, StatusCode::ACCEPTED);
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 1)]);
    assert_eq!(api.record(&id).await.version, version);
    assert_eq!(api.put(&format!("/jobs/{id}/resume")).await.status, 409);

    // Asked for its media too: that is added.
    let more = api.delete(&format!("/jobs/{id}?media=true")).await;
    assert_eq!(more.status, StatusCode::ACCEPTED);
    let deletion = Some(Deletion { media: true });
    assert_eq!(api.record(&id).await.deletion, deletion);

    let finish = Change::Finish {
        reason: None,
        totals: totals(),
        playlists_ended: true,
    };
    let job = api.change(&id, finish).await;
    assert!(job.is_to_be_deleted());
    assert!(!is_listed(&api, &id).await);
    api.queue.take();
    // It can't be brought back, nor be removed before its media.
    assert_eq!(api.put(&format!("/jobs/{id}/resume")).await.status, 409);
    assert_eq!(api.delete(&format!("/jobs/{id}")).await.status, 202);
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 0)]);
}

#[tokio::test]
async fn a_forced_deletion_of_a_waiting_job_has_nothing_to_stop() {
    let api = Harness::start().await;
    let id = api.job().await;
    let answer = api.delete(&format!("/jobs/{id}?force=true")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["state"], "stopped");
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 0)]);
}

#[tokio::test]
async fn media_goes_before_its_job() {
    let api = Harness::start().await;
    let id = api.stopped().await;
    let answer = api.delete(&format!("/jobs/{id}?media=true")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 0)]);
    let job = api.record(&id).await;
    assert_eq!(job.state, JobState::Stopped);
    assert!(job.is_to_be_deleted());
    assert!(!is_listed(&api, &id).await);
    let again = api.delete(&format!("/jobs/{id}?media=true")).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(kinds(&api.queue.take()), [("delete".to_owned(), 0)]);
}
