//! `Schedule`: an idle worker, a new one, or a reason why not.

use std::collections::BTreeSet;

use aws::store::WorkerChange;
use domain::event::EventKind;
use domain::ids::WorkerId;
use domain::job::{Change, JobState, ReasonCode};
use domain::message::Message;
use domain::worker::{Booking, WorkerState};
use futures::future::join_all;
use jiff::Timestamp;

use super::harness::{Launches, World};
use crate::scheduler::transition;

#[tokio::test]
async fn an_idle_worker_is_booked_and_watched() {
    let world = World::new().await;
    let worker = world.idle_worker().await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);

    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Assigned, 1));
    assert_eq!(job.worker_id, Some(worker.clone()));
    let booked = world.worker(&worker).await;
    assert_eq!(booked.state, WorkerState::Booked);
    assert_eq!(booked.booking, Some(world.booking(&id).await));
    assert!(world.launcher.launched().is_empty());
    let watch = world.sent_watch();
    assert_eq!((watch.attempt, watch.watch_seq), (1, 0));
}

#[tokio::test]
async fn repeated_schedules_drive_one_and_the_same_launch() {
    let world = World::new().await;
    let id = world.job().await;
    for _ in 0..3 {
        assert!(world.take(&Message::schedule(id.clone())).await);
    }
    let worker = WorkerId::for_attempt(&id, 1);
    assert_eq!(world.launcher.launched(), vec![worker.clone(); 3]);
    assert_eq!(world.open_workers().await.len(), 1);
    let record = world.worker(&worker).await;
    assert_eq!(record.task, Some(format!("task/{worker}")));
    // Once it has registered there is nothing to drive.
    world.register(&id).await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    assert_eq!(world.launcher.launched().len(), 3);
}

#[tokio::test]
async fn one_job_scheduled_by_many_at_once_has_one_worker() {
    let world = World::new().await;
    for _ in 0..4 {
        world.idle_worker().await;
    }
    let id = world.job().await;
    let message = Message::schedule(id.clone());
    join_all((0..16).map(|_| world.take(&message))).await;
    let booked = world.store.workers(&[WorkerState::Booked]).await.unwrap();
    assert_eq!(booked.len(), 1);
    assert_eq!(world.record(&id).await.attempt, 1);
    assert!(world.launcher.launched().is_empty());
}

#[tokio::test]
async fn many_jobs_at_once_share_the_idle_workers_without_overlap() {
    let world = World::new().await;
    for _ in 0..8 {
        world.idle_worker().await;
    }
    let jobs = join_all((0..8).map(|_| world.job())).await;
    join_all(jobs.iter().map(|id| async {
        assert!(world.take(&Message::schedule(id.clone())).await);
    }))
    .await;
    let mut workers = BTreeSet::new();
    for id in &jobs {
        workers.insert(world.record(id).await.worker_id.unwrap());
    }
    assert_eq!(workers.len(), 8);
}

#[tokio::test]
async fn the_fleets_limit_holds_under_sixteen_schedules_at_once() {
    let world = World::with_limit(Some(3)).await;
    let jobs = join_all((0..16).map(|_| world.job())).await;
    join_all(jobs.iter().map(|id| async {
        assert!(world.take(&Message::schedule(id.clone())).await);
    }))
    .await;
    assert_eq!(world.open_workers().await.len(), 3);
    let mut waiting = 0;
    for id in &jobs {
        let job = world.record(id).await;
        if job.state == JobState::Created {
            waiting += 1;
            assert_eq!(job.reason.unwrap().code, ReasonCode::FleetLimit);
        }
    }
    assert_eq!(waiting, 13);
}

#[tokio::test]
async fn a_job_that_waits_is_tried_often_and_says_so_once() {
    let world = World::with_limit(Some(0)).await;
    let id = world.job().await;
    let mut message = Message::schedule(id.clone());
    let mut pauses = Vec::new();
    for _ in 0..4 {
        assert!(world.take(&message).await);
        let schedules = world.sent_schedules();
        let [(next, pause)] = &schedules[..] else {
            panic!("{schedules:?}");
        };
        pauses.push(*pause);
        message = next.clone();
    }
    assert_eq!(pauses, [1, 2, 2, 2]);
    let events = world.store.events(&id, 0, 100).await.unwrap();
    let waits = events
        .iter()
        .filter(|event| event.kind == EventKind::NotPlaced);
    assert_eq!(waits.count(), 1);
}

