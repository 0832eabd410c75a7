//! Jobs go: at once where nothing is left to do, else by the scheduler.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::ids::JobId;
use domain::job::{Change, Deletion, Job};
use domain::protocol::{OnDeleteRequest, on_delete_request};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::extract::{Host, JobPath, Parameters};
use super::problem::{PROBLEM_JSON, Problem};
use super::step::StepError;
use super::view::JobView;

/// How a job is deleted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParameters {
    /// Also a live job: it is stopped first.
    #[serde(default)]
    force: bool,
    /// Remove its segments and playlists too.
    #[serde(default)]
    media: bool,
}

/// Deletes a job and its history. What takes time (stopping it, removing its
/// media) goes on after the answer.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    operation_id = "delete_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), DeleteParameters),
    responses(
        (status = 202, description = "It is being deleted", body = JobView),
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "The job has not ended: stop it first, or use `force`", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<DeleteParameters>,
    host: Host,
) -> Result<Response, Problem> {
    let (api, parameters) = (&*api, &parameters);
    let left = api
        .step(&id, |job| async move { api.delete(job, parameters).await })
        .await?;
    match left {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(job) => {
            let view = api.view(&job, &host).await?;
            Ok((StatusCode::ACCEPTED, Json(view)).into_response())
        }
    }
}

impl Api {
    /// Deletes a job, or sets it to be deleted; then what is left of it.
    async fn delete(
        &self,
        job: Job,
        parameters: &DeleteParameters,
    ) -> Result<Option<Job>, StepError> {
        let deletion = match on_delete_request(&job, parameters.force, parameters.media) {
            OnDeleteRequest::Remove => {
                // Marked first: nobody resumes it while its history goes.
                let deletion = Deletion { media: false };
                let job = self
                    .commit(&job, Change::RequestDelete { deletion })
                    .await?;
                self.store.delete_job(&job).await?;
                tracing::info!(job_id = %job.id, "deleted");
                return Ok(None);
            }
            OnDeleteRequest::Refuse => {
                return Err(Problem::illegal_state(format!(
                    "a job that is {} can't be deleted; stop it first, or delete it with ?force=true",
                    job.state.as_str()
                ))
                .into());
            }
            OnDeleteRequest::Stands => {
                self.follow_deletion(&job).await;
                return Ok(Some(job));
            }
            OnDeleteRequest::Mark(deletion) => deletion,
        };
        let ended_before = job.state.is_ended();
        let job = self
            .commit(&job, Change::RequestDelete { deletion })
            .await?;
        if !ended_before {
            self.follow_up(&job).await;
        }
        self.follow_deletion(&job).await;
        Ok(Some(job))
    }
}
