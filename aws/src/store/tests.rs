//! The conditions of every write, against the embedded database.

mod fleet;
mod jobs;
mod workers;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Job, JobState, Reason, ReasonCode, Stats, Totals};
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;

use super::testing::TestDatabase;
use super::*;

/// The records on a database of their own.
struct Records {
    store: Store,
    database: TestDatabase,
}

const SIZE: WorkerSize = WorkerSize::Small;

impl Records {
    async fn new() -> Self {
        let database = TestDatabase::start().await.unwrap();
        Self {
            store: database.store(),
            database,
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
            .database
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
