//! One job: read it, give it another spec.

use axum::Json;
use domain::ids::JobId;
use domain::job::Change;

use super::extract::{Body, JobCall};
use super::openapi::SpecBody;
use super::problem::{PROBLEM_JSON, Problem};
use super::view::JobView;

/// One job, with its live stats.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    operation_id = "get_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn get(JobCall { api, id, host }: JobCall) -> Result<Json<JobView>, Problem> {
    let job = api.job(&id).await?;
    Ok(Json(api.view(&job, &host).await?))
}

/// Replaces the spec of an ended job, for its next start.
#[utoipa::path(
    patch,
    path = "/jobs/{id}",
    operation_id = "replace_spec",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    request_body = SpecBody,
    responses(
        (status = 200, body = JobView),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "The job has not ended: stop it first; or it is being deleted, or it has published and would move to another bucket", body = Problem, content_type = PROBLEM_JSON),
        (status = 408, description = "The body did not come in time", body = Problem, content_type = PROBLEM_JSON),
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec is not valid: all its faults, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn replace_spec(
    JobCall { api, id, host }: JobCall,
    Body(body): Body,
) -> Result<Json<JobView>, Problem> {
    let (api, spec) = (&*api, &api.read_spec(&body)?);
    let job = api
        .step(&id, |job| async move {
            let spec = spec.clone();
            api.commit(&job, Change::ReplaceSpec { spec }).await
        })
        .await?;
    Ok(Json(api.view(&job, &host).await?))
}
