//! The scheduler as a Lambda function behind the SQS queue.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws::environment::{
    EnvironmentError, function_config, names, optional, parsed, required, timing,
};
use aws::launcher::{EcsLauncher, EcsSettings};
use aws::media::MediaStores;
use aws::names::{IngestNames, IngestZone};
use aws::queue::SqsQueue;
use aws::store::{Store, TableNames};
use aws::telemetry::{self, LogFormat};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use domain::protocol::Timing;
use domain::spec::WorkerSize;
use functions::scheduler::Scheduler;
use lambda_runtime::{Error, LambdaEvent, service_fn};

/// What the function is told by its environment.
struct Config {
    tables: TableNames,
    queue_url: String,
    store_url: String,
    buckets: Vec<String>,
    zone: Option<IngestZone>,
    timing: Timing,
    max_workers: Option<u64>,
    min_idle: u64,
    one_size: Option<WorkerSize>,
    ecs: EcsSettings,
}

impl Config {
    fn from_environment() -> Result<Self, EnvironmentError> {
        let max_workers = parsed("EZLIVE_MAX_WORKERS", 0)?;
        Ok(Self {
            tables: TableNames::with_prefix(&required("EZLIVE_TABLE_PREFIX")?),
            queue_url: required("EZLIVE_QUEUE_URL")?,
            store_url: required("EZLIVE_STORE")?,
            buckets: names("EZLIVE_BUCKETS"),
            zone: IngestZone::from_environment()?,
            timing: timing()?,
            max_workers: (max_workers > 0).then_some(max_workers),
            min_idle: parsed("EZLIVE_MIN_IDLE", 0)?,
            one_size: one_size()?,
            ecs: EcsSettings {
                cluster: required("EZLIVE_ECS_CLUSTER")?,
                task_definition: required("EZLIVE_TASK_DEFINITION")?,
                container: optional("EZLIVE_CONTAINER").unwrap_or_else(|| "worker".to_owned()),
                capacity_provider: optional("EZLIVE_CAPACITY_PROVIDER")
                    .unwrap_or_else(|| "FARGATE".to_owned()),
                subnets: names("EZLIVE_SUBNETS"),
                security_groups: names("EZLIVE_SECURITY_GROUPS"),
                public_address: parsed("EZLIVE_PUBLIC_ADDRESS", true)?,
            },
        })
    }
}

/// `EZLIVE_WORKER_SIZE`: `by-job`, or the size that every worker has.
fn one_size() -> Result<Option<WorkerSize>, EnvironmentError> {
    const SIZE: &str = "EZLIVE_WORKER_SIZE";
    match optional(SIZE).as_deref() {
        None | Some("by-job") => Ok(None),
        Some(name) => match WorkerSize::parse(name) {
            None => Err(EnvironmentError {
                variable: SIZE,
                fault: "must be by-job, small, medium or large".to_owned(),
            }),
            size => Ok(size),
        },
    }
}

/// What is left of the function's time once the last message is given up.
const ANSWERING: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(LogFormat::Json)?;
    let config = Config::from_environment()?;
    let sdk = function_config();
    let scheduler = Scheduler {
        store: Store::open(sdk.clone(), config.tables),
        names: config
            .zone
            .map(|zone| IngestNames::new(&sdk, zone))
            .transpose()?,
        queue: Arc::new(SqsQueue::new(sdk.clone(), config.queue_url)),
        launcher: Arc::new(EcsLauncher::new(sdk, config.ecs)),
        media: MediaStores::open(&config.store_url, &config.buckets)?,
        timing: config.timing,
        max_workers: config.max_workers,
        min_idle: config.min_idle,
        one_size: config.one_size,
    };
    let scheduler = &scheduler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let left = event.context.deadline().duration_since(SystemTime::now());
        let within = left.unwrap_or_default().saturating_sub(ANSWERING);
        Ok::<SqsBatchResponse, Error>(scheduler.handle(event.payload, within).await)
    }))
    .await
}
