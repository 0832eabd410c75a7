//! What can't be read is set aside, and blocks nothing.

use domain::job::{Change, JobState};
use domain::message::Message;
use domain::worker::WorkerState;

use super::harness::World;

fn body(message: &Message) -> String {
    serde_json::to_string(message).unwrap()
}

#[tokio::test]
async fn a_message_that_cant_be_read_fails_alone() {
    let world = World::new().await;
    let (one, two) = (world.job().await, world.job().await);
    let batch = [
        body(&Message::schedule(one.clone())),
        "not JSON".to_owned(),
        r#"{"type":"of a later version"}"#.to_owned(),
        String::new(),
        body(&Message::schedule(two.clone())),
    ];
    assert_eq!(world.take_bodies(&batch).await, ["1", "2", "3"]);
    for id in [one, two] {
        assert_eq!(world.record(&id).await.state, JobState::Assigned);
    }
}

#[tokio::test]
async fn a_job_that_cant_be_read_fails_alone() {
    let world = World::new().await;
    let (bad, good) = (world.job().await, world.job().await);
    world.spoil("jobs", ("job_id", bad.as_str()), "doc").await;
    let batch = [bad, good.clone()].map(|id| body(&Message::schedule(id)));
    assert_eq!(world.take_bodies(&batch).await, ["0"]);
    assert_eq!(world.record(&good).await.state, JobState::Assigned);
}

#[tokio::test]
async fn the_sweep_passes_over_a_job_that_cant_be_read() {
    let world = World::new().await;
    let (bad, good) = (world.job().await, world.job().await);
    world.spoil("jobs", ("job_id", bad.as_str()), "doc").await;
    assert!(world.take(&Message::Sweep).await);
    world.settle().await;
    assert_eq!(world.record(&good).await.state, JobState::Assigned);
}

/// Its worker, once dead, must not count against the fleet's limit for ever.
#[tokio::test]
async fn the_worker_of_a_job_that_cant_be_read_is_closed_once_it_is_still() {
    let world = World::new().await;
    let (bad, worker, _) = world.running().await;
    world.spoil("jobs", ("job_id", bad.as_str()), "doc").await;
    for _ in 0..2 {
        assert!(world.take(&Message::Sweep).await);
    }
    assert_eq!(world.worker(&worker).await.state, WorkerState::Closed);
    assert!(world.open_workers().await.is_empty());
}

#[tokio::test]
async fn a_job_whose_worker_cant_be_read_goes_on_and_stops() {
    for stop in [false, true] {
        let world = World::new().await;
        let (id, worker, watch) = world.running().await;
        world
            .spoil("workers", ("worker_id", worker.as_str()), "state")
            .await;
        if stop {
            world.change(&id, Change::RequestStop).await;
            let stop_by = Message::StopBy {
                job: id.clone(),
                attempt: 1,
            };
            assert!(world.take(&stop_by).await);
            assert_eq!(world.record(&id).await.state, JobState::Stopped);
        } else {
            assert!(world.take(&Message::Watch(watch)).await);
            world.settle().await;
            assert_eq!(world.record(&id).await.attempt, 2);
        }
        // It does not count against the fleet's limit for ever.
        let state = world.worker(&worker).await.state;
        assert_eq!(state, WorkerState::Closed);
    }
}

/// It keeps no other from being swept, on whichever page it stands.
#[tokio::test]
async fn a_worker_that_cant_be_read_is_passed_over_by_the_sweep() {
    let world = World::new().await;
    let (bad, still) = (world.idle_worker().await, world.idle_worker().await);
    let key = ("worker_id", bad.as_str());
    world.spoil("workers", key, "created_at").await;
    for _ in 0..2 {
        assert!(world.take(&Message::Sweep).await);
    }
    assert_eq!(world.worker(&still).await.state, WorkerState::Closed);
}
