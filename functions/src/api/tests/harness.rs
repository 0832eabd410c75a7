//! A database, a queue that records, and a router that is called directly.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws::queue::{JobQueue, QueueError};
use aws::store::WorkerChange;
use aws::store::testing::TestDatabase;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use domain::ids::{JobId, WorkerId};
use domain::job::{Change, Ingest, InputStats, Job, Stats, Totals};
use domain::message::Message;
use domain::protocol::Timing;
use domain::spec::{OperatorPolicy, WorkerSize};
use domain::worker::{Booking, Worker};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceExt;

use crate::api::{Api, ApiSettings, Playback, router};

/// The sample of a request body.
pub const SAMPLE: &str = include_str!("../../../../live_job.json");

/// A queue that keeps what it was sent, or refuses it.
#[derive(Default)]
pub struct RecordingQueue {
    sent: Mutex<Vec<(Message, Duration)>>,
    refuses: AtomicBool,
}

#[async_trait]
impl JobQueue for RecordingQueue {
    async fn send(&self, message: &Message, delay: Duration) -> Result<(), QueueError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(QueueError("refused".to_owned()));
        }
        self.sent.lock().unwrap().push((message.clone(), delay));
        Ok(())
    }
}

impl RecordingQueue {
    /// What was sent since the last call.
    pub fn take(&self) -> Vec<(Message, Duration)> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    /// From now on it takes nothing.
    pub fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

/// The API on a database of its own.
pub struct Harness {
    pub api: Arc<Api>,
    pub queue: Arc<RecordingQueue>,
    pub database: TestDatabase,
    router: Router,
    document: Value,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The job in it.
    pub fn job(&self) -> JobId {
        JobId::parse(self.json()["id"].as_str().unwrap()).unwrap()
    }

    /// The answer for a snapshot: what differs from run to run is masked.
    pub fn masked(&self) -> Value {
        let mut value = self.json();
        mask(&mut value);
        value
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match name.as_str() {
                    "created_at" | "updated_at" | "at" => *value = "[time]".into(),
                    "last_segment_age_ms" if value.is_u64() => *value = "[age]".into(),
                    _ => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => *text = mask_uuids(text),
        _ => {}
    }
}

/// Every UUID in a text, with hyphens or without.
fn mask_uuids(text: &str) -> String {
    let is_id = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_hexdigit).count();
        digits == 32 && matches!(word.len(), 32 | 36)
    };
    let words = text.split('/');
    let masked = words.map(|word| if is_id(word) { "[uuid]" } else { word });
    masked.collect::<Vec<_>>().join("/")
}

impl Harness {
    pub async fn start() -> Self {
        Self::on(TestDatabase::start().await.unwrap()).await
    }

    /// The API on a database that is not there.
    pub async fn without_database() -> Self {
        Self::on(TestDatabase::away().await.unwrap()).await
    }

    async fn on(database: TestDatabase) -> Self {
        let queue = Arc::new(RecordingQueue::default());
        let api = || Api {
            store: database.store(),
            queue: queue.clone(),
            settings: ApiSettings {
                policy: OperatorPolicy::default(),
                playback: Playback::FromHost,
                timing: Timing::default(),
            },
        };
        let router = router(api());
        let document = call(&router, Method::GET, "/openapi.json", &[], "").await;
        Self {
            api: Arc::new(api()),
            document: document.json(),
            queue,
            database,
            router,
        }
    }

