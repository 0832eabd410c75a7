//! Starting and ending workers.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride,
    KeyValuePair, NetworkConfiguration, TaskOverride,
};
use domain::ids::WorkerId;
use domain::spec::WorkerSize;
use domain::worker::Worker;
use thiserror::Error;

use crate::lazy::{Lazy, lazy};

/// Starts and ends workers. On AWS each is an ECS task; on one machine a
/// process.
#[async_trait]
pub trait WorkerLauncher: Send + Sync {
    /// Starts a worker under this id and returns what [`Self::stop`] needs to
    /// end it. Repeating a launch under the same id starts no second one.
    ///
    /// # Errors
    /// [`LaunchError`]; then no worker was started, or it will be the one that
    /// a repeated launch returns.
    async fn launch(&self, worker: &WorkerId, size: WorkerSize) -> Result<String, LaunchError>;

    /// Ends a worker; one that is gone already is no error.
    ///
    /// # Errors
    /// [`LaunchError`]: it may still be there. The fences hold without this.
    async fn stop(&self, worker: &Worker) -> Result<(), LaunchError>;
}

/// A worker could not be started or ended.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// There is no room just now: the job waits and is tried again.
    #[error("no capacity for another worker: {0}")]
    NoCapacity(String),
    /// The launch was refused, or nobody answered: tried again with backoff.
    #[error("the worker could not be launched: {0}")]
    Failed(String),
}

/// How workers run on ECS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsSettings {
    /// The cluster's name or ARN.
    pub cluster: String,
    /// The worker's task definition: family, family:revision, or ARN.
    pub task_definition: String,
    /// The container in it.
    pub container: String,
    /// The capacity provider, as `FARGATE` or `FARGATE_SPOT`.
    pub capacity_provider: String,
    /// The subnets of the tasks; none: they have their instance's network.
    pub subnets: Vec<String>,
    /// Their security groups.
    pub security_groups: Vec<String>,
    /// Whether a task in those subnets gets a public address. Without one its
    /// subnet needs another way to AWS: NAT, or endpoints.
    pub public_address: bool,
}

/// Workers as ECS tasks.
#[derive(Debug, Clone)]
pub struct EcsLauncher {
    client: Lazy<Client>,
    settings: EcsSettings,
}

impl EcsLauncher {
    /// A launcher with these settings.
    pub fn new(sdk: SdkConfig, settings: EcsSettings) -> Self {
        Self {
            client: lazy(move || Self::connect(&sdk)),
            settings,
        }
    }

    /// ECS takes its time with RunTask: a call is given longer than the
    /// database's, but a scheduler that has ten seconds can still say that it
    /// failed.
    fn connect(sdk: &SdkConfig) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(6))
            .build();
        let config = aws_sdk_ecs::config::Builder::from(sdk)
            .timeout_config(timeouts)
            .build();
        Client::from_conf(config)
    }

    /// CPU units and MiB of a size: combinations that Fargate offers.
    fn resources(size: WorkerSize) -> (&'static str, &'static str) {
        match size {
            WorkerSize::Small => ("1024", "2048"),
            WorkerSize::Medium => ("4096", "8192"),
            WorkerSize::Large => ("16384", "32768"),
        }
    }

    fn overrides(&self, worker: &WorkerId, size: WorkerSize) -> TaskOverride {
        let (cpu, memory) = Self::resources(size);
        let id = KeyValuePair::builder()
            .name("EZLIVE_WORKER_ID")
            .value(worker.as_str())
            .build();
        let container = ContainerOverride::builder()
            .name(&self.settings.container)
            .environment(id)
            .build();
        TaskOverride::builder()
            .cpu(cpu)
            .memory(memory)
            .container_overrides(container)
            .build()
    }

    fn network(&self) -> Result<Option<NetworkConfiguration>, LaunchError> {
        if self.settings.subnets.is_empty() {
            return Ok(None);
        }
        let public = match self.settings.public_address {
            true => AssignPublicIp::Enabled,
            false => AssignPublicIp::Disabled,
        };
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.settings.subnets.clone()))
            .set_security_groups(Some(self.settings.security_groups.clone()))
            .assign_public_ip(public)
            .build()
            .map_err(|error| LaunchError::Failed(error.to_string()))?;
        Ok(Some(
            NetworkConfiguration::builder()
                .awsvpc_configuration(vpc)
                .build(),
        ))
    }

    /// The task that was started for this worker, where nobody noted it.
    async fn find_task(&self, worker: &WorkerId) -> Result<Option<String>, LaunchError> {
        let listed = self
            .client
            .list_tasks()
            .cluster(&self.settings.cluster)
            .started_by(worker.as_str())
            .send()
            .await
            .map_err(|error| LaunchError::Failed(DisplayErrorContext(error).to_string()))?;
        Ok(listed.task_arns().first().cloned())
    }
}

