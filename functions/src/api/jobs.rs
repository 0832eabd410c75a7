//! Jobs: create, list, read, change, delete.

use std::collections::HashMap;
use std::sync::Arc;

use aws::store::Created;
use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::event::Event;
use domain::ids::JobId;
use domain::job::{Change, Deletion, Job, JobState};
use domain::spec::Spec;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::dry_run::DryRun;
use super::extract::{Body, Host, IdempotencyKey, JobPath, NoParameters, Parameters};
use super::openapi::SpecBody;
use super::problem::{PROBLEM_JSON, Problem};
use super::step::StepError;
use super::view::{JobView, Reader};

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
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec has faults: all of them, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Parameters(parameters): Parameters<CreateParameters>,
    key: IdempotencyKey,
    host: Host,
    Body(body): Body,
) -> Result<Response, Problem> {
    let spec = api.read_spec(&body)?;
    if parameters.dry_run {
        let dry_run = DryRun::of(spec).map_err(|error| Problem::internal(&error))?;
        return Ok(Json(dry_run).into_response());
    }
    let job = api.create(spec, &key, &body).await?;
    let location: [(HeaderName, String); 1] = [(LOCATION, format!("/jobs/{}", job.id))];
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
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec has faults: all of them, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn create_live_job(
    state: State<Arc<Api>>,
    parameters: Parameters<CreateParameters>,
    key: IdempotencyKey,
    host: Host,
    body: Body,
) -> Result<Response, Problem> {
    create(state, parameters, key, host, body).await
}

impl Api {
    /// Reads a body as a spec: 400 where it is no JSON, 422 where it is no spec.
    fn read_spec(&self, body: &[u8]) -> Result<Spec, Problem> {
        if let Err(error) = serde_json::from_slice::<Value>(body) {
            return Err(Problem::bad_request(format!(
                "the body is no valid JSON: {error}"
            )));
        }
        Ok(Spec::parse(body, &self.settings.policy)?)
    }

    async fn create(&self, spec: Spec, key: &IdempotencyKey, body: &[u8]) -> Result<Job, Problem> {
        let idempotency = key.with_body(body);
        let job = Job::new(JobId::generate(), spec, Timestamp::now());
        let job = match self.store.create_job(&job, idempotency.as_ref()).await? {
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

    async fn created_before(&self, id: &JobId) -> Result<Job, Problem> {
        match self.store.job(id).await? {
            Some(stored) => Ok(stored.job),
            None => Err(Problem::key_reused(
                "the job that was created with this Idempotency-Key has been deleted since; use a new one",
            )),
        }
    }
}

/// The length of a page.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Limit(u32);

/// The longest page.
const LONGEST_PAGE: u32 = 100;

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=LONGEST_PAGE).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("must be from 1 to {LONGEST_PAGE}"))
        }
    }
}

/// A place in the list of jobs.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Cursor(JobId);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(cursor: String) -> Result<Self, Self::Error> {
        JobId::parse(&cursor)
            .map(Self)
            .ok_or("must be the next_cursor of a page before")
    }
}

/// Which jobs are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Only those in this state.
    #[param(nullable = false)]
    state: Option<JobState>,
    /// How many at most.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 100, default = 20)]
    limit: Option<Limit>,
    /// Where to go on: the `next_cursor` of the page before.
    #[param(value_type = Option<String>, nullable = false)]
    cursor: Option<Cursor>,
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// The jobs, newest first, without their secrets.
    jobs: Vec<JobView>,
    /// Where the next page starts; null: this was the last.
    next_cursor: Option<JobId>,
}

