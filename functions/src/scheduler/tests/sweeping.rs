//! `Sweep`: whatever was lost is put right within two passes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use aws::store::WorkerChange;
use domain::event::EventKind;
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Deletion, JobState, Reason, ReasonCode, Totals};
use domain::message::Message;
use domain::protocol::LOOKS_PER_LEASE;
use domain::worker::{Booking, Worker, WorkerState};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::harness::World;
use super::stopping::fence;
use crate::scheduler::sweep::PAGE;
use crate::scheduler::transition;

impl World {
    async fn sweep(&self) {
        assert!(self.take(&Message::Sweep).await);
    }
}

#[tokio::test]
async fn a_lost_schedule() {
    let world = World::new().await;
    let id = world.job().await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.record(&id).await.state, JobState::Assigned);
}

#[tokio::test]
async fn a_lost_chain_of_looks() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    world.sweep().await;
    assert!(world.sent().is_empty(), "the chain may still be on its way");
    world.sweep().await;
    let watch = world.sent_watch();
    // It finds the dead as the first one would have.
    assert_eq!(world.look_on(watch).await, LOOKS_PER_LEASE + 1);
    assert_eq!(world.launcher.stopped(), [worker]);
    assert_eq!(world.record(&id).await.state, JobState::Created);
}

#[tokio::test]
async fn a_chain_that_moves_is_left_alone() {
    let world = World::new().await;
    let (_, worker, mut watch) = world.running().await;
    for _ in 0..3 {
        world.beat(&worker).await;
        assert!(world.take(&Message::Watch(watch)).await);
        watch = world.sent_watch();
        world.sweep().await;
        assert!(world.sent().is_empty());
    }
}

/// The queue may bring a sweep twice, faster than a worker beats.
#[tokio::test]
async fn sweeps_in_a_row_close_no_worker_that_beats() {
    let world = World::new().await;
    let worker = world.idle_worker().await;
    world.sweep().await;
    let again = async {
        world.sweep().await;
        world.sweep().await;
    };
    world.while_beating(&worker, again).await;
    assert_eq!(world.worker(&worker).await.state, WorkerState::Idle);
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn a_lost_stop() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    world.sweep().await;
    let grace = world.scheduler.timing.stop_grace;
    let sent = world.sent();
    let [(stop_by @ Message::StopBy { attempt: 1, .. }, delay)] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(*delay, grace);
    assert!(world.take(stop_by).await);
    assert_eq!(world.record(&id).await.state, JobState::Stopped);
}

#[tokio::test]
async fn a_stop_lost_after_the_job_had_ended() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    assert!(world.take(&Message::TaskStopped { worker }).await);
    world.sent();
    // The client's stop is written, what was to follow it is lost.
    let stopped = world.change(&id, Change::RequestStop).await;
    assert_eq!((stopped.state, stopped.attempt), (JobState::Stopped, 2));
    world.sweep().await;
    world.settle().await;
    assert_eq!(fence(&world, &id), Some((2, true)));
    assert!(!world.record(&id).await.ending);
    world.sweep().await;
    assert!(world.sent().is_empty(), "nothing is left to do");
}

#[tokio::test]
async fn playlists_that_a_worker_could_not_end() {
    let totals = Totals::default();
    let finish = Change::Finish {
        reason: None,
        totals,
        playlists_ended: false,
    };
    let fail = Change::Fail {
        reason: Reason::new(ReasonCode::TranscoderFailed, "failed"),
        totals,
        playlists_ended: false,
    };
    for end in [finish, fail] {
        let world = World::new().await;
        let (id, ..) = world.running().await;
        let ended = world.change(&id, end).await;
        assert_eq!(fence(&world, &id), None);
        world.sweep().await;
        world.settle().await;
        assert_eq!(fence(&world, &id), Some((1, true)));
        let job = world.record(&id).await;
        assert_eq!((job.state, job.reason), (ended.state, ended.reason));
        let events = world.store.events(&id, 0, 100).await.unwrap();
        assert_eq!(events.last().unwrap().kind, EventKind::PlaylistsEnded);
    }
}

#[tokio::test]
async fn playlists_of_a_job_that_ended_while_the_store_was_away() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    // Where the job's folder should be there is none, and none can be made.
    let folder = world.media.path().join(id.as_str());
    std::fs::write(&folder, "").unwrap();
    let stop_by = Message::StopBy {
        job: id.clone(),
        attempt: 1,
    };
    assert!(world.take(&stop_by).await);
    assert_eq!(world.record(&id).await.state, JobState::Stopped);
    world.sweep().await;
    world.settle().await;
    assert!(world.record(&id).await.ending, "the store is still away");

    std::fs::remove_file(&folder).unwrap();
    world.sweep().await;
    world.settle().await;
    assert_eq!(fence(&world, &id), Some((2, true)));
    assert!(!world.record(&id).await.ending);
}

