//! The decisions at their boundaries.

use jiff::Timestamp;

use super::*;
use crate::ids::{JobId, WorkerId};
use crate::job::{Change, Deletion, Totals};
use crate::spec::{OperatorPolicy, Spec, WorkerSize};
use crate::worker::Booking;

fn job() -> Job {
    let sample = include_bytes!("../../../live_job.json");
    let spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
    let id = JobId::parse("019a0000-0000-7000-8000-000000000001").unwrap();
    Job::new(id, spec, Timestamp::UNIX_EPOCH)
}

pub(super) fn apply(job: &Job, change: Change) -> Job {
    job.apply(change, Timestamp::UNIX_EPOCH).unwrap().job
}

/// A job on its first worker, which beats.
pub(super) fn served() -> (Job, Worker) {
    let job = job();
    let id = WorkerId::for_attempt(&job.id, 1);
    let job = apply(&job, Change::Book { worker: id.clone() });
    let booking = Booking {
        job: job.id.clone(),
        attempt: 1,
    };
    let booting = Worker::booting(id, WorkerSize::Small, Some(booking), Timestamp::UNIX_EPOCH);
    let worker = Worker {
        state: WorkerState::Booked,
        beat: 7,
        ..booting
    };
    (job, worker)
}

fn booting(worker: &Worker) -> Worker {
    Worker {
        state: WorkerState::Booting,
        beat: 0,
        ..worker.clone()
    }
}

fn closed(worker: &Worker) -> Worker {
    Worker {
        state: WorkerState::Closed,
        ..worker.clone()
    }
}

/// A job in each state, on a worker where it is placed.
fn in_state(state: JobState) -> Job {
    let (job, _) = served();
    let totals = Totals::default();
    let reason = || Reason::new(ReasonCode::WorkerLost, "lost");
    let change = match state {
        JobState::Created => Change::LoseWorker {
            reason: reason(),
            totals,
        },
        JobState::Assigned => return job,
        JobState::Running | JobState::Streaming => {
            let running = apply(&job, Change::Listen { ingest: None });
            if state == JobState::Running {
                return running;
            }
            return apply(&running, Change::StartInput);
        }
        JobState::Paused => Change::Pause,
        JobState::Stopping => Change::RequestStop,
        JobState::Stopped => Change::Finish {
            reason: None,
            totals,
            playlists_ended: true,
        },
        JobState::Failed => Change::Fail {
            reason: reason(),
            totals,
            playlists_ended: true,
        },
    };
    apply(&job, change)
}

fn watch(job: &Job, unmoved: u32) -> Watch {
    Watch {
        job: job.id.clone(),
        attempt: job.attempt,
        watch_seq: 3,
        seen_beat: 7,
        unmoved,
    }
}

const TIMING: Timing = Timing {
    lease: Duration::from_secs(8),
    launch_deadline: Duration::from_secs(180),
    stop_grace: Duration::from_secs(10),
    pace: 1,
};

#[test]
fn all_pauses_pass_at_one_pace() {
    let fast = Timing { pace: 20, ..TIMING };
    for failures in 0..8 {
        let normal = TIMING.placement_backoff(failures);
        assert_eq!(fast.placement_backoff(failures), normal / 20);
        assert_eq!(fast.paced(normal), normal / 20);
        assert_eq!(TIMING.paced(normal), normal);
    }
    assert_eq!(TIMING.pulse_interval(), Duration::from_millis(250));
}

#[test]
fn schedule_places_what_waits_and_drives_launches_only() {
    let (_, worker) = served();
    for state in JobState::ALL {
        let job = in_state(state);
        let (on_booted, on_booting) = match state {
            JobState::Created => (OnSchedule::Place, OnSchedule::Place),
            JobState::Assigned => (OnSchedule::Drop, OnSchedule::DriveLaunch),
            _ => (OnSchedule::Drop, OnSchedule::Drop),
        };
        assert_eq!(on_schedule(Some(&job), Some(&worker), None), on_booted);
        let booting = booting(&worker);
        assert_eq!(on_schedule(Some(&job), Some(&booting), None), on_booting);
    }
    assert_eq!(on_schedule(None, None, None), OnSchedule::Drop);
}

