//! What goes with a call: its trace. What comes after a write: the hint to the
//! scheduler. And after an answer: the log line.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use domain::job::Job;
use domain::message::Message;
use domain::protocol::follow_up;
use domain::trace::TraceId;
use tracing::Instrument;

use super::Api;

/// How long a deletion waits before its first look whether the job has ended.
const DELETE_PAUSE: Duration = Duration::from_secs(1);

impl Api {
    /// Tells the scheduler of what a client's change has left it to do.
    pub(super) async fn follow_up(&self, job: &Job) {
        if let Some((message, delay)) = follow_up(job, &self.settings.timing) {
            self.send(message, delay).await;
        }
    }

    /// Tells the scheduler that a job is to be deleted.
    pub(super) async fn follow_deletion(&self, job: &Job) {
        let delay = if job.is_to_be_deleted() {
            Duration::ZERO
        } else {
            self.settings.timing.paced(DELETE_PAUSE)
        };
        let delete = Message::Delete {
            job: job.id.clone(),
        };
        self.send(delete, delay).await;
    }

    /// Sends a hint. The write has been made: where the hint is lost, the
    /// sweep finds what it stood for, and the client has its answer.
    async fn send(&self, message: Message, delay: Duration) {
        if let Err(error) = self.queue.send(&message, delay).await {
            tracing::warn!(?message, %error, "a message was lost; the sweep will find its job");
        }
    }
}

/// The header that Lambda and API Gateway give every call; its trace is the one
/// that X-Ray shows, so it comes before a client's own.
const XRAY: &str = "x-amzn-trace-id";
/// The header of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// Puts a call's trace on every line that is logged in it: the one it brings,
/// else a new one.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let trace = trace_of(request.headers()).unwrap_or_else(TraceId::generate);
    let span = tracing::info_span!("request", trace_id = trace.as_str());
    request.extensions_mut().insert(trace);
    next.run(request).instrument(span).await
}

fn trace_of(headers: &HeaderMap) -> Option<TraceId> {
    let header = |name| headers.get(name)?.to_str().ok();
    header(XRAY)
        .and_then(TraceId::from_xray)
        .or_else(|| header(TRACEPARENT).and_then(TraceId::from_traceparent))
}

/// One line for each request: the route, never the URL or the body, which may
/// bear secrets.
pub(super) async fn log_request(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    tracing::debug!(
        %method,
        route = route.as_ref().map_or("-", MatchedPath::as_str),
        status = response.status().as_u16(),
        took_ms = began.elapsed().as_millis(),
        "answered"
    );
    response
}