/// It was started again before its playlists were ended: they go on.
#[tokio::test]
async fn playlists_of_a_job_that_was_started_again_are_left_alone() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    assert!(world.take(&Message::TaskStopped { worker }).await);
    world.change(&id, Change::RequestStop).await;
    world.change(&id, Change::RequestResume).await;
    world.sent();
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.record(&id).await.state, JobState::Assigned);
    assert_eq!(fence(&world, &id), None);
}

#[tokio::test]
async fn a_crash_between_booking_and_launch() {
    let world = World::new().await;
    let id = world.job().await;
    let worker = WorkerId::for_attempt(&id, 1);
    let job = world.record(&id).await;
    let book = Change::Book {
        worker: worker.clone(),
    };
    let booked = transition(&job, book).unwrap();
    let booking = Booking {
        job: id.clone(),
        attempt: 1,
    };
    let size = job.spec.worker_size();
    let record = Worker::booting(worker.clone(), size, Some(booking), Timestamp::now());
    let launch = WorkerChange::Launch {
        worker: Box::new(record),
        max_workers: None,
    };
    world.store.commit(&booked, launch).await.unwrap();

    world.sweep().await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.launcher.launched(), [worker]);
    assert_eq!(world.record(&id).await.state, JobState::Assigned);
}

#[tokio::test]
async fn an_idle_worker_that_beats_no_more() {
    let world = World::new().await;
    let (dead, alive) = (world.idle_worker().await, world.idle_worker().await);
    for _ in 0..2 {
        world.sweep().await;
        let open = &aws::store::Expected::Open;
        world.store.beat(&alive, open, None).await.unwrap();
    }
    assert_eq!(world.worker(&dead).await.state, WorkerState::Closed);
    assert_eq!(world.worker(&alive).await.state, WorkerState::Idle);
    assert_eq!(world.launcher.stopped(), [dead]);
}

#[tokio::test]
async fn a_booked_worker_whose_job_is_gone() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    let job = world.record(&id).await;
    world.store.delete_job(&job).await.unwrap();
    world.sweep().await;
    assert_eq!(world.open_workers().await.len(), 1);
    world.sweep().await;
    assert_eq!(world.launcher.stopped(), [worker]);
    assert!(world.open_workers().await.is_empty());
}

#[tokio::test]
async fn a_lost_deletion() {
    let world = World::new().await;
    let id = world.job().await;
    let deletion = Deletion { media: true };
    world.change(&id, Change::RequestDelete { deletion }).await;
    world.sweep().await;
    world.settle().await;
    assert_eq!(world.store.job(&id).await.unwrap(), None);
}

/// Each message sees to one page: a function has but a few seconds.
#[tokio::test]
async fn a_sweep_of_many_records_goes_page_by_page() {
    const JOBS: usize = 250;
    let world = World::new().await;
    // A few at the same time: the database serves one after the other.
    let jobs = stream::iter(0..JOBS).map(|_| world.job());
    let jobs: BTreeSet<JobId> = jobs.buffered(8).collect().await;
    for _ in 0..JOBS {
        world.idle_worker().await;
    }
    for _ in 0..2 {
        world.sweep().await;
        let mut scheduled = BTreeSet::new();
        let mut pages = VecDeque::new();
        loop {
            let mut in_page = 0;
            for (message, delay) in world.sent() {
                assert_eq!(delay, Duration::ZERO);
                match message {
                    Message::SweepOn(_) => pages.push_back(message),
                    Message::Schedule { job, .. } => {
                        in_page += 1;
                        assert!(scheduled.insert(job), "once is enough");
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(in_page <= PAGE, "{in_page}");
            let Some(page) = pages.pop_front() else { break };
            assert!(world.take(&page).await);
        }
        assert_eq!(scheduled, jobs);
    }
    assert!(world.open_workers().await.is_empty());
    assert_eq!(world.launcher.stopped().len(), JOBS);
}

/// Seen still by the sweep, and booked before that closes it: none of its
/// business any more.
#[tokio::test]
async fn an_idle_worker_booked_while_it_is_swept_is_left_alone() {
    let world = World::new().await;
    let worker = world.idle_worker().await;
    world.sweep().await;
    let seen = world.worker(&worker).await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    world.scheduler.close_still(&seen).await.unwrap();
    assert!(world.launcher.stopped().is_empty());
    assert_eq!(world.worker(&worker).await.state, WorkerState::Booked);
}

#[tokio::test]
async fn a_sweep_of_a_world_in_order_changes_nothing() {
    let world = World::new().await;
    let (id, worker, watch) = world.running().await;
    let before = world.record(&id).await;
    world.sweep().await;
    world.beat(&worker).await;
    assert!(world.take(&Message::Watch(watch)).await);
    world.sweep().await;
    assert_eq!(world.record(&id).await, before);
    assert!(world.launcher.stopped().is_empty());
    world.sent_watch();
}