#[test]
fn of_two_chains_of_retries_the_older_ends() {
    let mut job = job();
    job.failures = 3;
    for (after, wanted) in [
        (None, OnSchedule::Place),
        (Some(2), OnSchedule::Drop),
        (Some(3), OnSchedule::Place),
        (Some(4), OnSchedule::Drop),
    ] {
        assert_eq!(on_schedule(Some(&job), None, after), wanted, "{after:?}");
    }
}

#[test]
fn a_held_job_without_a_worker_is_placed_too() {
    let held = apply(&in_state(JobState::Created), Change::RequestPause);
    assert_eq!(on_schedule(Some(&held), None, None), OnSchedule::Place);
}

#[test]
fn dead_after_four_looks_without_movement_and_not_before() {
    let (job, worker) = served();
    let mut look = watch(&job, 0);
    for unmoved in 1..LOOKS_PER_LEASE {
        let seq = look.watch_seq;
        let OnWatch::LookAgain(next) = on_watch(Some(&job), seq, Some(&worker), &look, &TIMING)
        else {
            panic!("given up after {unmoved} looks");
        };
        assert_eq!((next.watch_seq, next.unmoved), (seq + 1, unmoved));
        look = next;
    }
    let dead = on_watch(Some(&job), look.watch_seq, Some(&worker), &look, &TIMING);
    assert!(matches!(dead, OnWatch::Dead(reason) if reason.code == ReasonCode::WorkerLost));
}

#[test]
fn a_beat_that_moved_begins_the_count_anew() {
    let (job, worker) = served();
    // Any other value is a movement: only equality is ever looked at.
    for beat in [0, 6, 8, u64::MAX] {
        let worker = Worker {
            beat,
            ..worker.clone()
        };
        let look = watch(&job, LOOKS_PER_LEASE - 1);
        let wanted = OnWatch::LookAgain(Watch {
            watch_seq: 4,
            seen_beat: beat,
            unmoved: 0,
            ..look.clone()
        });
        assert_eq!(
            on_watch(Some(&job), 3, Some(&worker), &look, &TIMING),
            wanted
        );
    }
}

#[test]
fn a_launch_is_given_up_at_its_deadline_counted_in_looks() {
    let (job, worker) = served();
    let worker = booting(&worker);
    let look = |unmoved| Watch {
        seen_beat: 0,
        ..watch(&job, unmoved)
    };
    // 180 s in looks of 2 s.
    let before = on_watch(Some(&job), 3, Some(&worker), &look(88), &TIMING);
    assert!(matches!(before, OnWatch::LookAgain(next) if next.unmoved == 89));
    let at = on_watch(Some(&job), 3, Some(&worker), &look(89), &TIMING);
    assert!(matches!(at, OnWatch::Dead(reason) if reason.code == ReasonCode::LaunchTimeout));
}

#[test]
fn a_registration_at_the_last_moment_has_a_whole_lease() {
    let (job, worker) = served();
    let registered = Worker { beat: 1, ..worker };
    let look = Watch {
        seen_beat: 0,
        ..watch(&job, 89)
    };
    let next = on_watch(Some(&job), 3, Some(&registered), &look, &TIMING);
    assert!(matches!(next, OnWatch::LookAgain(next) if next.unmoved == 0));
}

#[test]
fn old_links_end_their_chain() {
    let (job, worker) = served();
    let look = watch(&job, 3);
    // A twin was faster; the link is of an earlier chain; the job moved on.
    assert_eq!(
        on_watch(Some(&job), 4, Some(&worker), &look, &TIMING),
        OnWatch::Drop
    );
    assert_eq!(
        on_watch(Some(&job), 2, Some(&worker), &look, &TIMING),
        OnWatch::Drop
    );
    assert_eq!(on_watch(None, 0, None, &look, &TIMING), OnWatch::Drop);
    let mut before = job.clone();
    before.attempt -= 1;
    assert_eq!(
        on_watch(Some(&before), 3, Some(&worker), &look, &TIMING),
        OnWatch::Drop
    );
    for state in JobState::ALL.into_iter().filter(|state| !state.is_placed()) {
        let job = in_state(state);
        let look = watch(&job, 3);
        assert_eq!(
            on_watch(Some(&job), 3, Some(&worker), &look, &TIMING),
            OnWatch::Drop
        );
    }
}

