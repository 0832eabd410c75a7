//! The API as a Lambda function behind an HTTP API's `$default` route and stage.

use std::sync::Arc;

use aws::environment::{EnvironmentError, function_config, optional, required, timing};
use aws::queue::SqsQueue;
use aws::store::{Store, TableNames};
use aws::telemetry::{self, LogFormat};
use domain::spec::OperatorPolicy;
use functions::api::{Api, ApiSettings, Playback, router};
use lambda_http::Error;

/// What the function is told by its environment.
struct Config {
    tables: TableNames,
    queue_url: String,
    settings: ApiSettings,
}

impl Config {
    fn from_environment() -> Result<Self, EnvironmentError> {
        Ok(Self {
            tables: TableNames::with_prefix(&required("EZLIVE_TABLE_PREFIX")?),
            queue_url: required("EZLIVE_QUEUE_URL")?,
            settings: ApiSettings {
                policy: policy()?,
                playback: Playback::OfBuckets {
                    default: required("EZLIVE_PLAYBACK_URL")?,
                    region: required("AWS_REGION")?,
                },
                timing: timing()?,
            },
        })
    }
}

/// Networks to pull from (`EZLIVE_ALLOW_PULL_FROM`) and buckets to write to
/// (`EZLIVE_BUCKETS`), each with commas between them.
fn policy() -> Result<OperatorPolicy, EnvironmentError> {
    const NETWORKS: &str = "EZLIVE_ALLOW_PULL_FROM";
    let buckets = optional("EZLIVE_BUCKETS").unwrap_or_default();
    OperatorPolicy::default()
        .allow_buckets(&buckets)
        .allow_networks(&optional(NETWORKS).unwrap_or_default())
        .map_err(|error| EnvironmentError {
            variable: NETWORKS,
            fault: format!("can't be read: {error}"),
        })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init(LogFormat::Json)?;
    let config = Config::from_environment()?;
    let sdk = function_config();
    let api = Api {
        store: Store::open(sdk.clone(), config.tables),
        queue: Arc::new(SqsQueue::new(sdk, config.queue_url)),
        settings: config.settings,
    };
    lambda_http::run(router(api)).await
}