/// Lists the jobs, newest first. Secrets are not shown.
#[utoipa::path(
    get,
    path = "/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(ListParameters),
    responses((status = 200, body = JobList))
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Parameters(parameters): Parameters<ListParameters>,
    host: Host,
) -> Result<Json<JobList>, Problem> {
    let states = match &parameters.state {
        Some(state) => std::slice::from_ref(state),
        None => &JobState::ALL,
    };
    let limit = parameters.limit.map_or(20, |Limit(limit)| limit as usize);
    let before = parameters.cursor.map(|Cursor(id)| id);
    let page = api.store.jobs(states, limit, before.as_ref()).await?;
    let ids = page.jobs.iter().filter_map(|job| job.worker_id.as_ref());
    let workers: HashMap<_, _> = api
        .store
        .workers_with_ids(ids)
        .await?
        .into_iter()
        .map(|worker| (worker.id.clone(), worker))
        .collect();
    let (base, now) = (api.settings.playback.base(&host), Timestamp::now());
    let jobs = page.jobs.iter().map(|job| {
        let worker = job.worker_id.as_ref().and_then(|id| workers.get(id));
        JobView::new(job, worker, Reader::Lister, &base, now)
    });
    let jobs = jobs.collect::<Result<_, _>>();
    Ok(Json(JobList {
        jobs: jobs.map_err(|error| Problem::internal(&error))?,
        next_cursor: page.next,
    }))
}

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
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    JobPath(id): JobPath,
    _: Parameters<NoParameters>,
    host: Host,
) -> Result<Json<JobView>, Problem> {
    let job = api.job(&id).await?;
    Ok(Json(api.view(&job, &host).await?))
}

/// Which part of a history is shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParameters {
    /// Only events after the one with this number: the `next_cursor` of the
    /// page before, or the last number seen.
    #[serde(default)]
    #[param(value_type = Option<u64>, nullable = false, default = 0)]
    after: u64,
    /// How many at most.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 100, default = 100)]
    limit: Option<Limit>,
}

/// A part of a job's history.
#[derive(Serialize, ToSchema)]
pub(super) struct EventList {
    /// Every transition, oldest first.
    events: Vec<Event>,
    /// The number to go on after; null: there is no more yet.
    next_cursor: Option<u64>,
}

/// A job's history: every transition, with time, attempt, worker and reason.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    operation_id = "list_events",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job"), EventParameters),
    responses(
        (status = 200, body = EventList),
        (status = 404, description = "No such job", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    JobPath(id): JobPath,
    Parameters(parameters): Parameters<EventParameters>,
) -> Result<Json<EventList>, Problem> {
    let limit = parameters.limit.map_or(LONGEST_PAGE, |Limit(limit)| limit);
    let job = api.job(&id).await?;
    // The job was read first: what its version counts is in the history.
    let events = api.store.events(&id, parameters.after, limit).await?;
    let last = events.last().map(|event| event.seq);
    Ok(Json(EventList {
        next_cursor: last.filter(|last| *last < job.version),
        events,
    }))
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
        (status = 409, description = "The job has not ended: stop it first", body = Problem, content_type = PROBLEM_JSON),
        (status = 413, description = "The body is too large", body = Problem, content_type = PROBLEM_JSON),
        (status = 422, description = "The spec has faults: all of them, each with a JSON pointer", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn replace_spec(
    State(api): State<Arc<Api>>,
    JobPath(id): JobPath,
    _: Parameters<NoParameters>,
    host: Host,
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
        // A deletion asked for before stands; this one may add to it.
        let before = job.deletion;
        let deletion = Deletion {
            media: parameters.media || before.is_some_and(|before| before.media),
        };
        if job.state.is_ended() && !deletion.media {
            self.store.delete_job(&job).await?;
            tracing::info!(job_id = %job.id, "deleted");
            return Ok(None);
        }
        if !job.state.is_ended() && !parameters.force && before.is_none() {
            return Err(Problem::illegal_state(format!(
                "a job that is {} can't be deleted; stop it first, or delete it with ?force=true",
                job.state.as_str()
            ))
            .into());
        }
        if before == Some(deletion) {
            self.follow_deletion(&job).await;
            return Ok(Some(job));
        }
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
