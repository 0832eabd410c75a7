//! That the API answers.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{NoParameters, Parameters};

/// That the API answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The version of ezlive.
    version: &'static str,
}

/// Whether the API answers.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    security(()),
    responses((status = 200, body = Health))
)]
pub(super) async fn health(_: Parameters<NoParameters>) -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}
