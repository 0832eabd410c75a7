//! The fleet: list, read, drain.

use aws::store::WorkerChange;
use axum::http::StatusCode;
use domain::ids::WorkerId;
use domain::spec::WorkerSize;
use domain::worker::Worker;
use jiff::Timestamp;

use super::harness::Harness;

/// A standby that has registered.
async fn standby(api: &Harness) -> WorkerId {
    let (id, now) = (WorkerId::generate(), Timestamp::now());
    let worker = Worker::booting(id.clone(), WorkerSize::Medium, None, now);
    let launch = WorkerChange::Launch {
        worker: Box::new(worker.clone()),
        max_workers: None,
    };
    let store = &api.api.store;
    store.commit_worker(launch, now).await.unwrap();
    store.note_task(&id, "task/1").await.unwrap();
    store.register_worker(&worker, now).await.unwrap();
    id
}

async fn listed(api: &Harness, query: &str) -> Vec<String> {
    let answer = api.get(&format!("/workers{query}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let workers = answer.json()["workers"].as_array().unwrap().clone();
    let id = |worker: &serde_json::Value| worker["id"].as_str().unwrap().to_owned();
    workers.iter().map(id).collect()
}

#[tokio::test]
async fn the_fleet_is_listed_and_a_worker_is_shown() {
    let api = Harness::start().await;
    assert!(listed(&api, "").await.is_empty());
    let job = api.job().await;
    let booked = api.running(&job).await.id.to_string();
    let idle = standby(&api).await.to_string();

    let mut both = vec![booked.clone(), idle.clone()];
    both.sort();
    assert_eq!(listed(&api, "").await, both);
    assert_eq!(
        listed(&api, "?state=booked").await,
        std::slice::from_ref(&booked)
    );
    assert_eq!(
        listed(&api, "?state=idle").await,
        std::slice::from_ref(&idle)
    );
    assert!(listed(&api, "?state=closed").await.is_empty());

    let shown = api.get(&format!("/workers/{idle}")).await;
    insta::assert_json_snapshot!("idle_worker", shown.masked());
    let shown = api.get(&format!("/workers/{booked}")).await;
    assert_eq!(shown.json()["job_id"], job.as_str());
    assert_eq!(shown.json()["attempt"], 1);
}

#[tokio::test]
async fn a_worker_is_drained() {
    let api = Harness::start().await;
    let id = standby(&api).await;
    let path = format!("/workers/{id}");
    // Twice is as good as once.
    for _ in 0..2 {
        let answer = api.delete(&path).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(answer.json()["state"], "draining");
    }
    assert_eq!(listed(&api, "").await, [id.to_string()]);
    let none = api
        .api
        .store
        .idle_workers(WorkerSize::Medium, &id, 10)
        .await;
    assert!(none.unwrap().is_empty());

    let close = WorkerChange::Close {
        worker: id.clone(),
        seen_beat: None,
    };
    api.api
        .store
        .commit_worker(close, Timestamp::now())
        .await
        .unwrap();
    let gone = api.delete(&path).await;
    assert_eq!(gone.status, StatusCode::CONFLICT);
    insta::assert_json_snapshot!("closed_worker_not_drained", gone.json());
    assert!(listed(&api, "").await.is_empty());
    assert_eq!(listed(&api, "?state=closed").await, [id.to_string()]);
}

#[tokio::test]
async fn a_booting_worker_is_not_drained_and_an_unknown_one_not_found() {
    let api = Harness::start().await;
    let job = api.job().await;
    let booting = api.assigned(&job).await.id;
    let path = format!("/workers/{booting}");
    assert_eq!(api.delete(&path).await.status, StatusCode::CONFLICT);
    for id in [WorkerId::generate().as_str(), "fleet", "%00", "x"] {
        let path = format!("/workers/{id}");
        assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(api.delete(&path).await.status, StatusCode::NOT_FOUND);
    }
}
