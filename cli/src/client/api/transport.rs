//! How a call gets to the API and its answer back: retries where the
//! connection broke, problem documents made failures.

use std::error::Error as _;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use super::iam::Signer;
use crate::client::failure::Failure;
use crate::client::types::Problem;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The waits before the second and the third try after a broken connection.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

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
        let (status, content_type, text) = self.send(request).await?;
        let json = if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str::<Value>(&text)
        };
        if status.is_success() {
            let json = json
                .map_err(|_| self.not_ezlive(format!("{status} with {content_type}, not JSON")))?;
            return Ok(Answer {
                body: self.read(json.clone())?,
                json,
                pending: status == StatusCode::ACCEPTED,
            });
        }
        Err(self.refusal(status, &content_type, json.unwrap_or_default()))
    }

    /// What an answer that is no success means to the commands.
    fn refusal(&self, status: StatusCode, content_type: &str, json: Value) -> Failure {
        let mut problem: Problem = serde_json::from_value(json.clone()).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.title.is_none() && problem.detail.is_none() {
            // Not one of our problem documents: a gateway's or a stranger's.
            if status == StatusCode::NOT_FOUND {
                return self.not_ezlive(format!("{status} with {content_type}"));
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

    /// Sends, and sends again after a broken connection. That is safe for
    /// every call of this API: each is idempotent by its method or its key.
    async fn send(
        &self,
        mut request: RequestBuilder,
    ) -> Result<(StatusCode, String, String), Failure> {
        let mut waits = RETRY_AFTER.iter();
        loop {
            let copy = request.try_clone();
            let error = match self.exchange(request).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match (copy, waits.next()) {
                (Some(copy), Some(wait)) if is_broken_connection(&error) => {
                    tokio::time::sleep(*wait).await;
                    request = copy;
                }
                _ => {
                    return Err(Failure::Unreachable {
                        url: self.shown_url(),
                        why: root_cause(&error),
                    });
                }
            }
        }
    }

    /// One request, signed anew at each try, and its whole answer: status,
    /// content type, body.
    async fn exchange(
        &self,
        request: RequestBuilder,
    ) -> Result<reqwest::Result<(StatusCode, String, String)>, Failure> {
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

async fn exchange(
    http: &reqwest::Client,
    request: reqwest::Request,
) -> reqwest::Result<(StatusCode, String, String)> {
    let response = http.execute(request).await?;
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("no content type").to_owned();
    Ok((status, content_type, response.text().await?))
}

/// Whether the server is on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
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
