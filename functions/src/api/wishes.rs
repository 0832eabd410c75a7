//! What a client wants of a job now: on air, held, off; and a new key.

use axum::Json;
use axum::http::StatusCode;
use domain::ids::{JobId, StreamKey};
use domain::job::{Change, Desired};

use super::extract::JobCall;
use super::problem::{PROBLEM_JSON, Problem};
use super::view::JobView;

/// An answer to a wish: 202 where it is new, 200 where the job is set to it.
type Answer = Result<(StatusCode, Json<JobView>), Problem>;

/// Sets what is wanted of a job. Repeating a wish changes nothing.
async fn wish(JobCall { api, id, host }: &JobCall, desired: Desired) -> Answer {
    let change = match desired {
        Desired::Stop => Change::RequestStop,
        Desired::Pause => Change::RequestPause,
        Desired::Run => Change::RequestResume,
    };
    let (status, job) = api
        .step(id, |job| {
            let change = change.clone();
            async move {
                if job.already_wants(desired) {
                    return Ok((StatusCode::OK, job));
                }
                let was_ended = job.state.is_ended();
                let job = api.commit(&job, change).await?;
                // A held or resumed job is its worker's to see to.
                if was_ended || desired == Desired::Stop {
                    api.follow_up(&job).await;
                }
                Ok((StatusCode::ACCEPTED, job))
            }
        })
        .await?;
    Ok((status, Json(api.view(&job, host).await?)))
}

/// Stops a job: the worker finishes the segment in hand, ends the playlists
/// and is free; all that within seconds.
#[utoipa::path(
    put,
    path = "/jobs/{id}/stop",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "It has stopped or is stopping already", body = JobView),
        (status = 202, description = "It will stop", body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn stop(call: JobCall) -> Answer {
    wish(&call, Desired::Stop).await
}

/// Holds a job: its worker, ingest address and playlists are kept.
#[utoipa::path(
    put,
    path = "/jobs/{id}/pause",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "It is held already", body = JobView),
        (status = 202, description = "It will be held", body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "It is ended or stopping", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn pause(call: JobCall) -> Answer {
    wish(&call, Desired::Pause).await
}

/// Brings a held or ended job back on air, under the same stream key and
/// playback URLs.
#[utoipa::path(
    put,
    path = "/jobs/{id}/resume",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "It is on air already", body = JobView),
        (status = 202, description = "It will go on", body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "It is stopping: wait until it has stopped; or it is being deleted", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn resume(call: JobCall) -> Answer {
    wish(&call, Desired::Run).await
}

/// Gives a job another stream key; a publisher on the old one is cut.
#[utoipa::path(
    put,
    path = "/jobs/{id}/stream-key",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, description = "It has a new key", body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "It is being deleted", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn rotate_stream_key(
    JobCall { api, id, host }: JobCall,
) -> Result<Json<JobView>, Problem> {
    let api = &*api;
    let job = api
        .step(&id, |job| async move {
            let key = StreamKey::generate();
            api.commit(&job, Change::RotateKey { key }).await
        })
        .await?;
    Ok(Json(api.view(&job, &host).await?))
}