    /// Calls the API, and holds the answer against the document.
    pub async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.call_with(method, path, &[], body).await
    }

    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let answer = call(&self.router, method.clone(), path, headers, body).await;
        self.hold_against_document(&method, path, &answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub async fn put(&self, path: &str) -> Answer {
        self.call(Method::PUT, path, "").await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "").await
    }

    /// The document as it is served.
    pub fn document(&self) -> &Value {
        &self.document
    }

    fn hold_against_document(&self, method: &Method, path: &str, answer: &Answer) {
        if answer.status.is_client_error() || answer.status.is_server_error() {
            let problem = answer.json();
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(problem["status"], answer.status.as_u16());
            for field in ["type", "title", "detail"] {
                assert!(problem[field].is_string(), "{problem}");
            }
        }
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let Some((_, item)) = paths.iter().find(|(route, _)| is_route(route, path)) else {
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            return;
        };
        let Some(operation) = item.get(method.as_str().to_lowercase()) else {
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            return;
        };
        let documented = &operation["responses"][answer.status.as_str()];
        assert!(
            documented.is_object(),
            "not documented: {method} {path}: {answer:?}"
        );
        if !answer.text.is_empty() {
            let content = documented["content"].as_object().unwrap();
            assert!(
                content.contains_key(answer.header("content-type")),
                "{answer:?}"
            );
        }
    }

    /// A new job out of the sample; what it sent is forgotten.
    pub async fn job(&self) -> JobId {
        let answer = self.post("/jobs", SAMPLE).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        self.queue.take();
        answer.job()
    }

    /// The job's record.
    pub async fn record(&self, id: &JobId) -> Job {
        self.api.store.job(id).await.unwrap().unwrap().job
    }

    /// What scheduler and worker do to a job.
    pub async fn change(&self, id: &JobId, change: Change) -> Job {
        self.change_with(id, change, WorkerChange::None).await
    }

    async fn change_with(&self, id: &JobId, change: Change, worker: WorkerChange) -> Job {
        let job = self.record(id).await;
        let transition = job.apply(change, Timestamp::now()).unwrap();
        self.api.store.commit(&transition, worker).await.unwrap();
        transition.job
    }

    /// A worker launched for this job.
    pub async fn assigned(&self, id: &JobId) -> Worker {
        let attempt = self.record(id).await.attempt + 1;
        let worker_id = WorkerId::for_attempt(id, attempt);
        let booking = Booking {
            job: id.clone(),
            attempt,
        };
        let worker = Worker::booting(
            worker_id.clone(),
            WorkerSize::Small,
            Some(booking),
            Timestamp::now(),
        );
        let launch = WorkerChange::Launch {
            worker: Box::new(worker.clone()),
            max_workers: None,
        };
        self.change_with(id, Change::Book { worker: worker_id }, launch)
            .await;
        worker
    }

    /// The same, registered and listening.
    pub async fn running(&self, id: &JobId) -> Worker {
        let worker = self.assigned(id).await;
        let worker = self
            .api
            .store
            .register_worker(&worker, Timestamp::now())
            .await
            .unwrap();
        let ingest = Ingest {
            protocol: "rtmp".to_owned(),
            url: "rtmp://127.0.0.1:1935/live".to_owned(),
            port: 1935,
        };
        let listen = Change::Listen {
            ingest: Some(ingest),
        };
        self.change(id, listen).await;
        worker
    }

    /// Makes a job's record one that can't be read.
    pub async fn spoil(&self, id: &JobId) {
        self.database
            .client
            .update_item()
            .table_name(&self.database.tables.jobs)
            .key("job_id", AttributeValue::S(id.to_string()))
            .update_expression("SET doc = :doc")
            .expression_attribute_values(":doc", AttributeValue::S("{}".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// The same to its worker's.
    pub async fn spoil_worker(&self, id: &WorkerId) {
        self.database
            .client
            .update_item()
            .table_name(&self.database.tables.workers)
            .key("worker_id", AttributeValue::S(id.to_string()))
            .update_expression("SET created_at = :spoilt")
            .expression_attribute_values(":spoilt", AttributeValue::S("{".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// The same to one of its events.
    pub async fn spoil_event(&self, id: &JobId, seq: u64) {
        self.database
            .client
            .update_item()
            .table_name(&self.database.tables.events)
            .key("job_id", AttributeValue::S(id.to_string()))
            .key("seq", AttributeValue::N(seq.to_string()))
            .update_expression("SET doc = :doc")
            .expression_attribute_values(":doc", AttributeValue::S("{}".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// A job that has run and was stopped by its client.
    pub async fn stopped(&self) -> JobId {
        self.stopped_with(true).await
    }

    /// The same; the store did not take its playlists' end.
    pub async fn ending(&self) -> JobId {
        self.stopped_with(false).await
    }

    async fn stopped_with(&self, playlists_ended: bool) -> JobId {
        let id = self.job().await;
        self.running(&id).await;
        self.change(&id, Change::RequestStop).await;
        let finish = Change::Finish {
            reason: None,
            totals: totals(),
            playlists_ended,
        };
        self.change(&id, finish).await;
        id
    }
}

/// What an attempt added up to.
pub fn totals() -> Totals {
    Totals {
        dropped_frames: 2,
        dropped_segments: 1,
        bytes_ingested: 1_000_000,
        up_seconds: 60.5,
        active_seconds: 50.25,
        runs: 3,
    }
}

/// What a worker sends while it streams.
pub fn stats(last_segment_at: Timestamp) -> Stats {
    Stats {
        fps: 25.0,
        speed: 1.0,
        input: Some(InputStats {
            bitrate_kbps: 2_500.0,
            ..InputStats::default()
        }),
        last_segment_at: Some(last_segment_at),
        totals: totals(),
    }
}

/// The messages without their delays, by kind.
pub fn kinds(sent: &[(Message, Duration)]) -> Vec<(String, u64)> {
    let kind = |message: &Message| serde_json::to_value(message).unwrap()["type"].clone();
    sent.iter()
        .map(|(message, delay)| {
            let kind = kind(message).as_str().unwrap().to_owned();
            (kind, delay.as_secs())
        })
        .collect()
}

fn is_route(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route
            .iter()
            .zip(&path)
            .all(|(wanted, part)| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
}

async fn call(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    let defaults = HashMap::from([
        ("host", "ezlive.test:1080"),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    for (name, value) in &defaults {
        if !headers.iter().any(|(given, _)| given == name) {
            request = request.header(*name, *value);
        }
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}
