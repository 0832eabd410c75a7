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
pub use transport::{Answer, Auth, is_momentary};

/// Where `ezlive up` listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:1080";

/// The most jobs that are asked for at once: the API's own bound.
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

    /// Where the API is.
    pub fn url(&self) -> &Url {
        self.transport.base()
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
        let mut jobs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let left = limit.map_or(PAGE, |limit| limit.saturating_sub(jobs.len()).min(PAGE));
            let mut query = vec![("limit", left.to_string())];
            query.extend(state.map(|state| ("state", state.to_owned())));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page = self.page(&["jobs"], "jobs", &query).await?;
            jobs.extend(page.items);
            cursor = page.next.as_str().map(str::to_owned);
            if cursor.is_none() || limit.is_some_and(|limit| jobs.len() >= limit) {
                break;
            }
        }
        jobs.truncate(limit.unwrap_or(usize::MAX));
        self.gathered("jobs", jobs, cursor)
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

    /// `GET /jobs/{id}/events`: all of them after the one with this number (0:
    /// from the start), the oldest first, page by page.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn events(&self, id: &str, after: u64) -> Result<Answer<Vec<Event>>, Failure> {
        let mut events = Vec::new();
        let mut after = after;
        loop {
            let query = [("after", after.to_string())];
            let page = self.page(&["jobs", id, "events"], "events", &query).await?;
            events.extend(page.items);
            // A cursor that does not move on would have us ask for ever.
            match page.next.as_u64().filter(|next| *next > after) {
                Some(next) => after = next,
                None => break,
            }
        }
        self.gathered("events", events, None)
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

    /// `DELETE /jobs/{id}`; pending, with the job, where that takes time.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn delete(
        &self,
        id: &str,
        force: bool,
        media: bool,
    ) -> Result<Answer<Option<Job>>, Failure> {
        let mut request = self.transport.request(Method::DELETE, &["jobs", id]);
        for (name, set) in [("force", force), ("media", media)] {
            if set {
                request = request.query(&[(name, "true")]);
            }
        }
        self.transport.call(request).await
    }

    /// `GET /workers`: all of them, which the API gives at once.
    ///
    /// # Errors
    /// See [`Self::health`].
    pub async fn workers(&self) -> Result<Answer<Vec<Worker>>, Failure> {
        let page = self.page(&["workers"], "workers", &[]).await?;
        let workers = Value::Array(page.items);
        Ok(Answer {
            body: self.transport.read(workers.clone())?,
            json: json!({ "workers": workers }),
            pending: false,
        })
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

    /// One page of a list.
    async fn page(
        &self,
        path: &[&str],
        field: &str,
        query: &[(&str, String)],
    ) -> Result<Page, Failure> {
        let request = self.transport.request(Method::GET, path).query(query);
        let mut page = self.transport.call::<Value>(request).await?.json;
        match page.get_mut(field).map(Value::take) {
            Some(Value::Array(items)) => Ok(Page {
                items,
                next: page["next_cursor"].take(),
            }),
            _ => Err(self
                .transport
                .not_ezlive(format!("its list has no {field:?}"))),
        }
    }

    /// What pages hold, as one document of the same shape.
    fn gathered<T: DeserializeOwned>(
        &self,
        field: &str,
        items: Vec<Value>,
        next: Option<String>,
    ) -> Result<Answer<Vec<T>>, Failure> {
        let items = Value::Array(items);
        Ok(Answer {
            body: self.transport.read(items.clone())?,
            json: json!({ field: items, "next_cursor": next }),
            pending: false,
        })
    }
}

/// A page of a list, and what the API says about where the next one starts.
struct Page {
    items: Vec<Value>,
    next: Value,
}
