//! The conditions of every write, against the embedded database.

use std::collections::BTreeMap;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Job, JobState, Reason, ReasonCode, Stats, Totals};
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Booking, Worker, WorkerState};
use futures::future::join_all;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;

use super::*;

/// The records on a database of their own.
struct Records {
    store: Store,
    client: Client,
    _stop: oneshot::Sender<()>,
}

const SIZE: WorkerSize = WorkerSize::Small;

impl Records {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let database = dynoxide::Database::memory().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database,
            async {
                drop(stopped.await);
            },
        ));
        let sdk = crate::environment::sdk_loader()
            .endpoint_url(format!("http://{address}"))
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::from_keys("test", "test", None))
            .retry_config(RetryConfig::disabled())
            .load()
            .await;
        let client = Client::new(&sdk);
        let store = Store::new(client.clone(), TableNames::with_prefix("test"));
        store.create_tables().await.unwrap();
        Self {
            store,
            client,
            _stop: stop,
        }
    }

    async fn job(&self) -> Job {
        let job = job();
        self.store.create_job(&job, None).await.unwrap();
        job
    }

    async fn idle(&self) -> Worker {
        let worker = Worker::booting(WorkerId::generate(), SIZE, None, Timestamp::now());
        self.store
            .commit_worker(launch(&worker, None), Timestamp::now())
            .await
            .unwrap();
        self.store
            .register_worker(&worker, Timestamp::now())
            .await
            .unwrap()
    }

    async fn apply(&self, job: &Job, change: Change, worker: WorkerChange) -> Job {
        let transition = job.apply(change, Timestamp::now()).unwrap();
        self.store.commit(&transition, worker).await.unwrap();
        transition.job
    }

    /// The job on an idle worker.
    async fn booked(&self) -> (Job, Worker, Booking) {
        let (job, worker) = (self.job().await, self.idle().await);
        let booking = booking(&job, 1);
        let job = self
            .apply(&job, book(&worker), takes(&worker, 1, &job))
            .await;
        let worker = self.worker(&worker.id).await;
        (job, worker, booking)
    }

    async fn worker(&self, id: &WorkerId) -> Worker {
        self.store.worker(id).await.unwrap().unwrap()
    }

    async fn idle_ids(&self) -> Vec<WorkerId> {
        self.store
            .idle_workers(SIZE, &WorkerId::generate(), 100)
            .await
            .unwrap()
    }

    /// The fleet's counter.
    async fn live(&self) -> i64 {
        let got = self
            .client
            .get_item()
            .table_name("test-workers")
            .key("worker_id", AttributeValue::S("fleet".to_owned()))
            .send()
            .await
            .unwrap();
        got.item()
            .map_or(0, |item| item["live"].as_n().unwrap().parse().unwrap())
    }
}

fn job() -> Job {
    let sample = include_bytes!("../../../live_job.json");
    let spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
    Job::new(JobId::generate(), spec, Timestamp::now())
}

fn booking(job: &Job, attempt: u64) -> Booking {
    Booking {
        job: job.id.clone(),
        attempt,
    }
}

fn book(worker: &Worker) -> Change {
    Change::Book {
        worker: worker.id.clone(),
    }
}

fn takes(worker: &Worker, attempt: u64, job: &Job) -> WorkerChange {
    WorkerChange::Book {
        worker: worker.id.clone(),
        booking: booking(job, attempt),
    }
}

fn launch(worker: &Worker, max_workers: Option<u64>) -> WorkerChange {
    WorkerChange::Launch {
        worker: Box::new(worker.clone()),
        max_workers,
    }
}

fn close(worker: &Worker, seen_beat: Option<u64>) -> WorkerChange {
    WorkerChange::Close {
        worker: worker.id.clone(),
        seen_beat,
    }
}

fn lost() -> Change {
    Change::LoseWorker {
        reason: Reason::new(ReasonCode::WorkerLost, "lost"),
        totals: Totals::default(),
    }
}

