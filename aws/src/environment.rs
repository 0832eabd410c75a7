//! What a process is told by its environment, read once at its start; an
//! error names the variable.

use std::str::FromStr;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use domain::protocol::Timing;
use thiserror::Error;

use crate::trust;

/// A variable is missing or can't be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the environment variable {variable} {fault}")]
pub struct EnvironmentError {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong, and the remedy.
    pub fault: String,
}

/// A variable that must be there.
///
/// # Errors
/// [`EnvironmentError`] where it is absent or empty.
pub fn required(variable: &'static str) -> Result<String, EnvironmentError> {
    optional(variable).ok_or_else(|| EnvironmentError {
        variable,
        fault: "is not set".to_owned(),
    })
}

/// A variable that may be there.
pub fn optional(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

/// A variable that holds names separated by commas, with or without spaces;
/// empty where it is not there.
pub fn names(variable: &'static str) -> Vec<String> {
    split(&optional(variable).unwrap_or_default())
}

fn split(names: &str) -> Vec<String> {
    let names = names.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A variable of some type, or its default.
///
/// # Errors
/// [`EnvironmentError`] where it is there but can't be read as that.
pub fn parsed<T: FromStr>(variable: &'static str, default: T) -> Result<T, EnvironmentError>
where
    T::Err: std::fmt::Display,
{
    let Some(value) = optional(variable) else {
        return Ok(default);
    };
    value.parse().map_err(|error| EnvironmentError {
        variable,
        fault: format!("can't be read: {error}"),
    })
}

/// A variable in seconds (fractions allowed), or its default.
///
/// # Errors
/// [`EnvironmentError`] where it is there but is no number of seconds.
pub fn seconds(variable: &'static str, default: Duration) -> Result<Duration, EnvironmentError> {
    let seconds = parsed(variable, default.as_secs_f64())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| EnvironmentError {
        variable,
        fault: format!("is no length of time in seconds: {error}"),
    })
}

/// The protocol's times: `EZLIVE_LEASE` (see [`Timing::LEASES`]),
/// `EZLIVE_LAUNCH_DEADLINE` and `EZLIVE_STOP_GRACE`, in seconds.
///
/// # Errors
/// [`EnvironmentError`].
pub fn timing() -> Result<Timing, EnvironmentError> {
    let default = Timing::default();
    Ok(Timing {
        lease: lease(seconds("EZLIVE_LEASE", default.lease)?)?,
        launch_deadline: seconds("EZLIVE_LAUNCH_DEADLINE", default.launch_deadline)?,
        stop_grace: seconds("EZLIVE_STOP_GRACE", default.stop_grace)?,
        pace: default.pace,
    })
}

fn lease(lease: Duration) -> Result<Duration, EnvironmentError> {
    if Timing::LEASES.contains(&lease) {
        return Ok(lease);
    }
    let (least, most) = (Timing::LEASES.start(), Timing::LEASES.end());
    Err(EnvironmentError {
        variable: "EZLIVE_LEASE",
        fault: format!(
            "must be from {} to {} seconds",
            least.as_secs(),
            most.as_secs()
        ),
    })
}

/// The SDK's configuration, from the environment as AWS documents it
/// (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …). Timeouts are short: a call
/// that hangs must not cost a worker its lease.
pub async fn sdk_config() -> SdkConfig {
    sdk_loader().load().await
}

/// The same, for a caller that adds to it.
pub fn sdk_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts())
}

/// The same for a Lambda function, of what Lambda itself sets: the region and
/// the role's credentials, which are in the environment and there alone;
/// endpoints, where given (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
/// To look for profiles and credentials wherever else the SDK does was 0.37 ms
/// of a cold start of 1.9.
pub fn function_config() -> SdkConfig {
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let is_on = |variable| optional(variable).map(|value| value.eq_ignore_ascii_case("true"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts())
        .service_config(OwnEndpoints);
    config
        .set_region(optional("AWS_REGION").map(Region::new))
        .set_endpoint_url(optional("AWS_ENDPOINT_URL"))
        .set_use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .set_use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
}

/// What the environment sets for one service, as `AWS_ENDPOINT_URL_DYNAMODB`.
#[derive(Debug)]
struct OwnEndpoints;

impl LoadServiceConfig for OwnEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        optional(&own_variable(key.env(), key.service_id()))
    }
}

fn own_variable(variable: &str, service: &str) -> String {
    let service = service.to_ascii_uppercase().replace([' ', '-'], "_");
    format!("{variable}_{service}")
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(5))
        .build()
}

/// Whoever shares this shares its connections.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls_context())
        .build_https()
}

/// TLS by the roots in [`trust`].
fn tls_context() -> TlsContext {
    let roots = match trust::roots() {
        Some(pem) => TrustStore::empty().with_pem_certificate(pem),
        None => TrustStore::default(),
    };
    TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_separated_by_commas_and_spaces_do_not_count() {
        assert_eq!(split(" one, two,,three ,"), ["one", "two", "three"]);
        assert!(split(" ").is_empty());
    }

    #[test]
    fn a_service_has_endpoints_of_its_own_by_its_name() {
        let variable = |service| own_variable("AWS_ENDPOINT_URL", service);
        assert_eq!(variable("DynamoDB"), "AWS_ENDPOINT_URL_DYNAMODB");
        assert_eq!(variable("Route 53"), "AWS_ENDPOINT_URL_ROUTE_53");
    }
}
