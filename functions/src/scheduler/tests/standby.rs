//! `min_idle`: workers that are kept warm.

use domain::job::JobState;
use domain::message::Message;
use domain::protocol::Standbys;
use domain::spec::WorkerSize;
use domain::worker::{Worker, WorkerState};
use futures::future::join_all;
use jiff::Timestamp;

use super::harness::{Launches, World};

impl World {
    /// The standbys on their way register.
    async fn register_standbys(&self) {
        for worker in self.store.workers(&[WorkerState::Booting]).await.unwrap() {
            let registered = self.store.register_worker(&worker, Timestamp::now());
            registered.await.unwrap();
        }
    }

    async fn sweep_all(&self) {
        assert!(self.take(&Message::Sweep).await);
        self.settle().await;
    }
}

fn in_state(workers: &[Worker], state: WorkerState) -> usize {
    workers
        .iter()
        .filter(|worker| worker.state == state)
        .count()
}

#[tokio::test]
async fn the_sweep_launches_what_is_missing_and_no_more() {
    let world = World::with_fleet(None, 2).await;
    for _ in 0..3 {
        world.sweep_all().await;
        let open = world.open_workers().await;
        assert_eq!(
            in_state(&open, WorkerState::Booting),
            2,
            "still on their way"
        );
    }
    world.register_standbys().await;
    world.sweep_all().await;
    let open = world.open_workers().await;
    assert_eq!((open.len(), in_state(&open, WorkerState::Idle)), (2, 2));
    assert!(open.iter().all(|worker| worker.task.is_some()));
    assert_eq!(world.launcher.launched().len(), 2);
    let told = world.store.fleet().await.unwrap().standbys;
    let standbys = Standbys {
        min_idle: 2,
        size: WorkerSize::Small,
    };
    assert_eq!(told, Some(standbys));
}

#[tokio::test]
async fn a_booking_is_made_up_for_at_once() {
    let world = World::with_fleet(None, 2).await;
    world.sweep_all().await;
    world.register_standbys().await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    assert_eq!(world.record(&id).await.state, JobState::Assigned);
    let open = world.open_workers().await;
    let count = |state| in_state(&open, state);
    assert_eq!(count(WorkerState::Booked), 1, "a standby was there");
    assert_eq!(
        (count(WorkerState::Idle), count(WorkerState::Booting)),
        (1, 1)
    );
}

#[tokio::test]
async fn schedulers_at_once_launch_no_more_than_one_would() {
    let world = World::with_fleet(None, 3).await;
    join_all((0..8).map(|_| world.take(&Message::Sweep))).await;
    // Whoever gave way leaves the rest to the next sweep.
    world.sweep_all().await;
    assert_eq!(world.open_workers().await.len(), 3);
    assert_eq!(world.launcher.launched().len(), 3);
}

#[tokio::test]
async fn standbys_keep_to_the_fleets_limit() {
    let world = World::with_fleet(Some(2), 5).await;
    world.sweep_all().await;
    assert_eq!(world.open_workers().await.len(), 2);
    // They are there for any job.
    world.register_standbys().await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    assert_eq!(world.record(&id).await.state, JobState::Assigned);
    assert_eq!(world.open_workers().await.len(), 2);
}

#[tokio::test]
async fn a_standby_that_cant_be_launched_is_tried_again_by_the_next_sweep() {
    let world = World::with_fleet(None, 2).await;
    world.launcher.answers(Launches::NoCapacity);
    world.sweep_all().await;
    assert!(world.open_workers().await.is_empty());
    assert_eq!(world.launcher.launched().len(), 1, "once a sweep is enough");
    world.launcher.answers(Launches::Succeed);
    world.sweep_all().await;
    assert_eq!(world.open_workers().await.len(), 2);
}

/// Without `min_idle` nothing is kept, also where something was before.
#[tokio::test]
async fn standbys_that_are_wanted_no_more_may_leave() {
    let mut world = World::with_fleet(None, 1).await;
    world.sweep_all().await;
    let scheduler = std::sync::Arc::get_mut(&mut world.scheduler).unwrap();
    scheduler.min_idle = 0;
    world.sweep_all().await;
    assert_eq!(world.store.fleet().await.unwrap().standbys, None);
}