#[tokio::test]
async fn a_transition_is_written_whole_or_not_at_all() {
    let records = Records::new().await;
    let (job, worker) = (records.job().await, records.idle().await);
    let transition = job.apply(book(&worker), Timestamp::now()).unwrap();
    records
        .store
        .commit(&transition, takes(&worker, 1, &job))
        .await
        .unwrap();
    // Again, from the version before; and for a worker that is taken.
    let other = records.idle().await;
    let again = records
        .store
        .commit(&transition, takes(&other, 1, &job))
        .await;
    assert!(matches!(again, Err(CommitError::JobChanged)), "{again:?}");
    assert_eq!(records.worker(&other.id).await, other);

    let late = records.job().await;
    let late_booked = late.apply(book(&worker), Timestamp::now()).unwrap();
    let taken = records
        .store
        .commit(&late_booked, takes(&worker, 1, &late))
        .await;
    assert!(
        matches!(taken, Err(CommitError::WorkerChanged)),
        "{taken:?}"
    );
    let read = records.store.job(&late.id).await.unwrap().unwrap();
    assert_eq!(read.job, late);
    let events = records.store.events(&late.id, 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn events_come_in_the_order_of_the_transitions() {
    let records = Records::new().await;
    let (job, worker, _) = records.booked().await;
    let job = records.apply(&job, lost(), close(&worker, None)).await;
    let job = records
        .apply(&job, Change::RequestStop, WorkerChange::None)
        .await;
    let events = records.store.events(&job.id, 0, 10).await.unwrap();
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert!(events.windows(2).all(|two| two[1].from == Some(two[0].to)));
    assert_eq!(
        records.store.events(&job.id, 2, 1).await.unwrap(),
        events[2..3]
    );
}

#[tokio::test]
async fn an_idempotency_key_gives_one_job() {
    let records = Records::new().await;
    let key = |body: &str| Idempotency {
        key: "key".to_owned(),
        body: body.to_owned(),
    };
    let jobs: Vec<Job> = (0..8).map(|_| job()).collect();
    let one = key("one");
    let created = join_all(
        jobs.iter()
            .map(|job| records.store.create_job(job, Some(&one))),
    )
    .await;
    let new: Vec<_> = created
        .iter()
        .zip(&jobs)
        .filter(|(created, _)| matches!(created, Ok(Created::New)))
        .collect();
    assert_eq!(new.len(), 1);
    let winner = &new[0].1.id;
    let later = records.store.create_job(&job(), Some(&one)).await.unwrap();
    assert_eq!(later, Created::Before(winner.clone()));
    let other_body = records.store.create_job(&job(), Some(&key("two"))).await;
    assert_eq!(other_body.unwrap(), Created::KeyReused);
    let page = records.store.jobs(&JobState::ALL, 100, None).await.unwrap();
    assert_eq!(page.jobs.len(), 1);
}

#[tokio::test]
async fn only_a_launched_worker_registers_and_only_once() {
    let records = Records::new().await;
    let now = Timestamp::now();
    let unknown = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let refused = records.store.register_worker(&unknown, now).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let worker = records.idle().await;
    assert_eq!((worker.state, worker.beat), (WorkerState::Idle, 1));
    // Repeated by the SDK after a lost answer; later it is somebody else's.
    let booting = Worker {
        state: WorkerState::Booting,
        ..worker.clone()
    };
    let repeated = records.store.register_worker(&booting, now).await.unwrap();
    assert_eq!(repeated, worker);
    records
        .store
        .beat(&worker.id, &Expected::Open, None)
        .await
        .unwrap();
    let again = records.store.register_worker(&booting, now).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    // Given up before it came.
    let given_up = Worker::booting(WorkerId::generate(), SIZE, None, now);
    records
        .store
        .commit_worker(launch(&given_up, None), now)
        .await
        .unwrap();
    records
        .store
        .commit_worker(close(&given_up, Some(0)), now)
        .await
        .unwrap();
    let late = records.store.register_worker(&given_up, now).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    let task = records.store.note_task(&given_up.id, "task").await;
    assert!(matches!(task, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_beat_needs_the_booking_it_believes_in() {
    let records = Records::new().await;
    let (job, worker, booking) = records.booked().await;
    let believed = Expected::Booked(booking.clone());
    let stats = Stats {
        fps: 25.0,
        ..Stats::default()
    };
    // Repeated after a lost answer it is as good as another beat.
    for beats in 1..=2 {
        let beaten = records
            .store
            .beat(&worker.id, &believed, Some(&stats))
            .await
            .unwrap();
        assert_eq!(beaten.beat, worker.beat + beats);
        assert_eq!(beaten.stats.as_ref(), Some(&stats));
    }
    let without = records.store.beat(&worker.id, &believed, None).await;
    assert_eq!(without.unwrap().stats, None);
    for wrong in [
        Booking {
            attempt: 2,
            ..booking.clone()
        },
        Booking {
            job: JobId::generate(),
            ..booking
        },
    ] {
        let wrong = Expected::Booked(wrong);
        let beaten = records.store.beat(&worker.id, &wrong, None).await;
        assert!(matches!(beaten, Err(StoreError::Conflict)));
    }
    records.apply(&job, lost(), close(&worker, None)).await;
    for expected in [believed, Expected::Open] {
        let beaten = records.store.beat(&worker.id, &expected, None).await;
        assert!(matches!(beaten, Err(StoreError::Conflict)), "{expected:?}");
    }
    let unknown = WorkerId::generate();
    let beaten = records.store.beat(&unknown, &Expected::Open, None).await;
    assert!(matches!(beaten, Err(StoreError::Conflict)), "{beaten:?}");
    assert_eq!(records.store.worker(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn the_idle_are_listed_and_nobody_else() {
    let records = Records::new().await;
    let worker = records.idle().await;
    assert_eq!(records.idle_ids().await, std::slice::from_ref(&worker.id));
    let (job, booked, booking) = records.booked().await;
    let idle = records.idle_ids().await;
    assert!(!idle.contains(&booked.id) || !idle.contains(&worker.id));
    let large = records
        .store
        .idle_workers(WorkerSize::Large, &WorkerId::generate(), 10)
        .await;
    assert!(large.unwrap().is_empty());

    // Released it is there again, with nothing left of the booking.
    let finish = Change::Finish {
        reason: None,
        totals: Totals::default(),
        playlists_ended: true,
    };
    let release = WorkerChange::Release {
        worker: booked.id.clone(),
        booking,
    };
    records.apply(&job, finish, release).await;
    let freed = records.worker(&booked.id).await;
    assert_eq!((freed.state, freed.booking), (WorkerState::Idle, None));
    assert!(records.idle_ids().await.contains(&booked.id));

    records
        .store
        .drain_worker(&booked.id, Timestamp::now())
        .await
        .unwrap();
    assert!(!records.idle_ids().await.contains(&booked.id));
}

/// Wherever the search begins, it comes round to all.
#[tokio::test]
async fn the_search_for_the_idle_comes_round() {
    let records = Records::new().await;
    for _ in 0..5 {
        records.idle().await;
    }
    for _ in 0..20 {
        let mut ids = records.idle_ids().await;
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }
    let from = WorkerId::generate();
    let few = records.store.idle_workers(SIZE, &from, 3).await.unwrap();
    assert_eq!(few.len(), 3);
}

#[tokio::test]
async fn a_draining_worker_is_not_freed_but_leaves() {
    let records = Records::new().await;
    let (job, worker, booking) = records.booked().await;
    let now = Timestamp::now();
    records.store.drain_worker(&worker.id, now).await.unwrap();
    let finish = Change::Finish {
        reason: None,
        totals: Totals::default(),
        playlists_ended: true,
    };
    let finished = job.apply(finish, now).unwrap();
    let release = WorkerChange::Release {
        worker: worker.id.clone(),
        booking,
    };
    let freed = records.store.commit(&finished, release).await;
    assert!(matches!(freed, Err(CommitError::WorkerChanged)));
    records
        .store
        .commit(&finished, close(&worker, None))
        .await
        .unwrap();
    assert_eq!(records.live().await, 0);
}

#[tokio::test]
async fn a_close_depends_on_the_beat_that_was_seen() {
    let records = Records::new().await;
    let now = Timestamp::now();
    let worker = records.idle().await;
    let stale = records
        .store
        .commit_worker(close(&worker, Some(worker.beat - 1)), now)
        .await;
    assert!(matches!(stale, Err(CommitError::WorkerChanged)));
    // A booking counts as a movement.
    let (_, booked, _) = records.booked().await;
    let seen_idle = records
        .store
        .commit_worker(close(&booked, Some(1)), now)
        .await;
    assert!(matches!(seen_idle, Err(CommitError::WorkerChanged)));
    // Twice gone is once counted.
    for first in [true, false] {
        let closed = records
            .store
            .commit_worker(close(&worker, Some(worker.beat)), now)
            .await;
        assert_eq!(closed.is_ok(), first);
    }
    let nobody = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let closed = records.store.commit_worker(close(&nobody, None), now).await;
    assert!(matches!(closed, Err(CommitError::WorkerChanged)));
}

#[tokio::test]
async fn a_chain_of_looks_does_not_fork() {
    let records = Records::new().await;
    let (job, ..) = records.booked().await;
    let messages: Vec<String> = (0..8).map(|look| format!("message {look}")).collect();
    let advance = |seq, by| records.store.advance_watch(&job.id, 1, seq, by);
    let looks = join_all(messages.iter().map(|by| advance(0, by))).await;
    assert_eq!(looks.iter().filter(|look| look.is_ok()).count(), 1);
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!((stored.watch_seq, stored.job.version), (1, job.version));
    for (attempt, seq) in [(1, 0), (2, 1), (1, 2)] {
        let look = records.store.advance_watch(&job.id, attempt, seq, "late");
        assert!(matches!(look.await, Err(StoreError::Conflict)));
    }
    // The winner may say it again, as its answer may have been lost.
    let winner = stored.watch_by.unwrap();
    advance(0, &winner).await.unwrap();
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!(stored.watch_seq, 1);
    assert_eq!(stored.watch_seq_for(&winner), 0);
    assert_eq!(stored.watch_seq_for("another"), 1);
    // A transition leaves the chain where it is.
    records
        .apply(&job, Change::RequestPause, WorkerChange::None)
        .await;
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!(stored.watch_seq, 1);
    advance(1, "next").await.unwrap();
    let late = advance(0, &winner).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_job_that_is_gone_comes_not_back_by_a_late_write() {
    let records = Records::new().await;
    let job = records.job().await;
    let stopped = records
        .apply(&job, Change::RequestStop, WorkerChange::None)
        .await;
    let stale = records.store.delete_job(&job).await;
    assert!(matches!(stale, Err(CommitError::JobChanged)));
    records.store.delete_job(&stopped).await.unwrap();
    let resumed = stopped
        .apply(Change::RequestResume, Timestamp::now())
        .unwrap();
    let written = records.store.commit(&resumed, WorkerChange::None).await;
    assert!(matches!(written, Err(CommitError::JobChanged)));
    for look in [
        records.store.advance_watch(&job.id, 0, 0, "late").await,
        records.store.note_watch(&job.id, 0).await,
    ] {
        assert!(matches!(look, Err(StoreError::Conflict)));
    }
    assert_eq!(records.store.job(&job.id).await.unwrap(), None);
    assert!(
        records
            .store
            .events(&job.id, 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

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

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let records = Records::new().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(records.job().await.id);
    }
    ids.reverse();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = records
            .store
            .jobs(&JobState::ALL, 3, before.as_ref())
            .await
            .unwrap();
        assert!(page.jobs.len() <= 3);
        listed.extend(page.jobs.into_iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
}
