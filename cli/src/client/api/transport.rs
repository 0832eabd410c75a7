//! How a call gets to the API and its answer back: retries where the
//! connection broke or the API was unavailable for a moment, problem documents
//! made failures.

use std::error::Error as _;
use std::io;
use std::time::{Duration, SystemTime};

use aws::address::is_loopback;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::iam::Signer;
use crate::client::failure::Failure;
use crate::client::types::Problem;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The waits before the second and the third try after a broken connection, or
/// where an API that is unavailable asks for no longer ones.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Nobody is kept waiting for longer between two tries: who looks on decides.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An answer: as this client understands it, and as it came.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What the commands look at.
    pub body: T,
    /// What `--json` prints.
    pub json: Value,
    /// Whether it is only under way yet: 202 Accepted.
    pub pending: bool,
}

/// An answer as it came over the wire.
struct Raw {
    status: StatusCode,
    content_type: String,
    /// When the API may be asked again, where it says so in seconds. A date
    /// would need its clock to be ours: then our own waits count.
    retry_after: Option<Duration>,
    text: String,
}

/// How a call shows who makes it.
#[derive(Debug, Clone)]
pub enum Auth {
    /// By a bearer token, where there is one.
    Bearer(Option<String>),
    /// By a signature.
    Iam(Signer),
}

/// HTTP to one base URL.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    base: Url,
    signer: Option<Signer>,
}

impl Transport {
    /// For the API at `base` (which may have a path, as a stage of an
    /// API gateway has).
    ///
    /// # Errors
    /// [`Failure::Usage`] where the token can't be a header's value.
    pub fn new(base: Url, auth: Auth) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        let (token, signer) = match auth {
            Auth::Bearer(token) => (token, None),
            Auth::Iam(signer) => (None, Some(signer)),
        };
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Failure::Usage("the token has characters that no HTTP header may have".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut http = reqwest::Client::builder();
        // To a proxy, loopback is itself.
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http
            .user_agent(concat!("ezlive/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| Failure::Runtime(io::Error::other(error)))?;
        Ok(Self { http, base, signer })
    }

    /// Where the API is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The API's URL without credentials, to be shown.
    pub fn shown_url(&self) -> String {
        let mut url = self.base.clone();
        // Both fail only for URLs without a host, which have no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// A request for a path under the base, each segment encoded.
    pub fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Fails only for URLs that can't have a path; an http URL can.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    /// Makes the call and reads the answer.
    ///
    /// # Errors
    /// [`Failure::Refused`], [`Failure::NotFound`], [`Failure::Unreachable`] or
    /// [`Failure::NotEzlive`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Answer<T>, Failure> {
        let answer = self.send(request).await?;
        let status = answer.status;
        let json = if answer.text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str::<Value>(&answer.text)
        };
        if status.is_success() {
            let json = json.map_err(|_| {
                self.not_ezlive(format!("{status} with {}, not JSON", answer.content_type))
            })?;
            return Ok(Answer {
                body: self.read(json.clone())?,
                json,
                pending: status == StatusCode::ACCEPTED,
            });
        }
        Err(self.refusal(&answer, json.unwrap_or_default()))
    }

    /// What an answer that is no success means to the commands.
    fn refusal(&self, answer: &Raw, json: Value) -> Failure {
        let status = answer.status;
        let mut problem: Problem = serde_json::from_value(json.clone()).unwrap_or_default();
        problem.status = status.as_u16();
        problem.retry_after = answer.retry_after;
        if problem.title.is_none() && problem.detail.is_none() {
            // Not one of our problem documents: a gateway's or a stranger's.
            if status == StatusCode::NOT_FOUND {
                return self.not_ezlive(format!("{status} with {}", answer.content_type));
            }
            problem.title = Some(format!("the API answered {status}"));
        }
        problem.json = json;
        match status {
            StatusCode::NOT_FOUND => Failure::NotFound(Box::new(problem)),
            _ => Failure::Refused(Box::new(problem)),
        }
    }

    /// A part of an answer in its type.
    ///
    /// # Errors
    /// [`Failure::NotEzlive`] where it is of another shape.
    pub fn read<T: DeserializeOwned>(&self, json: Value) -> Result<T, Failure> {
        serde_json::from_value(json).map_err(|error| self.not_ezlive(error.to_string()))
    }

    /// Sends, and sends again after a broken connection, or where the API is
    /// unavailable and asks for no long wait. That is safe for every call of
    /// this API: each is idempotent by its method or its key.
    async fn send(&self, mut request: RequestBuilder) -> Result<Raw, Failure> {
        let mut waits = WAITS.into_iter();
        loop {
            let copy = request.try_clone();
            let sent = self.exchange(request).await?;
            let again = match &sent {
                Ok(answer) if is_momentary(answer.status.as_u16()) => waits
                    .next()
                    .map(|wait| wait.max(answer.retry_after.unwrap_or_default())),
                Err(error) if is_broken_connection(error) => waits.next(),
                Ok(_) | Err(_) => None,
            };
            match (again.filter(|wait| *wait <= LONGEST_WAIT), copy) {
                (Some(wait), Some(copy)) => {
                    tokio::time::sleep(wait).await;
                    request = copy;
                }
                _ => {
                    return sent.map_err(|error| Failure::Unreachable {
                        url: self.shown_url(),
                        why: root_cause(&error),
                    });
                }
            }
        }
    }

    /// One request, signed anew at each try, and its whole answer.
    async fn exchange(&self, request: RequestBuilder) -> Result<reqwest::Result<Raw>, Failure> {
        let mut request = match request.build() {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(signer) = &self.signer {
            signer.sign(&mut request, SystemTime::now())?;
        }
        Ok(exchange(&self.http, request).await)
    }

    /// The failure that says whoever answers is not this API.
    pub fn not_ezlive(&self, why: String) -> Failure {
        Failure::NotEzlive {
            url: self.shown_url(),
            why,
        }
    }
}

async fn exchange(http: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<Raw> {
    let response = http.execute(request).await?;
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    Ok(Raw {
        status: response.status(),
        content_type: header(CONTENT_TYPE).unwrap_or("no content type").to_owned(),
        retry_after: header(RETRY_AFTER)
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        text: response.text().await?,
    })
}

/// Whether a status says that the API, or what stands before it, can't answer
/// just now: the same call may succeed in a moment.
pub fn is_momentary(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Whether there was a connection and it broke: the server may have closed an
/// idle one, or be restarting. Where nothing listens, trying again at once
/// only delays the message.
fn is_broken_connection(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && !error.is_timeout()
        && (error.is_request() || error.is_body() || error.is_decode())
}

/// The innermost message, which is the one that says something ("Connection
/// refused"); reqwest's outer ones repeat the URL, which may hold credentials.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}
