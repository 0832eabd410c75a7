//! A standby for the job of a worker that was told to leave, and the hand-over.

use aws::store::{CommitError, WorkerChange};
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, JobState, Reason, ReasonCode, Totals};
use domain::message::{Message, Watch};
use domain::worker::{Booking, WorkerState};
use futures::future::join_all;
use jiff::Timestamp;

use super::harness::{Launches, World};
use crate::scheduler::transition;

impl World {
    /// A job whose worker was told to leave, the look at it that is due, and
    /// the standby it would have.
    async fn draining(&self) -> (JobId, WorkerId, Watch, WorkerId) {
        let (id, worker, watch) = self.running().await;
        self.drain(&worker).await;
        let standby = WorkerId::for_standby(&id, 1);
        (id, worker, watch, standby)
    }

    async fn drain(&self, worker: &WorkerId) {
        let drained = self.store.drain_worker(worker, Timestamp::now()).await;
        drained.unwrap();
    }

    /// The worker beats, and is looked at; gives the next look.
    async fn look(&self, worker: &WorkerId, watch: Watch) -> Watch {
        self.beat(worker).await;
        assert!(self.take(&Message::Watch(watch)).await);
        self.sent_watch()
    }

    /// What the worker writes at its end.
    async fn hand_over(&self, id: &JobId, to: &WorkerId) -> Result<(), CommitError> {
        let job = self.record(id).await;
        let change = Change::HandOver {
            to: to.clone(),
            reason: Reason::new(ReasonCode::WorkerDrained, "told to leave"),
            totals: Totals::default(),
        };
        let over = transition(&job, change).unwrap();
        let worker = WorkerChange::HandOver {
            from: job.worker_id.unwrap(),
            to: to.clone(),
            booking: Booking {
                job: id.clone(),
                attempt: over.job.attempt,
            },
        };
        self.store.commit(&over, worker).await
    }

    async fn register_standby(&self, standby: &WorkerId) {
        let record = self.worker(standby).await;
        let registered = self.store.register_worker(&record, Timestamp::now()).await;
        assert_eq!(registered.unwrap().state, WorkerState::Idle);
    }
}

#[tokio::test]
async fn a_look_at_a_draining_worker_launches_one_standby() {
    let world = World::new().await;
    let (id, worker, mut watch, standby) = world.draining().await;
    let before = world.launcher.launched().len();
    for _ in 0..3 {
        watch = world.look(&worker, watch).await;
        assert_eq!(
            world.launcher.launched()[before..],
            *std::slice::from_ref(&standby)
        );
    }
    let record = world.worker(&standby).await;
    assert_eq!((record.state, record.booking), (WorkerState::Booting, None));
    assert_eq!(record.size, world.worker(&worker).await.size);
    world.register_standby(&standby).await;
    world.look(&worker, watch).await;
    assert_eq!(world.open_workers().await.len(), 2);
    let job = world.record(&id).await;
    assert_eq!(
        (job.state, job.attempt),
        (JobState::Running, 1),
        "it goes on"
    );
    assert!(!world.worker(&worker).await.no_standby);
}

/// A look that is delivered twice, at once or later, launches no second one.
#[tokio::test]
async fn looks_at_once_launch_one_standby() {
    let world = World::new().await;
    let (_, _, watch, _) = world.draining().await;
    let look = Message::Watch(watch);
    join_all((0..4).map(|_| world.take(&look))).await;
    assert!(world.take(&look).await);
    assert_eq!(world.open_workers().await.len(), 2);
}

#[tokio::test]
async fn with_another_idle_there_is_no_standby() {
    let world = World::new().await;
    let (_, worker, watch, standby) = world.draining().await;
    world.idle_worker().await;
    world.look(&worker, watch).await;
    assert!(world.store.worker(&standby).await.unwrap().is_none());
}

#[tokio::test]
async fn the_fleets_limit_forbids_a_standby_and_the_worker_is_told() {
    let world = World::with_limit(Some(1)).await;
    let (_, worker, watch, _) = world.draining().await;
    world.look(&worker, watch).await;
    assert_eq!(world.open_workers().await.len(), 1);
    assert!(world.worker(&worker).await.no_standby);
}