/// The worker that hands it over can't begin a chain: the one there is goes
/// on with the next attempt, from its start.
#[test]
fn a_chain_follows_its_job_to_the_next_worker() {
    let (job, worker) = served();
    let to = WorkerId::for_standby(&job.id, 1);
    let over = apply(
        &job,
        Change::HandOver {
            to: to.clone(),
            reason: Reason::new(ReasonCode::WorkerDrained, "told to leave"),
            totals: Totals::default(),
        },
    );
    let next = Worker {
        id: to,
        beat: 1,
        ..worker
    };
    let look = watch(&job, LOOKS_PER_LEASE - 1);
    let wanted = Watch {
        attempt: 2,
        watch_seq: 4,
        seen_beat: 1,
        unmoved: 0,
        ..look.clone()
    };
    let looked = on_watch(Some(&over), 3, Some(&next), &look, &TIMING);
    assert_eq!(looked, OnWatch::LookAgain(wanted));
    // It is another chain's already.
    let old = on_watch(Some(&over), 4, Some(&next), &look, &TIMING);
    assert_eq!(old, OnWatch::Drop);
}

#[test]
fn a_worker_whose_record_is_closed_or_gone_is_dead_at_once() {
    let (job, worker) = served();
    let look = watch(&job, 0);
    for worker in [None, Some(closed(&worker))] {
        let dead = on_watch(Some(&job), 3, worker.as_ref(), &look, &TIMING);
        assert!(matches!(dead, OnWatch::Dead(reason) if reason.code == ReasonCode::WorkerLost));
    }
}

#[test]
fn a_stop_is_forced_on_its_own_attempt_only() {
    for state in JobState::ALL {
        let job = in_state(state);
        let on_own = match state {
            JobState::Stopping => OnStopBy::Force,
            _ => OnStopBy::Drop,
        };
        assert_eq!(on_stop_by(Some(&job), job.attempt), on_own, "{state:?}");
        assert_eq!(
            on_stop_by(Some(&job), job.attempt + 1),
            OnStopBy::Drop,
            "{state:?}"
        );
    }
    assert_eq!(on_stop_by(None, 1), OnStopBy::Drop);
}

/// Whichever attempt it was sent for: one of them has left them open.
#[test]
fn a_stop_by_ends_the_playlists_that_an_ended_job_has_left_open() {
    let totals = Totals::default();
    let forced = apply(&in_state(JobState::Stopping), Change::ForceStop { totals });
    let failed = apply(
        &in_state(JobState::Streaming),
        Change::Fail {
            reason: Reason::new(ReasonCode::TranscoderFailed, "failed"),
            totals,
            playlists_ended: false,
        },
    );
    for job in [forced, failed] {
        for attempt in 1..=job.attempt {
            let decision = on_stop_by(Some(&job), attempt);
            assert_eq!(decision, OnStopBy::EndPlaylists, "{:?}", job.state);
        }
        let ended = apply(&job, Change::EndPlaylists);
        assert_eq!(on_stop_by(Some(&ended), job.attempt), OnStopBy::Drop);
        let again = apply(&job, Change::RequestResume);
        assert_eq!(on_stop_by(Some(&again), again.attempt), OnStopBy::Drop);
    }
}

#[test]
fn the_sweep_schedules_what_waits_and_restarts_chains_that_stand() {
    for state in JobState::LIVE {
        let job = in_state(state);
        let (moved, stands) = if state == JobState::Created {
            (OnSweepJob::Schedule, OnSweepJob::Schedule)
        } else {
            (OnSweepJob::NoteWatch, OnSweepJob::RestartWatch)
        };
        assert_eq!(on_sweep_job(&job, 5, None), moved);
        assert_eq!(on_sweep_job(&job, 5, Some(4)), moved);
        assert_eq!(on_sweep_job(&job, 5, Some(5)), stands);
    }
}

/// Nobody watches its launch: the sweep has the launch deadline's patience.
#[test]
fn a_standby_may_take_its_time_to_boot() {
    let (_, worker) = served();
    let mut standby = Worker {
        booking: None,
        ..booting(&worker)
    };
    let mut sweeps = 0;
    while on_sweep_worker(&standby, None) == OnSweepWorker::NoteBeat {
        standby.swept_still = standby.still_for_sweeps();
        standby.swept_beat = Some(standby.beat);
        sweeps += 1;
    }
    assert_eq!(sweeps, 3, "three minutes, and closed by the next sweep");
}