#[tokio::test]
async fn a_try_delivered_twice_is_one_chain() {
    let world = World::with_limit(Some(0)).await;
    let id = world.job().await;
    let first = Message::schedule(id.clone());
    // The first one too, whichever of the two writes that the job waits.
    join_all([world.deliver("a", &first), world.deliver("b", &first)]).await;
    assert!(world.deliver("b", &first).await);
    let mut tries = world.sent_schedules();
    for _ in 0..3 {
        let (next, _) = tries.pop().unwrap();
        for _ in 0..2 {
            world.take(&next).await;
        }
        tries = world.sent_schedules();
        assert_eq!(tries.len(), 1);
    }
    // Broken off after its write, it goes on when it comes again.
    let (next, _) = tries.pop().unwrap();
    let seq = world.stored(&id).await.watch_seq;
    let advanced = world.store.advance_watch(&id, 0, seq, "again").await;
    advanced.unwrap();
    assert!(world.deliver("again", &next).await);
    assert_eq!(world.sent_schedules().len(), 1);
}

#[tokio::test]
async fn a_sweeps_schedule_takes_the_chain_over() {
    let world = World::with_limit(Some(0)).await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    let old = world.sent_schedules().remove(0).0;
    assert!(world.take(&Message::Sweep).await);
    let swept = world.sent_schedules().remove(0).0;
    assert!(world.take(&swept).await);
    assert_eq!(world.sent_schedules().len(), 1);
    assert!(world.take(&old).await);
    assert_eq!(world.sent_schedules().len(), 0);
}

#[tokio::test]
async fn a_launch_that_fails_is_a_state_with_a_reason_and_a_pause() {
    for (answer, code) in [
        (Launches::NoCapacity, ReasonCode::NoCapacity),
        (Launches::Fail, ReasonCode::LaunchFailed),
    ] {
        let world = World::with_limit(Some(1)).await;
        world.launcher.answers(answer);
        let id = world.job().await;
        assert!(world.take(&Message::schedule(id.clone())).await);
        let job = world.record(&id).await;
        assert_eq!(job.state, JobState::Created);
        assert_eq!(job.reason.unwrap().code, code);
        assert!(world.open_workers().await.is_empty());
        let schedules = world.sent_schedules();
        assert_eq!(schedules[0].1, 1);

        // The next try is another attempt, on another worker.
        world.launcher.answers(Launches::Succeed);
        assert!(world.take(&schedules[0].0).await);
        let job = world.record(&id).await;
        assert_eq!((job.state, job.attempt), (JobState::Assigned, 2));
        assert_eq!(job.worker_id, Some(WorkerId::for_attempt(&id, 2)));
    }
}

#[tokio::test]
async fn a_stop_that_overtakes_the_booking_wins() {
    let world = World::new().await;
    let worker = world.idle_worker().await;
    let id = world.job().await;
    let read = world.record(&id).await;
    world.change(&id, Change::RequestStop).await;
    // A scheduler that had read the job before.
    let booked = transition(
        &read,
        Change::Book {
            worker: worker.clone(),
        },
    )
    .unwrap();
    let book = WorkerChange::Book {
        worker: worker.clone(),
        booking: Booking {
            job: id.clone(),
            attempt: 1,
        },
    };
    assert!(world.store.commit(&booked, book).await.is_err());
    assert_eq!(world.worker(&worker).await.state, WorkerState::Idle);
    assert!(world.take(&Message::schedule(id.clone())).await);
    assert_eq!(world.record(&id).await.state, JobState::Stopped);
}

/// An idle worker that is about to leave for a beat it was seen at, or that
/// the sweep takes for dead, may be booked in that very moment.
#[tokio::test]
async fn an_idle_worker_booked_in_time_is_not_closed() {
    let world = World::new().await;
    let worker = world.idle_worker().await;
    let seen = world.worker(&worker).await.beat;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    let close = WorkerChange::Close {
        worker: worker.clone(),
        seen_beat: Some(seen),
    };
    assert!(
        world
            .store
            .commit_worker(close, Timestamp::now())
            .await
            .is_err()
    );
    assert_eq!(world.worker(&worker).await.state, WorkerState::Booked);
}
