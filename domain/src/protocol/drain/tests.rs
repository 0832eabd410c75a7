//! The decisions of a drain at their boundaries.

use jiff::Timestamp;

use super::*;
use crate::job::{Change, JobState, Totals};
use crate::protocol::tests::{apply, served};
use crate::spec::WorkerSize;

/// A job on air, and its worker, which was told to leave.
fn draining() -> (Job, Worker) {
    let (job, worker) = served();
    let worker = Worker {
        state: WorkerState::Draining,
        ..worker
    };
    (job, worker)
}

fn standby(job: &Job, state: WorkerState, beat: u64, task: Option<&str>) -> Worker {
    let id = WorkerId::for_standby(&job.id, job.attempt);
    Worker {
        state,
        beat,
        task: task.map(str::to_owned),
        ..Worker::booting(id, WorkerSize::Small, None, Timestamp::UNIX_EPOCH)
    }
}

fn refused(worker: &Worker) -> Worker {
    Worker {
        no_standby: true,
        ..worker.clone()
    }
}

#[test]
fn a_worker_waits_for_another_but_not_for_ever() {
    let (_, worker) = draining();
    let just_before = DRAIN_PATIENCE - Duration::from_millis(1);
    assert_eq!(on_drain(&worker, Duration::ZERO, None), OnDrain::Wait);
    assert_eq!(on_drain(&worker, just_before, None), OnDrain::Wait);
    let given_up = on_drain(&worker, DRAIN_PATIENCE, None);
    assert!(matches!(given_up, OnDrain::HandBack(reason)
        if reason.code == ReasonCode::WorkerDrained && reason.message.contains("within 75 s")));
}

#[test]
fn a_worker_that_no_standby_can_be_had_for_leaves_at_once() {
    let (_, worker) = draining();
    let left = on_drain(&refused(&worker), Duration::ZERO, None);
    assert!(matches!(left, OnDrain::HandBack(reason) if reason.message.contains("no other")));
}

/// Whatever else is true: that is what it waits for.
#[test]
fn another_that_is_ready_takes_the_job() {
    let (_, worker) = draining();
    let ready = WorkerId::generate();
    for worker in [refused(&worker), worker] {
        for waited in [Duration::ZERO, DRAIN_PATIENCE] {
            let over = on_drain(&worker, waited, Some(ready.clone()));
            assert_eq!(over, OnDrain::HandOver(ready.clone()));
        }
    }
}

/// Leaves 25 s for the last segments, of the 100 s that a drain may take.
#[test]
fn the_patience_is_well_inside_what_ecs_allows() {
    assert!(DRAIN_PATIENCE + Duration::from_secs(25) <= Duration::from_secs(100));
}

#[test]
fn a_standby_is_launched_once_and_until_it_is() {
    use WorkerState as S;
    let (job, worker) = draining();
    let at = |state, beat, task| {
        let standby = standby(&job, state, beat, task);
        on_draining(&worker, &job, false, Some(&standby))
    };
    assert_eq!(on_draining(&worker, &job, false, None), OnDraining::Launch);
    assert_eq!(at(S::Booting, 0, None), OnDraining::LaunchAgain);
    assert_eq!(at(S::Booting, 0, Some("task")), OnDraining::Leave);
    assert_eq!(at(S::Idle, 3, Some("task")), OnDraining::Leave);
    // Another job has it: ours waits for the one that job would have had.
    assert_eq!(at(S::Booked, 3, Some("task")), OnDraining::Leave);
    assert_eq!(at(S::Closed, 0, None), OnDraining::Refuse);
    assert_eq!(at(S::Closed, 9, Some("task")), OnDraining::Refuse);
    let served = Worker {
        booking: worker.booking.clone(),
        ..standby(&job, S::Closed, 9, Some("task"))
    };
    let after = on_draining(&worker, &job, false, Some(&served));
    assert_eq!(after, OnDraining::Leave, "it has served another job");
}

#[test]
fn with_another_idle_none_is_launched() {
    let (job, worker) = draining();
    assert_eq!(on_draining(&worker, &job, true, None), OnDraining::Leave);
}

#[test]
fn only_who_drains_and_serves_has_a_standby() {
    let (job, worker) = draining();
    let with = |worker: &Worker, job: &Job| on_draining(worker, job, false, None);
    for state in [
        WorkerState::Booting,
        WorkerState::Booked,
        WorkerState::Closed,
    ] {
        let worker = Worker {
            state,
            ..worker.clone()
        };
        assert_eq!(with(&worker, &job), OnDraining::Leave, "{state:?}");
    }
    assert_eq!(with(&refused(&worker), &job), OnDraining::Leave);
    let mut next = job.clone();
    next.attempt += 1;
    assert_eq!(with(&worker, &next), OnDraining::Leave, "another's");
    let stopping = apply(&job, Change::RequestStop);
    assert_eq!(stopping.state, JobState::Stopping);
    assert_eq!(with(&worker, &stopping), OnDraining::Leave, "it ends");
    let ended = apply(
        &stopping,
        Change::Finish {
            reason: None,
            totals: Totals::default(),
            playlists_ended: true,
        },
    );
    assert_eq!(with(&worker, &ended), OnDraining::Leave);
}
