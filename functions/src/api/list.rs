//! Lists in pages: jobs, and a job's history.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::event::Event;
use domain::ids::JobId;
use domain::job::JobState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Host, JobPath, Parameters};
use super::problem::{PROBLEM_JSON, Problem};
use super::view::{JobView, Reader};

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
    #[param(value_type = Option<JobId>, nullable = false)]
    cursor: Option<Cursor>,
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// The jobs, newest first, without their secrets.
    jobs: Vec<JobView>,
    /// Where the next page starts; null: this was the last.
    #[schema(required)]
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
pub(super) async fn jobs(
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
    let now = Timestamp::now();
    let jobs = page.jobs.iter().map(|job| {
        let worker = job.worker_id.as_ref().and_then(|id| workers.get(id));
        let warning = api.settings.policy.warning(&job.spec);
        let base = api.settings.playback.base(job, &host);
        JobView::new(job, worker, Reader::Lister, &base, now).map(|view| view.with_warning(warning))
    });
    let jobs = jobs.collect::<Result<_, _>>();
    Ok(Json(JobList {
        jobs: jobs.map_err(|error| Problem::internal(&error))?,
        next_cursor: page.next,
    }))
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
    #[schema(required)]
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
