//! The scheduler on a database of its own, with a queue that records and a
//! launcher that does as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws::launcher::{LaunchError, WorkerLauncher};
use aws::media::MediaStores;
use aws::queue::{JobQueue, QueueError};
use aws::store::testing::TestDatabase;
use aws::store::{Expected, Store, StoredJob, WorkerChange};
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Ingest, Job};
use domain::message::{Message, Watch};
use domain::protocol::Timing;
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::scheduler::Scheduler;

/// A queue that keeps what it was sent.
#[derive(Default)]
pub struct RecordingQueue(Mutex<Vec<(Message, Duration)>>);

#[async_trait]
impl JobQueue for RecordingQueue {
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError> {
        self.0.lock().unwrap().push((message.clone(), delay));
        Ok(())
    }
}

/// What the launcher answers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Launches {
    #[default]
    Succeed,
    NoCapacity,
    Fail,
}

/// A launcher that records, and starts nothing.
#[derive(Default)]
pub struct ScriptedLauncher {
    pub answer: Mutex<Launches>,
    launched: Mutex<Vec<WorkerId>>,
    stopped: Mutex<Vec<WorkerId>>,
}

impl ScriptedLauncher {
    pub fn answers(&self, answer: Launches) {
        *self.answer.lock().unwrap() = answer;
    }

    /// The workers launched, in order, repeated launches too.
    pub fn launched(&self) -> Vec<WorkerId> {
        self.launched.lock().unwrap().clone()
    }

    pub fn stopped(&self) -> Vec<WorkerId> {
        self.stopped.lock().unwrap().clone()
    }
}

#[async_trait]
impl WorkerLauncher for ScriptedLauncher {
    async fn launch(&self, worker: &WorkerId, _: WorkerSize) -> Result<String, LaunchError> {
        self.launched.lock().unwrap().push(worker.clone());
        match *self.answer.lock().unwrap() {
            Launches::Succeed => Ok(format!("task/{worker}")),
            Launches::NoCapacity => Err(LaunchError::NoCapacity("full".to_owned())),
            Launches::Fail => Err(LaunchError::Failed("refused".to_owned())),
        }
    }

    async fn stop(&self, worker: &Worker) -> Result<(), LaunchError> {
        self.stopped.lock().unwrap().push(worker.id.clone());
        Ok(())
    }
}

/// A tenth of what it is by default: sweeps wait for a beat.
const LEASE: Duration = Duration::from_millis(800);
const LAUNCH_DEADLINE: Duration = Duration::from_secs(18);

/// The scheduler and its world.
pub struct World {
    pub scheduler: Arc<Scheduler>,
    pub store: Store,
    pub queue: Arc<RecordingQueue>,
    pub launcher: Arc<ScriptedLauncher>,
    pub media: TempDir,
    database: TestDatabase,
}

impl World {
    pub async fn new() -> Self {
        Self::with_limit(None).await
    }

    pub async fn with_limit(max_workers: Option<u64>) -> Self {
        Self::with_fleet(max_workers, 0).await
    }

    pub async fn with_fleet(max_workers: Option<u64>, min_idle: u64) -> Self {
        let database = TestDatabase::start().await.unwrap();
        let store = database.store();
        let media = TempDir::new().unwrap();
        let queue = Arc::new(RecordingQueue::default());
        let launcher = Arc::new(ScriptedLauncher::default());
        let folder = format!("file://{}", media.path().display());
        let scheduler = Scheduler {
            store: store.clone(),
            queue: queue.clone(),
            launcher: launcher.clone(),
            media: MediaStores::open(&folder, &[]).unwrap(),
            names: None,
            timing: Timing {
                lease: LEASE,
                launch_deadline: LAUNCH_DEADLINE,
                ..Timing::default()
            },
            max_workers,
            min_idle,
            one_size: None,
        };
        Self {
            scheduler: Arc::new(scheduler),
            store,
            queue,
            launcher,
            media,
            database,
        }
    }

