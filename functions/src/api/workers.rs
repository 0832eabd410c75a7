//! The fleet.

use std::sync::Arc;

use aws::store::StoreError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::WorkerId;
use domain::worker::WorkerState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{NoParameters, Parameters, WorkerPath, no_worker};
use super::problem::{PROBLEM_JSON, Problem};
use super::view::WorkerView;

/// Which workers are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Only those in this state. Without it, all but the closed ones.
    #[param(nullable = false)]
    state: Option<WorkerState>,
}

/// The fleet.
#[derive(Serialize, ToSchema)]
pub(super) struct WorkerList {
    /// The workers, by id.
    workers: Vec<WorkerView>,
}

/// Lists the workers.
#[utoipa::path(
    get,
    path = "/workers",
    operation_id = "list_workers",
    tag = "workers",
    params(ListParameters),
    responses((status = 200, body = WorkerList))
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<WorkerList>, Problem> {
    let workers = match parameters.state {
        Some(state) => api.store.workers(&[state]).await?,
        None => api.store.workers(&WorkerState::OPEN).await?,
    };
    // What the index showed may have moved on: the record is the truth.
    let shown = workers.into_iter().filter(|worker| match parameters.state {
        Some(state) => worker.state == state,
        None => worker.state != WorkerState::Closed,
    });
    let mut workers: Vec<_> = shown.collect();
    workers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(WorkerList {
        workers: workers.into_iter().map(WorkerView::from).collect(),
    }))
}

/// One worker.
#[utoipa::path(
    get,
    path = "/workers/{id}",
    operation_id = "get_worker",
    tag = "workers",
    params(("id" = WorkerId, Path, description = "The worker")),
    responses(
        (status = 200, body = WorkerView),
        (status = 404, description = "No such worker", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    WorkerPath(id): WorkerPath,
    _: Parameters<NoParameters>,
) -> Result<Json<WorkerView>, Problem> {
    let worker = api.store.worker(&id).await?.ok_or_else(no_worker)?;
    Ok(Json(worker.into()))
}

/// Drains a worker: it takes no other job, and leaves. A job that it has goes
/// on until another worker is ready for it, within 100 s; a pushed input then
/// reconnects once. The worker learns of it with its next beat.
#[utoipa::path(
    delete,
    path = "/workers/{id}",
    operation_id = "drain_worker",
    tag = "workers",
    params(("id" = WorkerId, Path, description = "The worker")),
    responses(
        (status = 202, description = "It will leave", body = WorkerView),
        (status = 404, description = "No such worker", body = Problem, content_type = PROBLEM_JSON),
        (status = 409, description = "It has left already, or is booting still", body = Problem, content_type = PROBLEM_JSON),
    )
)]
pub(super) async fn drain(
    State(api): State<Arc<Api>>,
    WorkerPath(id): WorkerPath,
    _: Parameters<NoParameters>,
) -> Result<(StatusCode, Json<WorkerView>), Problem> {
    match api.store.drain_worker(&id, Timestamp::now()).await {
        Ok(worker) => {
            tracing::info!(worker_id = %id, "told to leave");
            Ok((StatusCode::ACCEPTED, Json(worker.into())))
        }
        Err(StoreError::Conflict) => {
            let worker = api.store.worker(&id).await?.ok_or_else(no_worker)?;
            let state = worker.state.as_str();
            Err(Problem::illegal_state(format!(
                "a worker that is {state} can't be drained"
            )))
        }
        Err(error) => Err(error.into()),
    }
}
