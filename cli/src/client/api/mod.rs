//! The calls of the API (DESIGN.md section 3), typed.

mod iam;
mod transport;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::failure::Failure;
use super::types::{DryRun, Event, Job, Worker};
use transport::Transport;

pub use iam::Signer;
pub use transport::{Answer, Auth};

/// Where `ezlive up` listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:1080";

/// The most that is asked for at once.
const PAGE: usize = 100;

/// The API at one URL.
#[derive(Debug, Clone)]
pub struct ApiClient {
    transport: Transport,
}

impl ApiClient {
    /// A client of the API at `base`.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the token can't be a header's value.
    pub fn new(base: Url, auth: Auth) -> Result<Self, Failure> {
        Ok(Self {
            transport: Transport::new(base, auth)?,
        })
    }

    /// The API's URL without credentials, to be shown.
    pub fn shown_url(&self) -> String {
        self.transport.shown_url()
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
        self.transport
            .call(self.transport.request(Method::GET, &["health"]))
            .await
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
            .transport
            .request(Method::POST, &["jobs"])
            .header("idempotency-key", key);
        self.transport
            .call(request.header(CONTENT_TYPE, "application/json").body(spec))
            .await
    }

    /// `POST /jobs?dry_run=true`.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn dry_run(&self, spec: Vec<u8>) -> Result<Answer<DryRun>, Failure> {
        let request = self
            .transport
            .request(Method::POST, &["jobs"])
            .query(&[("dry_run", "true")]);
        self.transport
            .call(request.header(CONTENT_TYPE, "application/json").body(spec))
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
        self.transport
            .call(self.transport.request(Method::GET, &["jobs", id]))
            .await
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
        self.transport
            .call(self.transport.request(Method::PUT, &["jobs", id, change]))
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
        let mut request = self.transport.request(Method::DELETE, &["jobs", id]);
        for (name, set) in [("force", force), ("media", media)] {
            if set {
                request = request.query(&[(name, "true")]);
            }
        }
        self.transport.call(request).await
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
        self.transport
            .call(self.transport.request(Method::GET, &["workers", id]))
            .await
    }

    /// `DELETE /workers/{id}`: the worker hands its job over and leaves.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn drain(&self, id: &str) -> Result<Answer<Value>, Failure> {
        self.transport
            .call(self.transport.request(Method::DELETE, &["workers", id]))
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
                .transport
                .call(self.transport.request(Method::GET, path).query(&query))
                .await?;
            let mut page = page.json;
            match page.get_mut(field).map(Value::take) {
                Some(Value::Array(page)) => items.extend(page),
                _ => {
                    return Err(self
                        .transport
                        .not_ezlive(format!("its list has no {field:?}")));
                }
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
        let body = self.transport.read(items.clone())?;
        Ok(Answer {
            body,
            json: json!({ field: items, "next_cursor": cursor }),
            pending: false,
        })
    }
}
