//! The calls of the API (DESIGN.md section 3), typed, with retries where a
//! call may safely be made twice.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::failure::Failure;
use super::types::{DryRun, Event, Job, Problem, Worker};

/// Where `ezlive up` listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:1080";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The waits before the second and the third try after a broken connection.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// The most that is asked for at once.
const PAGE: usize = 100;

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

/// The API at one URL.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    base: Url,
}

impl ApiClient {
    /// A client of the API at `base` (which may have a path, as a stage of an
    /// API gateway has), with its bearer token.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the token can't be a header's value.
    pub fn new(base: Url, token: Option<&str>) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Failure::Usage("the token has characters that no HTTP header may have".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("ezlive/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| Failure::Runtime(io::Error::other(error)))?;
        Ok(Self { http, base })
    }

    /// The API's URL without credentials, to be shown.
    pub fn shown_url(&self) -> String {
        let mut url = self.base.clone();
        // Both fail only for URLs without a host, which have no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Whether this is where `ezlive up` listens unless told otherwise.
    pub fn is_default(&self) -> bool {
        self.shown_url() == DEFAULT_URL
    }

    /// `GET /health`.
    ///
    /// # Errors
    /// As every call here: [`Failure::Refused`], [`Failure::NotFound`],
    /// [`Failure::Unreachable`] or [`Failure::NotEzlive`].
    pub async fn health(&self) -> Result<Answer<Value>, Failure> {
        self.call(self.request(Method::GET, &["health"])).await
    }

    /// `POST /jobs`. The key makes it safe to repeat.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn create(
        &self,
        spec: Vec<u8>,
        idempotency_key: &str,
    ) -> Result<Answer<Job>, Failure> {
        let key = HeaderValue::from_str(idempotency_key).map_err(|_| {
            Failure::Usage(
                "the idempotency key has characters that no HTTP header may have".to_owned(),
            )
        })?;
        let request = self
            .request(Method::POST, &["jobs"])
            .header("idempotency-key", key);
        self.call(request.header(CONTENT_TYPE, "application/json").body(spec))
            .await
    }

    /// `POST /jobs?dry_run=true`.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn dry_run(&self, spec: Vec<u8>) -> Result<Answer<DryRun>, Failure> {
        let request = self
            .request(Method::POST, &["jobs"])
            .query(&[("dry_run", "true")]);
        self.call(request.header(CONTENT_TYPE, "application/json").body(spec))
            .await
    }

    /// `GET /jobs`: up to `limit` jobs, all where it is `None`, page by page.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn jobs(
        &self,
        state: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Answer<Vec<Job>>, Failure> {
        let state = state.map(|state| ("state", state.to_owned()));
        self.pages(&["jobs"], "jobs", state, limit).await
    }

    /// `GET /jobs/{id}`.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn job(&self, id: &str) -> Result<Answer<Job>, Failure> {
        self.call(self.request(Method::GET, &["jobs", id])).await
    }

    /// `GET /jobs/{id}/events`: all of them, the oldest first.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn events(&self, id: &str) -> Result<Answer<Vec<Event>>, Failure> {
        let mut answer = self
            .pages::<Event>(&["jobs", id, "events"], "events", None, None)
            .await?;
        answer.body.sort_by_key(|event| event.seq);
        if let Some(Value::Array(events)) = answer.json.get_mut("events") {
            events.sort_by_key(|event| event.get("seq").and_then(Value::as_u64));
        }
        Ok(answer)
    }

    /// `PUT /jobs/{id}/stop`, `/pause` or `/resume`.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn change(&self, id: &str, change: &str) -> Result<Answer<Job>, Failure> {
        self.call(self.request(Method::PUT, &["jobs", id, change]))
            .await
    }

    /// `DELETE /jobs/{id}`; pending where the job is to be stopped first.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn delete(
        &self,
        id: &str,
        force: bool,
        media: bool,
    ) -> Result<Answer<Option<Value>>, Failure> {
        let mut request = self.request(Method::DELETE, &["jobs", id]);
        for (name, set) in [("force", force), ("media", media)] {
            if set {
                request = request.query(&[(name, "true")]);
            }
        }
        self.call(request).await
    }

    /// `GET /workers`: all of them.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn workers(&self) -> Result<Answer<Vec<Worker>>, Failure> {
        self.pages(&["workers"], "workers", None, None).await
    }

    /// `GET /workers/{id}`.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn worker(&self, id: &str) -> Result<Answer<Value>, Failure> {
        self.call(self.request(Method::GET, &["workers", id])).await
    }

    /// `DELETE /workers/{id}`: the worker hands its job over and leaves.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn drain(&self, id: &str) -> Result<Answer<Value>, Failure> {
        self.call(self.request(Method::DELETE, &["workers", id]))
            .await
    }

    /// Gathers the pages of a list into one document of the same shape.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &[&str],
        field: &str,
        filter: Option<(&str, String)>,
        limit: Option<usize>,
    ) -> Result<Answer<Vec<T>>, Failure> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let mut query: Vec<(&str, String)> = filter.clone().into_iter().collect();
            query.extend(limit.map(|limit| {
                (
                    "limit",
                    limit.saturating_sub(items.len()).min(PAGE).to_string(),
                )
            }));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Answer<Value> = self
                .call(self.request(Method::GET, path).query(&query))
                .await?;
            let mut page = page.json;
            match page.get_mut(field).map(Value::take) {
                Some(Value::Array(page)) => items.extend(page),
                _ => return Err(self.not_ezlive(format!("its list has no {field:?}"))),
            }
            cursor = page
                .get("next_cursor")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if cursor.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                break;
            }
        }
        items.truncate(limit.unwrap_or(usize::MAX));
        let items = Value::Array(items);
        let body = self.read(items.clone())?;
        Ok(Answer {
            body,
            json: json!({ field: items, "next_cursor": cursor }),
            pending: false,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Fails only for URLs that can't have a path; an http URL can.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    async fn call<T: DeserializeOwned>(
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
        let json = json.unwrap_or_default();
        let mut problem: Problem = serde_json::from_value(json.clone()).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.title.is_none() && problem.detail.is_none() {
            // Not one of our problem documents: a gateway's or a stranger's.
            if status == StatusCode::NOT_FOUND {
                return Err(self.not_ezlive(format!("{status} with {content_type}")));
            }
            problem.title = Some(format!("the API answered {status}"));
        }
        problem.json = json;
        Err(match status {
            StatusCode::NOT_FOUND => Failure::NotFound(Box::new(problem)),
            _ => Failure::Refused(Box::new(problem)),
        })
    }

    fn read<T: DeserializeOwned>(&self, json: Value) -> Result<T, Failure> {
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
            let error = match exchange(request).await {
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

    fn not_ezlive(&self, why: String) -> Failure {
        Failure::NotEzlive {
            url: self.shown_url(),
            why,
        }
    }
}

/// One request and its whole answer: status, content type, body.
async fn exchange(request: RequestBuilder) -> reqwest::Result<(StatusCode, String, String)> {
    let response = request.send().await?;
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("no content type").to_owned();
    Ok((status, content_type, response.text().await?))
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
