//! The OpenAPI document: what the handlers' annotations leave to say.

use std::sync::{Arc, LazyLock};

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use domain::spec::Spec;

use super::extract::{NoParameters, Parameters};
use super::problem::{PROBLEM_JSON, Problem};
use super::{Api, each_handler};

/// The sample of a request body, as it stands at the root of the repository.
const SAMPLE: &str = include_str!("../../../live_job.json");

/// Live channels as a serverless API.
///
/// POST a live job, push or let pull its input, and players watch HLS and
/// DASH. Errors are problem documents (RFC 9457). Times are RFC 3339,
/// bitrates bit/s, lengths of time seconds unless their name says otherwise.
#[derive(OpenApi)]
#[openapi(
    info(title = "ezlive"),
    components(schemas(Problem)),
    tags(
        (name = "jobs", description = "Live channels"),
        (name = "workers", description = "The fleet that runs them"),
        (name = "service", description = "The API itself"),
    )
)]
struct Base;

/// Adds each handler, with what its annotation says and the types it names.
macro_rules! documented {
    ($($module:ident :: $handler:ident,)*) => {{
        use super::{create, delete, health, jobs, list, openapi, wishes, workers};
        OpenApiRouter::<Arc<Api>>::with_openapi(Base::openapi())
            $(.routes(routes!($module::$handler)))*
            .into_openapi()
    }};
}

/// The document, as JSON, made when it is first asked for: a function that is
/// starting has no time for it.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| completed(each_handler!(documented)));

/// The description of this API, in OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "service",
    responses((status = 200, body = Value, content_type = "application/json"))
)]
pub(super) async fn document(_: Parameters<NoParameters>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// Adds the answers that every operation may give, and the token that an
/// operator may ask for.
fn completed(mut document: utoipa::openapi::OpenApi) -> String {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("Asked for where the operator has set a token"));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation);
        }
    }
    // Plain data: there is nothing in it that has no JSON.
    document.to_json().unwrap_or_default()
}

const BEARER: &str = "token";

/// Statuses that every operation may answer with.
const ANYWHERE: [(&str, &str); 3] = [
    (
        "400",
        "The request can't be read; the problem says what of it",
    ),
    ("500", "The server has a fault, which its log tells of"),
    ("503", "The database does not answer just now; try again"),
];

fn complete_operation(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let mut add = |status: &str, description: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name())));
        let response = ResponseBuilder::new()
            .description(description)
            .content(PROBLEM_JSON, content.build());
        responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(response.build()));
    };
    for (status, description) in ANYWHERE {
        add(status, description);
    }
    // An operation that says nothing of its own security may need the token.
    if operation.security.is_none() {
        add("401", "The operator's token is missing or wrong");
        add(
            "403",
            "Without a token only programs of the same machine may call, no page of another site",
        );
        let token: [&str; 0] = [];
        operation.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new(BEARER, token),
        ]);
    }
}

/// The body of a request that brings a spec. Parsing it is the domain's
/// ([`Spec::parse`]); this type only says what it looks like.
pub(super) struct SpecBody;

impl PartialSchema for SpecBody {
    fn schema() -> RefOr<Schema> {
        let free = ObjectBuilder::new()
            .description(Some(
                "The same with keys in any case, bitrates also as \"550k\" or \"2.5M\", 0 and 1 \
                 for booleans, and whatever has a default left out",
            ))
            .build();
        let sample = serde_json::from_str::<Value>(SAMPLE).ok();
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(Spec::name()))
            .item(free)
            .description(Some(
                "A spec. Keys are matched without regard to case; unknown keys are faults.",
            ))
            .examples(sample)
            .into()
    }
}

impl ToSchema for SpecBody {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Spec::name().into_owned(), Spec::schema()));
        Spec::schemas(schemas);
    }
}
