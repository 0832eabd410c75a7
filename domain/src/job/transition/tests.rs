//! The state machine as a table, and what holds over any sequence of changes.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::ids::JobId;
use crate::job::ReasonCode;
use crate::spec::OperatorPolicy;

fn job() -> Job {
    let sample = include_bytes!("../../../../live_job.json");
    let spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
    let id = JobId::parse("019a0000-0000-7000-8000-000000000001").unwrap();
    Job::new(id, spec, Timestamp::UNIX_EPOCH)
}

fn worker() -> WorkerId {
    WorkerId::parse("019a0000-0000-7000-8000-000000000002").unwrap()
}

fn another() -> WorkerId {
    WorkerId::parse("019a0000-0000-7000-8000-000000000003").unwrap()
}

fn reason() -> Reason {
    Reason::new(ReasonCode::WorkerLost, "as a test wants it")
}

fn totals() -> Totals {
    Totals {
        runs: 1,
        ..Totals::default()
    }
}

fn ingest() -> Ingest {
    Ingest {
        protocol: "rtmp".to_owned(),
        url: "rtmp://127.0.0.1:1935/live".to_owned(),
        port: 1935,
    }
}

/// What scheduler and worker do.
fn changes_of_the_house() -> Vec<Change> {
    let (reason, totals) = (reason(), totals());
    vec![
        Change::Book { worker: worker() },
        Change::NotPlaced {
            reason: reason.clone(),
        },
        Change::LoseWorker {
            reason: reason.clone(),
            totals,
        },
        Change::ForceStop { totals },
        Change::Listen {
            ingest: Some(ingest()),
        },
        Change::StartInput,
        Change::LoseInput {
            reason: reason.clone(),
        },
        Change::EndRun {
            reason: reason.clone(),
        },
        Change::Trouble {
            reason: Some(reason.clone()),
        },
        Change::Pause,
        Change::Finish {
            reason: None,
            totals,
            playlists_ended: true,
        },
        Change::Fail {
            reason: reason.clone(),
            totals,
            playlists_ended: false,
        },
        Change::Drain {
            reason: reason.clone(),
        },
        Change::HandOver {
            to: another(),
            reason: reason.clone(),
            totals,
        },
        Change::HandBack { reason, totals },
        Change::EndPlaylists,
    ]
}

/// What clients do.
fn changes_of_clients() -> Vec<Change> {
    vec![
        Change::RequestStop,
        Change::RequestPause,
        Change::RequestResume,
        Change::RequestDelete {
            deletion: Deletion { media: true },
        },
        Change::ReplaceSpec { spec: job().spec },
        Change::RotateKey {
            key: StreamKey::generate(),
        },
    ]
}

fn changes() -> Vec<Change> {
    [changes_of_the_house(), changes_of_clients()].concat()
}

/// A job in each state, come to by the shortest way.
fn job_in(state: JobState) -> Job {
    let book = Change::Book { worker: worker() };
    let listen = Change::Listen {
        ingest: Some(ingest()),
    };
    let finish = Change::Finish {
        reason: None,
        totals: totals(),
        playlists_ended: true,
    };
    let fail = Change::Fail {
        reason: reason(),
        totals: totals(),
        playlists_ended: true,
    };
    let way = match state {
        JobState::Created => vec![],
        JobState::Assigned => vec![book],
        JobState::Running => vec![book, listen],
        JobState::Streaming => vec![book, listen, Change::StartInput],
        JobState::Paused => vec![book, Change::RequestPause, Change::Pause],
        JobState::Stopping => vec![book, listen, Change::RequestStop],
        JobState::Stopped => vec![book, finish],
        JobState::Failed => vec![book, fail],
    };
    let job = way.into_iter().fold(job(), |job, change| {
        job.apply(change, Timestamp::UNIX_EPOCH).unwrap().job
    });
    assert_eq!(job.state, state);
    job
}

