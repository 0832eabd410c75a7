//! The fleet's record under any race.

use std::collections::BTreeMap;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

#[tokio::test]
async fn the_limit_holds_under_launches_at_once() {
    let records = Records::new().await;
    let workers: Vec<Worker> = (0..16)
        .map(|_| Worker::booting(WorkerId::generate(), SIZE, None, Timestamp::now()))
        .collect();
    let launched = join_all(workers.iter().map(|worker| {
        records
            .store
            .commit_worker(launch(worker, Some(5)), Timestamp::now())
    }))
    .await;
    assert_eq!(launched.iter().filter(|launch| launch.is_ok()).count(), 5);
    assert!(
        launched
            .iter()
            .filter_map(|launch| launch.as_ref().err())
            .all(|error| matches!(error, CommitError::FleetFull))
    );
    assert_eq!(records.live().await, 5);
    let none = Worker::booting(WorkerId::generate(), SIZE, None, Timestamp::now());
    let refused = records
        .store
        .commit_worker(launch(&none, Some(0)), Timestamp::now())
        .await;
    assert!(matches!(refused, Err(CommitError::FleetFull)));
}

/// Whatever is tried on a fleet, and refused or not, in any order: the
/// counter is the number of open workers, and never over the limit.
#[tokio::test]
async fn the_fleets_counter_never_drifts() {
    const LIMIT: u64 = 4;
    for seed in 0..6 {
        let records = Records::new().await;
        let mut rng = StdRng::seed_from_u64(seed);
        // As last read: often out of date, as with several schedulers.
        let mut workers: Vec<Worker> = Vec::new();
        let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
        for _ in 0..60 {
            let now = Timestamp::now();
            let known = workers.choose(&mut rng).cloned();
            match (rng.random_range(0..6), known) {
                (0 | 1, _) | (_, None) => {
                    let worker = Worker::booting(WorkerId::generate(), SIZE, None, now);
                    let _ = records
                        .store
                        .commit_worker(launch(&worker, Some(LIMIT)), now)
                        .await;
                    workers.push(worker);
                }
                (2, Some(worker)) => {
                    let _ = records.store.register_worker(&worker, now).await;
                }
                (3, Some(worker)) => {
                    let job = records.job().await;
                    let booked = job.apply(book(&worker), now).unwrap();
                    let takes = takes(&worker, 1, &job);
                    if records.store.commit(&booked, takes).await.is_ok() {
                        jobs.insert(job.id.clone(), booked.job);
                    }
                }
                (4, Some(worker)) => {
                    let beat = rng.random_bool(0.5).then_some(worker.beat);
                    let _ = records.store.commit_worker(close(&worker, beat), now).await;
                }
                (_, Some(_)) => {
                    let Some(job) = jobs.values().next().cloned() else {
                        continue;
                    };
                    let lost = job.apply(lost(), now).unwrap();
                    let worker = WorkerChange::Close {
                        worker: job.worker_id.clone().unwrap(),
                        seen_beat: None,
                    };
                    let _ = records.store.commit(&lost, worker).await;
                    jobs.remove(&job.id);
                }
            }
            let open = records.store.workers(&WorkerState::OPEN).await.unwrap();
            assert_eq!(records.live().await, open.len() as i64, "seed {seed}");
            assert!(open.len() as u64 <= LIMIT, "seed {seed}");
        }
    }
}

/// Two that have counted the same workers: one decides, the other counts again.
#[tokio::test]
async fn of_two_that_have_counted_one_decides() {
    let records = Records::new().await;
    let (one, two) = (records.idle().await, records.idle().await);
    let counted = records.store.fleet().await.unwrap().counted;
    let now = Timestamp::now();
    let leave = |worker: &Worker| {
        let close = close(worker, Some(worker.beat));
        records.store.commit_counted(close, counted, now)
    };
    let left = [leave(&one).await, leave(&two).await];
    assert!(
        matches!(left, [Ok(()), Err(CommitError::FleetFull)]),
        "{left:?}"
    );
    assert_eq!(records.worker(&two.id).await.state, WorkerState::Idle);
    let counted = records.store.fleet().await.unwrap().counted;
    let standby = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let comes = |counted| {
        let launch = launch(&standby, Some(2));
        records.store.commit_counted(launch, counted, now)
    };
    assert!(matches!(
        comes(counted - 1).await,
        Err(CommitError::FleetFull)
    ));
    comes(counted).await.unwrap();
    assert_eq!(records.live().await, 2);
    // What was decided otherwise does not count.
    let read = records.store.fleet().await.unwrap().counted;
    records.booked().await;
    assert_eq!(records.store.fleet().await.unwrap().counted, read);
}
