//! What comes after a write: the hint to the scheduler. And after an answer:
//! the log line.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use domain::job::{Job, JobState};
use domain::message::Message;

use super::Api;

/// How long a deletion waits before its first look whether the job has ended.
const DELETE_PAUSE: Duration = Duration::from_secs(1);

impl Api {
    /// Tells the scheduler of what a client's change has left it to do.
    pub(super) async fn follow_up(&self, job: &Job) {
        match job.state {
            JobState::Created => {
                self.send(Message::schedule(job.id.clone()), Duration::ZERO)
                    .await;
            }
            JobState::Stopping => {
                self.send(stop_by(job), self.settings.timing.stop_grace)
                    .await;
            }
            // Stopped while it waited for its next worker: nobody else ends
            // the playlists that the last one has left open.
            JobState::Stopped if job.attempt > 0 => {
                self.send(stop_by(job), Duration::ZERO).await;
            }
            _ => {}
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

fn stop_by(job: &Job) -> Message {
    Message::StopBy {
        job: job.id.clone(),
        attempt: job.attempt,
    }
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