#[test]
fn the_sweep_leaves_serving_workers_and_closes_still_ones() {
    let (job, worker) = served();
    let seen = |swept_beat| Worker {
        swept_beat,
        ..worker.clone()
    };
    let mut moved_on = job.clone();
    moved_on.attempt += 1;
    for worker in [seen(None), seen(Some(7))] {
        assert_eq!(on_sweep_worker(&worker, Some(&job)), OnSweepWorker::Leave);
    }
    // Booked for what has moved on, for what is gone, or for nothing.
    let free = |worker: Worker| Worker {
        booking: None,
        ..worker
    };
    for (worker, job) in [
        (seen(None), Some(&moved_on)),
        (seen(Some(6)), None),
        (free(seen(Some(6))), None),
    ] {
        assert_eq!(on_sweep_worker(&worker, job), OnSweepWorker::NoteBeat);
        let still = seen(Some(worker.beat));
        let still = Worker {
            booking: worker.booking,
            ..still
        };
        assert_eq!(on_sweep_worker(&still, job), OnSweepWorker::Close);
    }
}

#[test]
fn a_worker_does_what_its_own_job_wants_and_nothing_for_others() {
    let (job, worker) = served();
    assert_eq!(assignment(Some(&job), &worker), Assignment::Run);
    let held = apply(&job, Change::RequestPause);
    assert_eq!(assignment(Some(&held), &worker), Assignment::Hold);
    let stopped = apply(&job, Change::RequestStop);
    assert_eq!(assignment(Some(&stopped), &worker), Assignment::Stop);

    assert_eq!(assignment(None, &worker), Assignment::Gone);
    let mut replaced = job.clone();
    replaced.attempt += 1;
    assert_eq!(assignment(Some(&replaced), &worker), Assignment::Gone);
    let mut anothers = job.clone();
    anothers.worker_id = Some(WorkerId::generate());
    assert_eq!(assignment(Some(&anothers), &worker), Assignment::Gone);
    let free = Worker {
        booking: None,
        ..worker
    };
    assert_eq!(assignment(Some(&job), &free), Assignment::Gone);
}

/// The earliest death: a beat lands just before a look that counts from it,
/// and three intervals of the four that follow have passed whole.
#[test]
fn a_worker_is_silent_before_anybody_can_have_declared_it_dead() {
    for lease in [1_000, 1_001, 2_500, 8_000, 60_000].map(Duration::from_millis) {
        let timing = Timing { lease, ..TIMING };
        // The look that first saw the last beat came after it was sent; the
        // fourth look without movement is four intervals later.
        let earliest_death = timing.look_interval() * LOOKS_PER_LEASE;
        assert!(timing.fence_after() < earliest_death, "{lease:?}");
        // And some beats may be lost before it comes to that.
        assert!(
            timing.beat_interval() * 5 < timing.fence_after(),
            "{lease:?}"
        );
        assert!(timing.beat_interval() < timing.look_interval(), "{lease:?}");
    }
}

#[test]
fn the_pause_before_a_placement_grows_to_a_bound() {
    let pauses: Vec<u64> = (0..8)
        .map(|failures| TIMING.placement_backoff(failures).as_secs())
        .collect();
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 16, 16]);
    assert_eq!(TIMING.placement_backoff(u32::MAX).as_secs(), 16);
}

#[test]
fn a_task_that_stopped_costs_its_job_the_worker_and_no_other_one() {
    let (job, worker) = served();
    for worker in [&worker, &closed(&worker)] {
        assert_eq!(on_task_stopped(worker, Some(&job)), OnTaskStopped::LoseJob);
    }
    let handed_back = in_state(JobState::Created);
    let again = |close| OnTaskStopped::ScheduleAgain { close };
    assert_eq!(on_task_stopped(&worker, Some(&handed_back)), again(true));
    assert_eq!(
        on_task_stopped(&closed(&worker), Some(&handed_back)),
        again(false)
    );
    let ended = in_state(JobState::Stopped);
    for other in [None, Some(&ended)] {
        assert_eq!(on_task_stopped(&worker, other), OnTaskStopped::Close);
        assert_eq!(
            on_task_stopped(&closed(&worker), other),
            OnTaskStopped::Drop
        );
    }
}