#[tokio::test]
async fn without_capacity_the_worker_is_told_and_nothing_is_left() {
    let world = World::new().await;
    let (_, worker, watch, standby) = world.draining().await;
    world.launcher.answers(Launches::NoCapacity);
    world.look(&worker, watch).await;
    assert!(world.worker(&worker).await.no_standby);
    assert_eq!(world.worker(&standby).await.state, WorkerState::Closed);
    assert_eq!(world.open_workers().await.len(), 1);
}

#[tokio::test]
async fn a_launch_that_failed_is_tried_by_the_next_look() {
    let world = World::new().await;
    let (_, worker, watch, standby) = world.draining().await;
    world.launcher.answers(Launches::Fail);
    let watch = world.look(&worker, watch).await;
    assert!(!world.worker(&worker).await.no_standby);
    world.launcher.answers(Launches::Succeed);
    world.look(&worker, watch).await;
    assert!(world.worker(&standby).await.task.is_some());
    assert_eq!(world.open_workers().await.len(), 2);
}

#[tokio::test]
async fn a_job_that_stops_has_no_standby() {
    let world = World::new().await;
    let (id, worker, watch, standby) = world.draining().await;
    world.change(&id, Change::RequestStop).await;
    world.look(&worker, watch).await;
    assert!(world.store.worker(&standby).await.unwrap().is_none());
}

#[tokio::test]
async fn a_hand_over_is_one_write_and_the_chain_of_looks_follows() {
    let world = World::new().await;
    let (id, worker, watch, standby) = world.draining().await;
    let watch = world.look(&worker, watch).await;
    world.register_standby(&standby).await;
    world.hand_over(&id, &standby).await.unwrap();
    let job = world.record(&id).await;
    assert!(job.is_booked_on(&standby, 2));
    assert_eq!(job.state, JobState::Assigned);
    assert_eq!(world.worker(&worker).await.state, WorkerState::Closed);
    let next = world.worker(&standby).await;
    assert_eq!(next.state, WorkerState::Booked);
    assert_eq!(next.booking, Some(world.booking(&id).await));
    assert_eq!(world.open_workers().await.len(), 1);

    // Its process ends: nothing of the job's is left there.
    let gone = Message::TaskStopped {
        worker: worker.clone(),
    };
    assert!(world.take(&gone).await);
    assert!(world.sent().is_empty());
    // The link under way is the first look at the next worker, once only.
    let look = Message::Watch(watch);
    assert!(world.take(&look).await);
    let follows = world.sent_watch();
    assert_eq!((follows.attempt, follows.unmoved), (2, 0));
    assert!(world.take(&look).await);
    assert!(world.sent().is_empty());
    // It never beats: its job is taken from it as from any other.
    world.look_on(follows).await;
    assert_eq!(world.worker(&standby).await.state, WorkerState::Closed);
    assert_eq!(world.record(&id).await.state, JobState::Created);
}

#[tokio::test]
async fn a_worker_that_is_idle_no_more_is_not_handed_a_job() {
    let world = World::new().await;
    let (id, worker, ..) = world.draining().await;
    let idle = world.idle_worker().await;
    let other = world.job().await;
    assert!(world.take(&Message::schedule(other.clone())).await);
    assert_eq!(world.record(&other).await.worker_id, Some(idle.clone()));
    let refused = world.hand_over(&id, &idle).await;
    assert!(
        matches!(refused, Err(CommitError::WorkerChanged)),
        "{refused:?}"
    );
    assert!(world.record(&id).await.is_booked_on(&worker, 1));
    assert_eq!(world.worker(&worker).await.state, WorkerState::Draining);
}

/// A hand-over and another job at once: one of them has the worker.
#[tokio::test]
async fn no_worker_is_booked_twice() {
    let world = World::new().await;
    let (id, ..) = world.draining().await;
    let idle = world.idle_worker().await;
    let other = world.job().await;
    let schedule = Message::schedule(other.clone());
    let (over, _) = tokio::join!(world.hand_over(&id, &idle), world.take(&schedule));
    let mine = world.record(&id).await.worker_id == Some(idle.clone());
    let others = world.record(&other).await.worker_id == Some(idle.clone());
    assert!(mine != others, "{over:?}");
    assert_eq!(mine, over.is_ok());
}