#[async_trait]
impl WorkerLauncher for EcsLauncher {
    async fn launch(&self, worker: &WorkerId, size: WorkerSize) -> Result<String, LaunchError> {
        let provider = CapacityProviderStrategyItem::builder()
            .capacity_provider(&self.settings.capacity_provider)
            .weight(1)
            .build()
            .map_err(|error| LaunchError::Failed(error.to_string()))?;
        let started = self
            .client
            .run_task()
            .cluster(&self.settings.cluster)
            .task_definition(&self.settings.task_definition)
            .capacity_provider_strategy(provider)
            .set_network_configuration(self.network()?)
            .overrides(self.overrides(worker, size))
            .client_token(worker.as_str())
            .started_by(worker.as_str())
            .send()
            .await
            .map_err(launch_error)?;
        if let Some(arn) = started.tasks().first().and_then(|task| task.task_arn()) {
            return Ok(arn.to_owned());
        }
        let reasons = started
            .failures()
            .iter()
            .filter_map(|failure| failure.reason());
        Err(not_started(&reasons.collect::<Vec<_>>().join(", ")))
    }

    async fn stop(&self, worker: &Worker) -> Result<(), LaunchError> {
        let task = match &worker.task {
            Some(task) => Some(task.clone()),
            None => self.find_task(&worker.id).await?,
        };
        let Some(task) = task else { return Ok(()) };
        let stopped = self
            .client
            .stop_task()
            .cluster(&self.settings.cluster)
            .task(task)
            .reason("ezlive: the worker was replaced")
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            // ECS forgets a task an hour after it stopped.
            Err(error) if error.code() == Some("InvalidParameterException") => Ok(()),
            Err(error) => Err(LaunchError::Failed(DisplayErrorContext(error).to_string())),
        }
    }
}

/// How ECS says that it has no room: as a reason of a task that was not placed
/// (`RESOURCE:CPU`, …) or in the words of a `ClientException`; it has no code
/// of its own for it (RunTask, "Errors"; "API failures messages").
const NO_ROOM: [&str; 3] = ["RESOURCE:", "apacity is unavailable", "reached the limit"];

fn not_started(why: &str) -> LaunchError {
    if NO_ROOM.iter().any(|words| why.contains(words)) {
        LaunchError::NoCapacity(why.to_owned())
    } else {
        LaunchError::Failed(why.to_owned())
    }
}

/// What the error of a RunTask means. A fault of the service's own
/// (`ServerException`) says nothing about room: it is tried again.
fn launch_error<R: std::fmt::Debug + 'static>(error: SdkError<RunTaskError, R>) -> LaunchError {
    let is_ours = error.code() == Some("ClientException");
    let text = DisplayErrorContext(error).to_string();
    match is_ours {
        true => not_started(&text),
        false => LaunchError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::error::ErrorMetadata;

    use super::*;

    fn run_task_says(code: &str, message: &str) -> LaunchError {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        launch_error(SdkError::service_error(RunTaskError::generic(meta), ()))
    }

    /// The network of a task that a launcher with these settings starts.
    fn network(subnets: &[&str], public_address: bool) -> Option<AwsVpcConfiguration> {
        let settings = EcsSettings {
            cluster: "ezlive".to_owned(),
            task_definition: "ezlive-worker".to_owned(),
            container: "worker".to_owned(),
            capacity_provider: "FARGATE".to_owned(),
            subnets: subnets.iter().map(ToString::to_string).collect(),
            security_groups: vec!["sg-1".to_owned()],
            public_address,
        };
        let launcher = EcsLauncher::new(SdkConfig::builder().build(), settings);
        launcher.network().unwrap()?.awsvpc_configuration
    }

    #[test]
    fn a_task_has_a_public_address_only_where_it_is_to_have_one() {
        for (wanted, assigned) in [
            (true, AssignPublicIp::Enabled),
            (false, AssignPublicIp::Disabled),
        ] {
            let vpc = network(&["subnet-1", "subnet-2"], wanted).unwrap();
            assert_eq!(vpc.assign_public_ip(), Some(&assigned));
            assert_eq!(vpc.subnets(), ["subnet-1", "subnet-2"]);
        }
        assert_eq!(network(&[], false), None, "its instance's network");
    }

    #[test]
    fn no_room_is_told_from_a_fault_of_the_service() {
        for (code, message) in [
            ("ClientException", "Capacity is unavailable at this time."),
            (
                "ClientException",
                "You've reached the limit on the number of vCPUs",
            ),
        ] {
            let error = run_task_says(code, message);
            assert!(matches!(error, LaunchError::NoCapacity(_)), "{error}");
        }
        for (code, message) in [
            (
                "ServerException",
                "Service Unavailable. Please try again later.",
            ),
            ("ThrottlingException", "Rate exceeded"),
            ("ClientException", "TaskDefinition is inactive"),
            ("CapacityProviderNotFoundException", "no such provider"),
        ] {
            let error = run_task_says(code, message);
            assert!(matches!(error, LaunchError::Failed(_)), "{error}");
        }
        assert!(matches!(
            not_started("RESOURCE:MEMORY"),
            LaunchError::NoCapacity(_)
        ));
        assert!(matches!(not_started("MISSING"), LaunchError::Failed(_)));
    }
}