#[test]
fn a_deletion_waits_for_the_end_and_leaves_no_playlist_open() {
    let deleted = |state, media| Job {
        deletion: Some(Deletion { media }),
        ..in_state(state)
    };
    assert_eq!(on_delete(None), OnDelete::Drop);
    assert_eq!(
        on_delete(Some(&in_state(JobState::Stopped))),
        OnDelete::Drop
    );
    for state in JobState::LIVE {
        assert_eq!(on_delete(Some(&deleted(state, true))), OnDelete::Wait);
    }
    let stopped = deleted(JobState::Stopped, false);
    assert_eq!(on_delete(Some(&stopped)), OnDelete::EndPlaylists);
    assert!(playlists_are_to_end(&stopped));
    let never_placed = Job {
        attempt: 0,
        ..stopped
    };
    assert_eq!(on_delete(Some(&never_placed)), OnDelete::Remove);
    let with_media = deleted(JobState::Failed, true);
    assert_eq!(on_delete(Some(&with_media)), OnDelete::RemoveMedia);
    assert!(!playlists_are_to_end(&with_media));
    assert!(!playlists_are_to_end(&in_state(JobState::Stopping)));
}

#[test]
fn a_clients_change_leaves_what_it_asks_for_to_the_scheduler() {
    for state in JobState::ALL {
        let job = in_state(state);
        let stop_by = Message::StopBy {
            job: job.id.clone(),
            attempt: job.attempt,
        };
        let expected = match state {
            JobState::Created => Some((Message::schedule(job.id.clone()), Duration::ZERO)),
            JobState::Stopping => Some((stop_by, TIMING.stop_grace)),
            JobState::Stopped => Some((stop_by, Duration::ZERO)),
            _ => None,
        };
        assert_eq!(follow_up(&job, &TIMING), expected, "{state:?}");
    }
}

#[test]
fn an_idle_worker_serves_what_it_is_booked_for_and_leaves_when_closed() {
    let (_, worker) = served();
    let booking = worker.booking.clone().unwrap();
    assert_eq!(when_idle(Some(&worker)), WhenIdle::Serve(booking));
    assert!(!closes_itself(&worker));
    let idle = Worker {
        state: WorkerState::Idle,
        booking: None,
        ..worker.clone()
    };
    assert_eq!(when_idle(Some(&idle)), WhenIdle::Wait);
    assert!(closes_itself(&idle));
    for gone in [None, Some(&closed(&idle)), Some(&closed(&worker))] {
        assert_eq!(when_idle(gone), WhenIdle::Leave);
        assert!(!gone.is_some_and(closes_itself));
    }
}

#[test]
fn a_wish_to_delete_removes_what_is_over_and_marks_the_rest() {
    let stopped = in_state(JobState::Stopped);
    let media = Deletion { media: true };
    let ask = on_delete_request;
    assert_eq!(ask(&stopped, false, false), OnDeleteRequest::Remove);
    assert_eq!(ask(&stopped, false, true), OnDeleteRequest::Mark(media));
    let ending = Job {
        ending: true,
        ..stopped
    };
    let keep = Deletion { media: false };
    assert_eq!(ask(&ending, false, false), OnDeleteRequest::Mark(keep));
    let live = in_state(JobState::Streaming);
    assert_eq!(ask(&live, false, true), OnDeleteRequest::Refuse);
    assert_eq!(ask(&live, true, false), OnDeleteRequest::Mark(keep));
    let marked = Job {
        deletion: Some(media),
        ..live
    };
    for again in [false, true] {
        assert_eq!(ask(&marked, false, again), OnDeleteRequest::Stands);
    }
}

#[test]
fn a_message_finds_the_chain_where_it_has_left_it() {
    assert_eq!(chain_link(5, None, "a"), 5);
    assert_eq!(chain_link(5, Some("b"), "a"), 5);
    assert_eq!(chain_link(5, Some("a"), "a"), 4);
}
