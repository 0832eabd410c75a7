//! What it takes to place jobs: the real scheduler, many at once, on the
//! embedded database in memory, reached over loopback by the real SDK.
//!
//! That database takes one transaction after the other and its indexes never
//! lag, so the rates are its own; how many calls are made, and how often
//! schedulers meet at a worker, is ours.

mod meter;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use aws::launcher::{LaunchError, WorkerLauncher};
use aws::media::MediaStores;
use aws::store::testing::TestDatabase;
use aws::store::{Store, WorkerChange};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use domain::ids::{JobId, WorkerId};
use domain::job::{Job, JobState};
use domain::protocol::Timing;
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Worker, WorkerState};
use functions::scheduler::Scheduler;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
pub use meter::Calls;
use meter::Meter;
use queue::Queue;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::machine::SAMPLE;

/// Calls at a time where nothing is measured.
const AT_ONCE: usize = 8;
/// DynamoDB's limit of one BatchWriteItem.
const BATCH: usize = 25;

/// Jobs that all want a worker at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Rush {
    /// Idle workers that are registered.
    pub workers: usize,
    /// Jobs to place.
    pub jobs: usize,
    /// Schedulers that place them, each one job after the other.
    pub schedulers: usize,
    /// How many idle workers are to be kept warm.
    pub min_idle: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Placed {
    /// What the schedulers asked of DynamoDB, all together.
    pub calls: Calls,
    /// Messages after the first for each job.
    pub sent_again: u64,
    /// Workers that were launched.
    pub launched: u64,
    /// From the first message to the last.
    pub took: Duration,
}

impl Rush {
    /// Places all the jobs, and makes sure that each was placed once, on a
    /// worker of its own, and is watched.
    ///
    /// # Errors
    /// One was not; or the database is not there.
    pub async fn place(self) -> anyhow::Result<Placed> {
        let spec = Spec::parse(SAMPLE.as_bytes(), &OperatorPolicy::default())
            .ok()
            .context("the sample is not valid")?;
        let database = TestDatabase::start().await?;
        let client = client(&database, None);
        let store = Store::new(client.clone(), database.tables.clone());
        register(&client, &database.tables.workers, &store, &spec, self).await?;
        let jobs = create(&store, &spec, self.jobs).await?;
        let (placed, queue) = self.schedule(&database, &jobs).await?;
        ensure!(queue.watched() == jobs, "not each job is watched once");
        self.check(&store, &jobs, &placed).await?;
        Ok(placed)
    }

    async fn schedule(
        self,
        database: &TestDatabase,
        jobs: &[JobId],
    ) -> anyhow::Result<(Placed, Arc<Queue>)> {
        let media = TempDir::new()?;
        let folder = format!("file://{}", media.path().display());
        let meter = Meter::default();
        let queue = Arc::new(Queue::of(jobs)?);
        let launcher = Arc::new(Launches::default());
        let mut schedulers = JoinSet::new();
        let began = Instant::now();
        for _ in 0..self.schedulers {
            let client = client(database, Some(meter.clone()));
            let scheduler = Scheduler {
                store: Store::new(client, database.tables.clone()),
                queue: queue.clone(),
                launcher: launcher.clone(),
                media: MediaStores::open(&folder, &[])?,
                names: None,
                timing: Timing::default(),
                max_workers: None,
                min_idle: self.min_idle,
                one_size: None,
            };
            let queue = queue.clone();
            schedulers.spawn(async move { queue.serve(&scheduler).await });
        }
        while let Some(served) = schedulers.join_next().await {
            served??;
        }
        let placed = Placed {
            calls: meter.read(),
            sent_again: queue.sent_again(),
            launched: launcher.0.load(Ordering::Relaxed),
            took: began.elapsed(),
        };
        Ok((placed, queue))
    }

