//! Jobs come into being: the spec, the record, the idempotency key, the dry
//! run.

use std::sync::Arc;

use aws::store::{Created, Idempotency, StoreError};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use domain::ids::JobId;
use domain::job::{Job, JobState};
use domain::spec::Spec;
use domain::trace::TraceId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Api;
use super::dry_run::DryRun;
use super::extract::{Body, Host, IdempotencyKey, Parameters};
use super::openapi::SpecBody;
use super::problem::{PROBLEM_JSON, Problem};
use super::step::TRIES;
use super::view::JobView;

/// How a job is created.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateParameters {
    /// Only check the spec, and show what would be run.
    #[serde(default)]
    dry_run: bool,
}

/// Creates a job, which a worker then takes up. With `dry_run`, checks the
/// spec only, and answers with what would be run.
///
/// The body's keys are matched without regard to case: `Input.Url` and
/// `input.url` are the same. Any content type is taken.
#[utoipa::path(
    post,
    path = "/jobs",
    operation_id = "create_job",
    tag = "jobs",
    params(
        CreateParameters,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            description = "Makes the request safe to send again: the same key and body give the same job, for a day"),
    ),
    request_body = SpecBody,
    responses(
        (status = 201, description = "The job, new or of the request before with this key", body = JobView,
            headers(("Location" = String, description = "The job's path"))),
        (status = 200, description = "What would be run (`dry_run`)", body = DryRun),
        (status = 409, description = "The idempotency key was used before", body = Problem, content_type = PROBLEM_JSON),
        (status = 408, description = "The body did not come in time", body = Problem, content_type = PROBLEM_JSON),
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec is not valid: all its faults, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Parameters(parameters): Parameters<CreateParameters>,
    Extension(trace): Extension<TraceId>,
    key: IdempotencyKey,
    host: Host,
    Body(body): Body,
) -> Result<Response, Problem> {
    let spec = api.read_spec(&body)?;
    if parameters.dry_run {
        let dry_run =
            DryRun::of(spec, &api.settings.policy).map_err(|error| Problem::internal(&error))?;
        return Ok(Json(dry_run).into_response());
    }
    let job = api.create(spec, trace, &key, &body).await?;
    let location = [(LOCATION, format!("/jobs/{}", job.id))];
    let view = api.view(&job, &host).await?;
    Ok((StatusCode::CREATED, location, Json(view)).into_response())
}

/// The same as `POST /jobs`, under the name that older clients know.
#[utoipa::path(
    post,
    path = "/createLiveJob",
    operation_id = "create_live_job",
    tag = "jobs",
    params(
        CreateParameters,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            description = "Makes the request safe to send again: the same key and body give the same job, for a day"),
    ),
    request_body = SpecBody,
    responses(
        (status = 201, description = "The job, new or of the request before with this key", body = JobView,
            headers(("Location" = String, description = "The job's path"))),
        (status = 200, description = "What would be run (`dry_run`)", body = DryRun),
        (status = 409, description = "The idempotency key was used before", body = Problem, content_type = PROBLEM_JSON),
        (status = 408, description = "The body did not come in time", body = Problem, content_type = PROBLEM_JSON),
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec is not valid: all its faults, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn create_live_job(
    state: State<Arc<Api>>,
    parameters: Parameters<CreateParameters>,
    trace: Extension<TraceId>,
    key: IdempotencyKey,
    host: Host,
    body: Body,
) -> Result<Response, Problem> {
    create(state, parameters, trace, key, host, body).await
}

impl Api {
    /// Reads a body as a spec: 400 where it is no JSON, 422 where it is no spec.
    pub(super) fn read_spec(&self, body: &[u8]) -> Result<Spec, Problem> {
        if let Err(error) = serde_json::from_slice::<Value>(body) {
            return Err(Problem::bad_request(format!(
                "the body is no valid JSON: {error}"
            )));
        }
        Ok(Spec::parse(body, &self.settings.policy)?)
    }

    async fn create(
        &self,
        spec: Spec,
        trace: TraceId,
        key: &IdempotencyKey,
        body: &[u8],
    ) -> Result<Job, Problem> {
        let idempotency = key.with_body(body);
        let job = Job {
            trace_id: Some(trace),
            ..Job::new(JobId::generate(), spec, Timestamp::now())
        };
        let job = match self.store_new(&job, idempotency.as_ref()).await? {
            Created::New => {
                tracing::info!(job_id = %job.id, "created");
                job
            }
            Created::Before(id) => self.created_before(&id).await?,
            Created::KeyReused => {
                return Err(Problem::key_reused(
                    "the Idempotency-Key was used with another body; use a new one",
                ));
            }
        };
        // Also where the job was there before: the request before may have
        // died between its write and its message.
        if job.state == JobState::Created {
            self.follow_up(&job).await;
        }
        Ok(job)
    }

    /// Writes a new job, again where another request with the same key is
    /// being written at this moment.
    async fn store_new(
        &self,
        job: &Job,
        idempotency: Option<&Idempotency>,
    ) -> Result<Created, StoreError> {
        for _ in 1..TRIES {
            match self.store.create_job(job, idempotency).await {
                Err(StoreError::Conflict) => {}
                written => return written,
            }
        }
        self.store.create_job(job, idempotency).await
    }

    async fn created_before(&self, id: &JobId) -> Result<Job, Problem> {
        match self.store.job(id).await? {
            Some(stored) => Ok(stored.job),
            None => Err(Problem::key_reused(
                "the job that was created with this Idempotency-Key has been deleted since; use a new one",
            )),
        }
    }
}
