//! `Watch` and `TaskStopped`: the dead are found, the living left alone.

use aws::store::WorkerChange;
use domain::ids::WorkerId;
use domain::job::{Change, JobState, Reason, ReasonCode, Totals};
use domain::message::{Message, Watch};
use domain::protocol::LOOKS_PER_LEASE;
use domain::worker::WorkerState;
use jiff::Timestamp;

use super::harness::World;
use crate::scheduler::transition;

#[tokio::test]
async fn a_worker_that_beats_no_more_loses_its_job_to_another() {
    let world = World::new().await;
    let (id, worker, watch) = world.running().await;
    // The first look sees the beat of the registration.
    let looks = world.look_on_until_lost(watch).await;
    assert_eq!(looks, LOOKS_PER_LEASE + 1);
    assert_eq!(world.launcher.stopped(), std::slice::from_ref(&worker));
    assert_eq!(world.worker(&worker).await.state, WorkerState::Closed);
    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Created, 1));
    assert_eq!(job.reason.unwrap().code, ReasonCode::WorkerLost);

    assert!(world.take(&Message::schedule(id.clone())).await);
    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Assigned, 2));
    assert_eq!(job.worker_id, Some(WorkerId::for_attempt(&id, 2)));
    assert_eq!(job.ingest_port, Some(1935), "encoders need no new URL");
}

#[tokio::test]
async fn a_worker_that_beats_is_left_alone() {
    let world = World::new().await;
    let (id, worker, mut watch) = world.running().await;
    for _ in 0..3 * LOOKS_PER_LEASE {
        world.beat(&worker).await;
        assert!(world.take(&Message::Watch(watch)).await);
        watch = world.sent_watch();
        assert_eq!(watch.unmoved, 0);
    }
    assert_eq!(world.record(&id).await.state, JobState::Running);
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn a_look_delivered_twice_goes_on_once() {
    let world = World::new().await;
    let (_, _, watch) = world.running().await;
    let look = Message::Watch(watch);
    let both = futures::future::join(world.take(&look), world.take(&look)).await;
    assert_eq!(both, (true, true));
    let next = world.sent_watch();
    assert!(world.take(&look).await);
    assert!(world.sent().is_empty(), "an old link says nothing");
    assert!(world.take(&Message::Watch(next)).await);
    world.sent_watch();
}

/// The write took effect, but its answer was lost, or the scheduler died
/// before it had sent the next link: the message comes again.
#[tokio::test]
async fn a_look_that_broke_off_after_its_write_goes_on_when_it_comes_again() {
    let world = World::new().await;
    let (id, _, watch) = world.running().await;
    let advanced = world.store.advance_watch(&id, 1, watch.watch_seq, "look");
    advanced.await.unwrap();
    let look = Message::Watch(watch.clone());
    assert!(world.take(&look).await);
    assert!(
        world.sent().is_empty(),
        "another message with this link is late"
    );

    assert!(world.deliver("look", &look).await);
    let next = world.sent_watch();
    assert_eq!(next.watch_seq, watch.watch_seq + 1);
    // However often it is said, one of them goes on.
    assert!(world.deliver("look", &look).await);
    assert_eq!(world.sent_watch(), next);
    let next = Message::Watch(next);
    let both = futures::future::join(world.take(&next), world.take(&next)).await;
    assert_eq!(both, (true, true));
    world.sent_watch();
    assert!(world.deliver("look", &look).await);
    assert!(world.sent().is_empty(), "an old link says nothing");
}

/// The last moment: the worker is seen still, and beats before that is
/// written.
#[tokio::test]
async fn a_beat_between_look_and_write_keeps_the_job() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    let seen = world.worker(&worker).await;
    let job = world.record(&id).await;
    world.beat(&worker).await;
    let reason = Reason::new(ReasonCode::WorkerLost, "still");
    let written = world.scheduler.replace(&job, &seen, reason).await;
    assert!(written.is_err(), "it is for the next look to say");
    assert_eq!(world.record(&id).await, job);
    assert_eq!(world.worker(&worker).await.state, WorkerState::Booked);
}

#[tokio::test]
async fn a_launch_that_never_registers_is_given_up_at_its_deadline() {
    let world = World::new().await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    let watch = world.sent_watch();
    let last = Watch {
        unmoved: 89,
        ..watch
    };
    assert!(world.take(&Message::Watch(last)).await);
    let job = world.record(&id).await;
    assert_eq!(job.state, JobState::Created);
    assert_eq!(job.reason.unwrap().code, ReasonCode::LaunchTimeout);
    assert_eq!(world.launcher.stopped(), [WorkerId::for_attempt(&id, 1)]);
    assert_eq!(world.sent_schedules()[0].1, 1);
    assert!(world.open_workers().await.is_empty());
}

#[tokio::test]
async fn a_task_that_ended_is_known_at_once() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    let ended = Message::TaskStopped {
        worker: worker.clone(),
    };
    for _ in 0..2 {
        assert!(world.take(&ended).await);
    }
    let job = world.record(&id).await;
    assert_eq!(job.state, JobState::Created);
    assert_eq!(job.reason.unwrap().code, ReasonCode::WorkerExited);
    world.settle().await;
    assert_eq!(world.record(&id).await.attempt, 2);
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn a_task_that_ended_after_its_job_moved_on_harms_nobody() {
    let world = World::new().await;
    let (id, first, _) = world.running().await;
    let ended = Message::TaskStopped { worker: first };
    assert!(world.take(&ended).await);
    world.settle().await;
    let job = world.record(&id).await;
    assert!(world.take(&ended).await);
    assert_eq!(world.record(&id).await, job);
    let unknown = Message::TaskStopped {
        worker: WorkerId::generate(),
    };
    assert!(world.take(&unknown).await);
}

/// A worker has no queue: that it handed its job back is told by its end.
#[tokio::test]
async fn a_job_that_was_handed_back_goes_on_when_the_task_has_ended() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    let hand_back = Change::HandBack {
        reason: Reason::new(ReasonCode::WorkerDrained, "leaving"),
        totals: Totals::default(),
    };
    let handed_back = transition(&world.record(&id).await, hand_back).unwrap();
    let close = WorkerChange::Close {
        worker: worker.clone(),
        seen_beat: None,
    };
    world.store.commit(&handed_back, close).await.unwrap();
    assert!(world.take(&Message::TaskStopped { worker }).await);
    world.settle().await;
    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Assigned, 2));
}

/// However it came to that: a job must not be stuck on a closed worker.
#[tokio::test]
async fn a_job_on_a_closed_worker_goes_on() {
    for by_task in [false, true] {
        let world = World::new().await;
        let (id, worker, watch) = world.running().await;
        let close = WorkerChange::Close {
            worker: worker.clone(),
            seen_beat: None,
        };
        world
            .store
            .commit_worker(close, Timestamp::now())
            .await
            .unwrap();
        let message = match by_task {
            true => Message::TaskStopped { worker },
            false => Message::Watch(watch),
        };
        assert!(world.take(&message).await);
        world.settle().await;
        assert_eq!(world.record(&id).await.attempt, 2);
    }
}

impl World {
    /// Looks until the job is lost, and how often that took.
    async fn look_on_until_lost(&self, watch: Watch) -> u32 {
        let id = watch.job.clone();
        let looks = self.look_on(watch).await;
        assert_eq!(self.record(&id).await.state, JobState::Created);
        looks
    }
}
