//! The API as a client sees it.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::machine::{Machine, until};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    url: String,
}

impl Api {
    /// A client of this machine.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn of(machine: &Machine) -> anyhow::Result<Self> {
        Self::with_headers(machine, HeaderMap::new())
    }

    /// A client that shows this bearer token.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with_token(machine: &Machine, token: &str) -> anyhow::Result<Self> {
        let value = HeaderValue::try_from(format!("Bearer {token}"))?;
        Self::with_headers(machine, HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    /// A client whose calls are part of a trace: with this `traceparent`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn traced(machine: &Machine, traceparent: &str) -> anyhow::Result<Self> {
        let name = HeaderName::from_static("traceparent");
        let value = HeaderValue::try_from(traceparent)?;
        Self::with_headers(machine, HeaderMap::from_iter([(name, value)]))
    }

    fn with_headers(machine: &Machine, headers: HeaderMap) -> anyhow::Result<Self> {
        // Fails only where it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .default_headers(headers)
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            client,
            url: machine.url().to_owned(),
        })
    }

    /// Sends a request; answers status and body (null where there is none).
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Creates a job and answers it.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn create(&self, spec: &Value) -> anyhow::Result<Value> {
        match self.send(Method::POST, "/jobs", Some(spec)).await? {
            (StatusCode::CREATED, job) => Ok(job),
            (status, problem) => bail!("not created: {status} {problem}"),
        }
    }

    /// Reads a job.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn job(&self, id: &str) -> anyhow::Result<Value> {
        match self.send(Method::GET, &format!("/jobs/{id}"), None).await? {
            (StatusCode::OK, job) => Ok(job),
            (status, problem) => bail!("no job: {status} {problem}"),
        }
    }

    /// Asks for `stop`, `pause` or `resume`.
    ///
    /// # Errors
    /// It is refused.
    pub async fn wish(&self, id: &str, wish: &str) -> anyhow::Result<Value> {
        let (status, body) = self
            .send(Method::PUT, &format!("/jobs/{id}/{wish}"), None)
            .await?;
        if !status.is_success() {
            bail!("{wish} refused: {status} {body}");
        }
        Ok(body)
    }

    /// Waits until the job is in this state.
    ///
    /// # Errors
    /// It does not come to it within `limit`; the job and its history tell why.
    pub async fn reaches(&self, id: &str, state: &str, limit: Duration) -> anyhow::Result<Value> {
        let reached = until(state, limit, || async {
            let job = self.job(id).await?;
            Ok((job["state"] == state).then_some(job))
        });
        match reached.await {
            Ok(job) => Ok(job),
            Err(error) => {
                let (job, events) = (self.job(id).await?, self.events(id).await?);
                Err(error).with_context(|| format!("{job:#}\n{events:#?}"))
            }
        }
    }

    /// The history of a job.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn events(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/jobs/{id}/events?limit=100");
        let (_, body) = self.send(Method::GET, &path, None).await?;
        body["events"].as_array().cloned().context("no events")
    }

    /// Fetches anything by its absolute URL; `None` where it is not there.
    ///
    /// # Errors
    /// No answer came.
    pub async fn fetch(&self, url: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let answer = self.client.get(url).send().await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        Ok(Some(answer.bytes().await?.to_vec()))
    }

    /// Whether anything is there.
    ///
    /// # Errors
    /// No answer came.
    pub async fn is_there(&self, url: &str) -> anyhow::Result<bool> {
        let answer = self.client.head(url).send().await?;
        Ok(answer.status().is_success())
    }
}

/// The states that a history passes through, in its order.
pub fn states(events: &[Value]) -> Vec<&str> {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|event| event["seq"].as_u64());
    let mut states: Vec<_> = events
        .iter()
        .filter_map(|event| event["to"].as_str())
        .collect();
    states.dedup();
    states
}

/// A field that is text.
///
/// # Errors
/// It is not.
pub fn text<'a>(json: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    json.pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no {pointer} in {json}"))
}