    /// The records agree: each job was booked once, on a worker that is booked
    /// for it alone, and nothing else happened to the fleet.
    async fn check(self, store: &Store, jobs: &[JobId], placed: &Placed) -> anyhow::Result<()> {
        let workers = store.workers(&WorkerState::OPEN).await?;
        let launched = usize::try_from(placed.launched)?;
        ensure!(
            workers.len() == self.workers + launched,
            "{} workers",
            workers.len()
        );
        let booked: BTreeMap<WorkerId, _> = workers
            .into_iter()
            .filter_map(|worker| Some((worker.id, worker.booking?)))
            .collect();
        ensure!(booked.len() == jobs.len(), "{} bookings", booked.len());
        let records = futures::stream::iter(jobs).map(|id| store.job(id));
        let records: Vec<_> = records.buffered(AT_ONCE).try_collect().await?;
        let mut taken = BTreeSet::new();
        for record in records {
            let job = record.context("a job has gone")?.job;
            let worker = job.worker_id.clone().context("a job has no worker")?;
            let booking = booked.get(&worker).context("its worker is not booked")?;
            ensure!(booking.job == job.id && booking.attempt == job.attempt);
            ensure!(job.state == JobState::Assigned && job.attempt == 1);
            ensure!(taken.insert(worker), "a worker has two jobs");
        }
        Ok(())
    }
}

/// A client that sends each call once and waits for its answer as long as it
/// takes: what a busy machine makes of the time limits is not the matter here.
fn client(database: &TestDatabase, meter: Option<Meter>) -> Client {
    let config = database.client.config().to_builder();
    let mut config = config.timeout_config(TimeoutConfig::disabled());
    if let Some(meter) = meter {
        config = config.interceptor(meter);
    }
    Client::from_conf(config.build())
}

/// Fills the fleet: one worker registers as they all do, the others' records
/// are copies of its own.
async fn register(
    client: &Client,
    table: &str,
    store: &Store,
    spec: &Spec,
    rush: Rush,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let first = Worker::booting(WorkerId::generate(), spec.worker_size(), None, now);
    let launch = WorkerChange::Launch {
        worker: Box::new(first.clone()),
        max_workers: None,
    };
    store.commit_worker(launch, now).await?;
    store.register_worker(&first, now).await?;
    let id = |id: &WorkerId| AttributeValue::S(id.to_string());
    let read = client.get_item().table_name(table);
    let read = read.key("worker_id", id(&first.id)).send().await?;
    let record = read.item().context("no record of the first worker")?;
    let copies: Vec<WriteRequest> = (1..rush.workers)
        .map(|_| {
            let mut copy = record.clone();
            copy.insert("worker_id".to_owned(), id(&WorkerId::generate()));
            let put = PutRequest::builder().set_item(Some(copy)).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        })
        .collect::<anyhow::Result<_>>()?;
    let batches = futures::stream::iter(copies.chunks(BATCH)).map(|batch| async move {
        let batch = client.batch_write_item().request_items(table, batch.into());
        let left = batch.send().await?.unprocessed_items.unwrap_or_default();
        ensure!(left.is_empty(), "part of a batch was not written");
        Ok(())
    });
    batches.buffer_unordered(AT_ONCE).try_collect().await
}

/// New jobs, as the API makes them, in order.
async fn create(store: &Store, spec: &Spec, jobs: usize) -> anyhow::Result<Vec<JobId>> {
    let created = futures::stream::iter(0..jobs).map(|_| async {
        let job = Job::new(JobId::generate(), spec.clone(), Timestamp::now());
        store.create_job(&job, None).await?;
        anyhow::Ok(job.id)
    });
    let mut ids: Vec<_> = created.buffer_unordered(AT_ONCE).try_collect().await?;
    ids.sort();
    Ok(ids)
}

/// Counts the workers that are launched, and starts none.
#[derive(Debug, Default)]
struct Launches(AtomicU64);

#[async_trait]
impl WorkerLauncher for Launches {
    async fn launch(&self, worker: &WorkerId, _: WorkerSize) -> Result<String, LaunchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(format!("task/{worker}"))
    }

    async fn stop(&self, _: &Worker) -> Result<(), LaunchError> {
        Ok(())
    }
}
