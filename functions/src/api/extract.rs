//! What is read from a request: ids, parameters, the idempotency key, the
//! body. Whatever can't be read is answered with a problem that names it.

use std::error::Error;
use std::sync::Arc;

use aws::store::Idempotency;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use bytes::{Bytes, BytesMut};
use domain::ids::{JobId, WorkerId};
use futures::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Api;
use super::problem::Problem;

/// The largest request body, in bytes. The sample has 1 KiB, the largest
/// valid spec about 10.
pub const BODY_LIMIT: usize = 64 * 1024;
/// So much of a larger body is read and thrown away: a client that is still
/// writing would not see the answer on a connection that closes under it.
const DRAINED: usize = 8 * 1024 * 1024;
/// The header of a request that may be sent again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest idempotency key, in characters.
const LONGEST_KEY: usize = 255;

/// The id of a job in a path. What can't be an id is the id of no job: 404.
pub struct JobPath(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = id(parts, state).await;
        text.and_then(|text| JobId::parse(&text))
            .map(Self)
            .ok_or_else(no_job)
    }
}

/// A call about one job that takes no parameters.
pub struct JobCall {
    /// The API.
    pub api: Arc<Api>,
    /// The job in the path.
    pub id: JobId,
    /// Where the client reached the API.
    pub host: Host,
}

impl FromRequestParts<Arc<Api>> for JobCall {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let JobPath(id) = JobPath::from_request_parts(parts, api).await?;
        Parameters::<NoParameters>::from_request_parts(parts, api).await?;
        let Ok(host) = Host::from_request_parts(parts, api).await;
        Ok(Self {
            api: Arc::clone(api),
            id,
            host,
        })
    }
}

/// The id of a worker in a path.
pub struct WorkerPath(pub WorkerId);

impl<S: Send + Sync> FromRequestParts<S> for WorkerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = id(parts, state).await;
        text.and_then(|text| WorkerId::parse(&text))
            .map(Self)
            .ok_or_else(no_worker)
    }
}

async fn id<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<String> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.ok().map(|Path(text)| text)
}

/// 404 for a job.
pub fn no_job() -> Problem {
    Problem::not_found("there is no job with this id")
}

/// 404 for a worker.
pub fn no_worker() -> Problem {
    Problem::not_found("there is no worker with this id")
}

/// The parameters after `?`; unknown ones are refused, so that a misspelt
/// `?force` is not taken for its absence.
pub struct Parameters<T>(pub T);

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

impl<S, T> FromRequestParts<S> for Parameters<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                // The innermost error but one names the parameter and the fault.
                let fault = rejection
                    .source()
                    .map_or_else(|| rejection.body_text(), ToString::to_string);
                Err(Problem::bad_request(format!("parameters: {fault}")))
            }
        }
    }
}

/// The body, of whatever content type: clients from before this API send
/// curl's form type with JSON in it.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let mut chunks = request.into_body().into_data_stream();
        let (mut body, mut size) = (BytesMut::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let cut = |_| Problem::bad_request("the body ended before its time");
            let chunk = chunk.map_err(cut)?;
            size += chunk.len();
            if size <= BODY_LIMIT {
                body.extend_from_slice(&chunk);
            } else if size > DRAINED {
                break;
            }
        }
        match size <= BODY_LIMIT {
            true => Ok(Self(body.freeze())),
            false => Err(Problem::body_too_large(BODY_LIMIT)),
        }
    }
}

/// The header `Idempotency-Key`, where there is one.
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// What the key stands for with this body. Only digests are kept: the key
    /// is the client's, and may be long.
    pub fn with_body(&self, body: &[u8]) -> Option<Idempotency> {
        let key = self.0.as_ref()?;
        Some(Idempotency {
            key: digest(key.as_bytes()),
            body: digest(body),
        })
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let (first, second) = (values.next(), values.next());
        let Some(value) = first else {
            return Ok(Self(None));
        };
        let key = value.as_bytes();
        let valid = (1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        if second.is_some() || !valid {
            return Err(Problem::bad_request(format!(
                "Idempotency-Key: must be there once, with 1 to {LONGEST_KEY} visible ASCII characters"
            )));
        }
        Ok(Self(Some(String::from_utf8_lossy(key).into_owned())))
    }
}

/// Host and port under which the client reached the API.
pub struct Host(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Host {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = header
            .or_else(|| parts.uri.authority().map(Authority::as_str))
            .and_then(|host| host.parse::<Authority>().ok());
        Ok(Self(authority.map_or_else(
            || "localhost".to_owned(),
            |authority| authority.to_string(),
        )))
    }
}