fn name(change: &Change) -> String {
    let text = format!("{change:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The whole machine on one page: `·` is a refusal.
#[test]
fn every_state_and_every_change() {
    let mut table = format!("{:14}", "");
    for state in JobState::ALL {
        write!(table, "{:10}", state.as_str()).unwrap();
    }
    for change in changes() {
        write!(table, "\n{:14}", name(&change)).unwrap();
        for state in JobState::ALL {
            let next = job_in(state).apply(change.clone(), Timestamp::UNIX_EPOCH);
            let next = next.map_or("·", |transition| transition.job.state.as_str());
            write!(table, "{next:10}").unwrap();
        }
    }
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(table.join("\n"));
}

/// Each refusal says what can't be done, in words for a client.
#[test]
fn refusals_read_well() {
    let refusals: Vec<String> = changes_of_clients()
        .into_iter()
        .flat_map(|change| JobState::ALL.map(|state| (state, change.clone())))
        .filter_map(|(state, change)| {
            let refused = job_in(state).apply(change, Timestamp::UNIX_EPOCH).err()?;
            Some(refused.to_string())
        })
        .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_reason_explains_its_state_and_no_later_one() {
    let refused = Change::NotPlaced { reason: reason() };
    let waiting = job().apply(refused, Timestamp::UNIX_EPOCH).unwrap().job;
    assert_eq!(waiting.reason, Some(reason()));
    // A change that leaves the state as it is leaves the reason too.
    let held = waiting
        .apply(Change::RequestPause, Timestamp::UNIX_EPOCH)
        .unwrap()
        .job;
    assert_eq!(held.reason, Some(reason()));
    let booked = held
        .apply(Change::Book { worker: worker() }, Timestamp::UNIX_EPOCH)
        .unwrap()
        .job;
    assert_eq!(booked.reason, None);
}

#[test]
fn the_ingest_port_and_the_totals_outlive_a_worker() {
    let lost = Change::LoseWorker {
        reason: reason(),
        totals: totals(),
    };
    let job = job_in(JobState::Streaming)
        .apply(lost, Timestamp::UNIX_EPOCH)
        .unwrap()
        .job;
    assert_eq!(job.ingest, None);
    assert_eq!(job.ingest_port, Some(1935));
    assert_eq!(job.totals.runs, 1);
}

#[test]
fn failures_count_placements_that_served_nobody() {
    let lost = || Change::LoseWorker {
        reason: reason(),
        totals: totals(),
    };
    let apply = |job: Job, change| job.apply(change, Timestamp::UNIX_EPOCH).unwrap().job;
    let job = apply(job_in(JobState::Assigned), lost());
    assert_eq!(job.failures, 1);
    let job = apply(apply(job, Change::Book { worker: worker() }), lost());
    assert_eq!(job.failures, 2);
    let job = [
        Change::Book { worker: worker() },
        Change::Listen { ingest: None },
        Change::StartInput,
        lost(),
    ]
    .into_iter()
    .fold(job, apply);
    assert_eq!(job.failures, 0, "it had served before it was lost");
}

#[test]
fn a_stop_without_the_worker_takes_an_attempt_of_its_own() {
    let stopping = job_in(JobState::Stopping);
    let unserved = [
        Change::ForceStop { totals: totals() },
        Change::LoseWorker {
            reason: reason(),
            totals: totals(),
        },
        Change::HandBack {
            reason: reason(),
            totals: totals(),
        },
    ];
    for change in unserved {
        let stopped = stopping
            .apply(change.clone(), Timestamp::UNIX_EPOCH)
            .unwrap()
            .job;
        assert_eq!(stopped.state, JobState::Stopped, "{change:?}");
        assert_eq!(stopped.attempt, stopping.attempt + 1, "{change:?}");
    }
    let finish = Change::Finish {
        reason: None,
        totals: totals(),
        playlists_ended: true,
    };
    let finished = stopping.apply(finish, Timestamp::UNIX_EPOCH).unwrap().job;
    assert_eq!(finished.attempt, stopping.attempt);
}

/// The bucket in its spec is where its playlists are ended, and its media
/// deleted.
#[test]
fn a_job_that_has_published_stays_in_its_bucket() {
    let apply = |job: &Job, change| job.apply(change, Timestamp::UNIX_EPOCH);
    let replace = |spec: &Spec| Change::ReplaceSpec { spec: spec.clone() };
    let new = job_in(JobState::Created);
    let unplaced = apply(&new, Change::RequestStop).unwrap().job;
    let mut moved = new.spec.clone();
    moved.output.s3_output = Some(crate::spec::S3Output {
        bucket: "another".to_owned(),
    });
    assert_eq!(apply(&unplaced, replace(&moved)).unwrap().job.spec, moved);

    let fail = Change::Fail {
        reason: reason(),
        totals: totals(),
        playlists_ended: true,
    };
    let failed = apply(&job_in(JobState::Running), fail).unwrap().job;
    assert!(apply(&failed, replace(&moved)).is_err());
    let mut other = failed.spec.clone();
    other.input.reconnect_window += 7;
    assert_eq!(apply(&failed, replace(&other)).unwrap().job.spec, other);
}

#[test]
fn a_job_that_is_being_deleted_is_changed_no_more() {
    let apply = |job: &Job, change| job.apply(change, Timestamp::UNIX_EPOCH);
    let delete = Change::RequestDelete {
        deletion: Deletion { media: true },
    };
    let deleted = apply(&job_in(JobState::Stopped), delete).unwrap().job;
    let spec = deleted.spec.clone();
    assert!(apply(&deleted, Change::ReplaceSpec { spec }).is_err());
    let key = StreamKey::generate();
    assert!(apply(&deleted, Change::RotateKey { key }).is_err());
}

#[test]
fn playlists_are_ended_once() {
    let fail = Change::Fail {
        reason: reason(),
        totals: totals(),
        playlists_ended: false,
    };
    let apply = |job: &Job, change| job.apply(change, Timestamp::UNIX_EPOCH);
    let failed = apply(&job_in(JobState::Running), fail).unwrap().job;
    let ended = apply(&failed, Change::EndPlaylists).unwrap().job;
    assert!(apply(&ended, Change::EndPlaylists).is_err());
}

/// One write: nobody else can take it in between.
#[test]
fn a_job_that_is_handed_over_is_the_others_at_once() {
    let streaming = job_in(JobState::Streaming);
    let drain = Change::Drain { reason: reason() };
    let draining = streaming.apply(drain, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(draining.job.state, JobState::Streaming, "it goes on");
    let hand_over = Change::HandOver {
        to: another(),
        reason: reason(),
        totals: totals(),
    };
    let over = draining
        .job
        .apply(hand_over, Timestamp::UNIX_EPOCH)
        .unwrap();
    assert_eq!(over.job.state, JobState::Assigned);
    assert_eq!(over.job.attempt, streaming.attempt + 1);
    assert_eq!(over.job.worker_id, Some(another()));
    assert_eq!(over.event.worker_id, Some(another()));
    assert_eq!(over.job.failures, 0, "nothing has failed");
    assert_eq!(over.job.ingest, None, "nobody listens yet");
    assert_eq!(over.job.ingest_port, streaming.ingest_port);
    assert_eq!(over.job.totals.runs, 1);
}

#[test]
fn the_event_of_a_freed_worker_still_names_it() {
    let lost = Change::LoseWorker {
        reason: reason(),
        totals: totals(),
    };
    let lost = job_in(JobState::Running)
        .apply(lost, Timestamp::UNIX_EPOCH)
        .unwrap();
    assert_eq!(lost.job.worker_id, None);
    assert_eq!(lost.event.worker_id, Some(worker()));
    assert_eq!(lost.event.reason, Some(reason()));
}

proptest! {
    /// What the rest of the house builds upon, over any sequence of changes.
    #[test]
    fn invariants(sequence in proptest::collection::vec(select(changes()), 0..60)) {
        let mut job = job();
        // Whether an attempt may have left playlists open.
        let mut open = false;
        for change in sequence {
            let before = job.clone();
            let Ok(transition) = job.apply(change.clone(), Timestamp::UNIX_EPOCH) else {
                prop_assert_eq!(&job, &before, "a refusal leaves the job as it was");
                continue;
            };
            let after = transition.job;
            prop_assert_eq!(transition.from_version, before.version);
            prop_assert_eq!(after.version, before.version + 1);
            prop_assert_eq!(transition.event.seq, after.version);
            prop_assert_eq!(transition.event.from, Some(before.state));
            prop_assert_eq!(transition.event.to, after.state);
            prop_assert_eq!(transition.event.attempt, after.attempt);
            prop_assert!(after.attempt >= before.attempt);
            prop_assert!(after.attempt <= before.attempt + 1);
            prop_assert_eq!(after.worker_id.is_some(), after.state.is_placed(), "{:?}", change);
            prop_assert!(after.ingest.is_none() || after.state.is_placed());
            if after.state.is_ended() || after.state == JobState::Stopping {
                prop_assert_eq!(after.desired, Desired::Stop);
            } else {
                prop_assert_ne!(after.desired, Desired::Stop);
            }
            // A new worker is always a new attempt: no two share a token.
            if after.worker_id.is_some() && after.worker_id != before.worker_id {
                prop_assert_eq!(after.attempt, before.attempt + 1);
            }
            open = match change {
                Change::Book { .. } => true,
                Change::Finish { playlists_ended: true, .. } | Change::EndPlaylists => false,
                _ => open,
            };
            prop_assert!(after.ending || !open || !after.state.is_ended(), "forgotten");
            prop_assert!(!after.ending || after.state.is_ended());
            if before.deletion.is_some() {
                prop_assert!(after.deletion.is_some(), "a deletion is not taken back");
            }
            job = after;
        }
    }

    /// Whatever scheduler and worker do after a stop, the job never comes
    /// back; and one that they bring to an end stays there.
    #[test]
    fn stop_wins(
        before in proptest::collection::vec(select(changes()), 0..30),
        wish in select(vec![
            Change::RequestStop,
            Change::RequestDelete { deletion: Deletion { media: false } },
        ]),
        after in proptest::collection::vec(
            select([changes_of_the_house(), vec![
                Change::RequestPause,
                Change::RotateKey { key: StreamKey::generate() },
            ]].concat()),
            0..30,
        ),
    ) {
        let step = |job: Job, change: Change| {
            job.apply(change, Timestamp::UNIX_EPOCH).map_or(job, |transition| transition.job)
        };
        let job = before.into_iter().fold(job(), step);
        let mut job = step(job, wish);
        for change in after {
            let was = job.state;
            job = step(job, change);
            prop_assert!(
                matches!(job.state, JobState::Stopping | JobState::Stopped | JobState::Failed),
                "{:?}", job.state
            );
            prop_assert!(!was.is_ended() || job.state == was);
        }
    }

    /// From a stop that its worker does not carry out, one change leads out.
    #[test]
    fn a_stop_can_always_be_forced(
        before in proptest::collection::vec(select(changes()), 0..40),
    ) {
        let job = before.into_iter().fold(job(), |job, change| {
            job.apply(change, Timestamp::UNIX_EPOCH).map_or(job, |transition| transition.job)
        });
        let job = job
            .apply(Change::RequestStop, Timestamp::UNIX_EPOCH)
            .map_or(job, |transition| transition.job);
        let forced = job.apply(Change::ForceStop { totals: totals() }, Timestamp::UNIX_EPOCH);
        let ended = forced.map_or(job, |transition| transition.job);
        prop_assert!(ended.state.is_ended(), "{:?}", ended.state);
    }
}

#[test]
fn trouble_is_told_and_taken_back_without_another_state() {
    let streaming = job_in(JobState::Streaming);
    let tell = |job: &Job, reason| {
        let change = Change::Trouble { reason };
        job.apply(change, Timestamp::UNIX_EPOCH).unwrap().job
    };
    let troubled = tell(&streaming, Some(reason()));
    assert_eq!(
        (troubled.state, troubled.reason.clone()),
        (JobState::Streaming, Some(reason()))
    );
    let well = tell(&troubled, None);
    assert_eq!((well.state, well.reason), (JobState::Streaming, None));
}