    /// Hands the scheduler one message, sent just now; whether it was carried
    /// out.
    pub async fn take(&self, message: &Message) -> bool {
        self.deliver(&uuid::Uuid::new_v4().to_string(), message)
            .await
    }

    /// Hands over a message under its id: with the same one, a delivery of
    /// the same message again.
    pub async fn deliver(&self, id: &str, message: &Message) -> bool {
        let body = serde_json::to_string(message).unwrap();
        self.take_batch([(id.to_owned(), body)]).await.is_empty()
    }

    /// Hands it a batch; the places of those that failed.
    pub async fn take_bodies(&self, bodies: &[String]) -> Vec<String> {
        let places = (0..).map(|place: usize| place.to_string());
        self.take_batch(places.zip(bodies.iter().cloned())).await
    }

    /// Hands it a batch, each with its id; the ids of those that failed.
    async fn take_batch(&self, batch: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        let records = batch.into_iter().map(|(id, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(id);
            message.body = Some(body);
            message
        });
        let mut event = SqsEvent::default();
        event.records = records.collect();
        let response = self.scheduler.handle(event, Duration::from_secs(30)).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier).collect()
    }

    /// What was sent since the last call.
    pub fn sent(&self) -> Vec<(Message, Duration)> {
        std::mem::take(&mut self.queue.0.lock().unwrap())
    }

    /// The one look among what was sent since the last call.
    pub fn sent_watch(&self) -> Watch {
        let watches: Vec<Watch> = self
            .sent()
            .into_iter()
            .filter_map(|(message, _)| match message {
                Message::Watch(watch) => Some(watch),
                _ => None,
            })
            .collect();
        let [watch] = &watches[..] else {
            panic!("not one look: {watches:?}");
        };
        watch.clone()
    }

    /// The same for `Schedule`, with its delay in seconds.
    pub fn sent_schedules(&self) -> Vec<(Message, u64)> {
        self.sent()
            .into_iter()
            .filter(|(message, _)| matches!(message, Message::Schedule { .. }))
            .map(|(message, delay)| (message, delay.as_secs()))
            .collect()
    }

    /// Carries out everything that was sent, and what comes of that, until
    /// only looks are left; delays pass in no time.
    pub async fn settle(&self) {
        loop {
            let sent = self.sent();
            let due: Vec<_> = sent
                .into_iter()
                .filter(|(message, _)| !matches!(message, Message::Watch(_)))
                .collect();
            if due.is_empty() {
                return;
            }
            for (message, _) in due {
                assert!(self.take(&message).await, "{message:?}");
            }
        }
    }

    /// A new job out of the sample.
    pub async fn job(&self) -> JobId {
        let sample = include_bytes!("../../../../live_job.json");
        let spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
        let job = Job::new(JobId::generate(), spec, Timestamp::now());
        self.store.create_job(&job, None).await.unwrap();
        job.id
    }

    pub async fn stored(&self, id: &JobId) -> StoredJob {
        self.store.job(id).await.unwrap().unwrap()
    }

    pub async fn record(&self, id: &JobId) -> Job {
        self.stored(id).await.job
    }

    pub async fn worker(&self, id: &WorkerId) -> Worker {
        self.store.worker(id).await.unwrap().unwrap()
    }

    /// The workers that count against the limit.
    pub async fn open_workers(&self) -> Vec<Worker> {
        self.store.workers(&WorkerState::OPEN).await.unwrap()
    }

    /// What a client or a worker does to a job.
    pub async fn change(&self, id: &JobId, change: Change) -> Job {
        let job = self.record(id).await;
        let transition = job.apply(change, Timestamp::now()).unwrap();
        self.store
            .commit(&transition, WorkerChange::None)
            .await
            .unwrap();
        transition.job
    }

    /// A worker that is registered and free.
    pub async fn idle_worker(&self) -> WorkerId {
        let now = Timestamp::now();
        let sample = include_bytes!("../../../../live_job.json");
        let size = Spec::parse(sample, &OperatorPolicy::default())
            .unwrap()
            .worker_size();
        let worker = Worker::booting(WorkerId::generate(), size, None, now);
        let launch = WorkerChange::Launch {
            worker: Box::new(worker.clone()),
            max_workers: None,
        };
        self.store.commit_worker(launch, now).await.unwrap();
        self.store.register_worker(&worker, now).await.unwrap();
        worker.id
    }

    /// A job that was placed on a new worker, which has registered; its first
    /// look is returned.
    pub async fn assigned(&self) -> (JobId, WorkerId, Watch) {
        let id = self.job().await;
        assert!(self.take(&Message::schedule(id.clone())).await);
        let watch = self.sent_watch();
        let worker = self.register(&id).await;
        (id, worker, watch)
    }

    /// The same, listening.
    pub async fn running(&self) -> (JobId, WorkerId, Watch) {
        let assigned = self.assigned().await;
        let ingest = Ingest {
            protocol: "rtmp".to_owned(),
            url: "rtmp://127.0.0.1:1935/live".to_owned(),
            port: 1935,
        };
        let listen = Change::Listen {
            ingest: Some(ingest),
        };
        self.change(&assigned.0, listen).await;
        assigned
    }

    /// The worker a job is booked on registers.
    pub async fn register(&self, id: &JobId) -> WorkerId {
        let worker = self.record(id).await.worker_id.unwrap();
        let record = self.worker(&worker).await;
        self.store
            .register_worker(&record, Timestamp::now())
            .await
            .unwrap();
        worker
    }

    pub async fn beat(&self, worker: &WorkerId) {
        let booking = self.worker(worker).await.booking;
        let expected = booking.map_or(Expected::Open, Expected::Booked);
        self.store.beat(worker, &expected, None).await.unwrap();
    }

    /// Does something while this worker beats as it should.
    pub async fn while_beating<T>(&self, worker: &WorkerId, done: impl Future<Output = T>) -> T {
        let beats = async {
            let mut every = tokio::time::interval(self.scheduler.timing.beat_interval());
            loop {
                every.tick().await;
                self.beat(worker).await;
            }
        };
        tokio::select! {
            done = done => done,
            () = beats => unreachable!(),
        }
    }

    /// Takes the looks of a chain, one after the other, until one sends none.
    pub async fn look_on(&self, mut watch: Watch) -> u32 {
        for looks in 1.. {
            assert!(self.take(&Message::Watch(watch)).await);
            let next = self
                .sent()
                .into_iter()
                .find_map(|(message, _)| match message {
                    Message::Watch(next) => Some(next),
                    _ => None,
                });
            match next {
                Some(next) => watch = next,
                None => return looks,
            }
        }
        unreachable!()
    }

    /// The booking of a job's worker.
    pub async fn booking(&self, id: &JobId) -> Booking {
        Booking {
            job: id.clone(),
            attempt: self.record(id).await.attempt,
        }
    }

    /// Makes a record one that can't be read.
    pub async fn spoil(&self, table: &str, key: (&str, &str), attribute: &str) {
        self.database
            .client
            .update_item()
            .table_name(format!("test-{table}"))
            .key(key.0, AttributeValue::S(key.1.to_owned()))
            .update_expression("SET #a = :spoilt")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":spoilt", AttributeValue::S("{".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// The text of a published object; `None` where it is not there.
    pub fn published(&self, job: &JobId, name: &str) -> Option<String> {
        std::fs::read_to_string(self.media.path().join(job.as_str()).join(name)).ok()
    }

    /// Puts an object of a job there.
    pub fn publish(&self, job: &JobId, name: &str, body: &str) {
        let folder = self.media.path().join(job.as_str());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), body).unwrap();
    }
}
