//! What went wrong, as HTTP says it: RFC 9457 problem documents. Every error
//! of the API comes to its status, and to its log line, here and nowhere else.

use aws::store::StoreError;
use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::job::IllegalChange;
use domain::spec::Faults;
use serde::Serialize;
use utoipa::ToSchema;

/// The content type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a client may try again what the database refused.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, for programs.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind of problem, for people.
    title: &'static str,
    /// The status of the answer, repeated.
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    /// What is wrong with this request, and the remedy.
    detail: String,
    /// Each fault of a request body. Absent for other kinds of problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Faults>,
}

fn status_number<S: serde::Serializer>(
    status: &StatusCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// The kinds of problem: status, `type`, `title`.
type Kind = (StatusCode, &'static str, &'static str);

const BAD_REQUEST: Kind = (
    StatusCode::BAD_REQUEST,
    "urn:problem-type:ezlive:bad-request",
    "The request can't be read",
);
const UNAUTHORIZED: Kind = (
    StatusCode::UNAUTHORIZED,
    "urn:problem-type:ezlive:unauthorized",
    "A token is needed",
);
const FORBIDDEN: Kind = (
    StatusCode::FORBIDDEN,
    "urn:problem-type:ezlive:forbidden",
    "The call is not allowed",
);
const NOT_FOUND: Kind = (
    StatusCode::NOT_FOUND,
    "urn:problem-type:ezlive:not-found",
    "There is nothing here",
);
const METHOD_NOT_ALLOWED: Kind = (
    StatusCode::METHOD_NOT_ALLOWED,
    "urn:problem-type:ezlive:method-not-allowed",
    "The method is not allowed here",
);
const TOO_SLOW: Kind = (
    StatusCode::REQUEST_TIMEOUT,
    "urn:problem-type:ezlive:request-timeout",
    "The request took too long",
);
const BODY_TOO_LARGE: Kind = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "urn:problem-type:ezlive:body-too-large",
    "The request body is too large",
);
const INVALID_SPEC: Kind = (
    StatusCode::UNPROCESSABLE_ENTITY,
    "urn:problem-type:ezlive:invalid-spec",
    "The spec is not valid",
);
const ILLEGAL_STATE: Kind = (
    StatusCode::CONFLICT,
    "urn:problem-type:ezlive:illegal-state",
    "The state does not allow this",
);
const KEY_REUSED: Kind = (
    StatusCode::CONFLICT,
    "urn:problem-type:ezlive:idempotency-key-reused",
    "The idempotency key was used before",
);
const INTERNAL: Kind = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "urn:problem-type:ezlive:internal",
    "The server has a fault",
);
const UNAVAILABLE: Kind = (
    StatusCode::SERVICE_UNAVAILABLE,
    "urn:problem-type:ezlive:unavailable",
    "Unavailable for a moment",
);

impl Problem {
    fn new((status, kind, title): Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status,
            detail: detail.into(),
            errors: None,
        }
    }

    /// 400: a parameter, a header or the JSON of the body can't be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(BAD_REQUEST, detail)
    }

    /// 401: the token is missing or wrong.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(UNAUTHORIZED, detail)
    }

    /// 403: whoever calls may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, detail)
    }

    /// 405; the router adds `Allow`.
    pub fn method_not_allowed() -> Self {
        Self::new(
            METHOD_NOT_ALLOWED,
            "the header Allow names the methods of this path",
        )
    }

    /// 408.
    pub fn too_slow(detail: impl Into<String>) -> Self {
        Self::new(TOO_SLOW, detail)
    }

    /// 413.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            BODY_TOO_LARGE,
            format!("a body may have up to {limit} bytes"),
        )
    }

    /// 409: the state of a job or worker does not allow what was asked.
    pub fn illegal_state(detail: impl Into<String>) -> Self {
        Self::new(ILLEGAL_STATE, detail)
    }

    /// 409: the `Idempotency-Key` stands for something else.
    pub fn key_reused(detail: impl Into<String>) -> Self {
        Self::new(KEY_REUSED, detail)
    }

    /// 500, and never from input: the answer says nothing of the inside, the
    /// log does.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "the API could not answer");
        Self::new(
            INTERNAL,
            "the server could not carry this out; its log says why",
        )
    }

    /// 503: the same request may succeed in a moment.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, detail)
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let detail = match faults.0.len() {
            1 => "it has 1 fault".to_owned(),
            n => format!("it has {n} faults"),
        };
        Self {
            errors: Some(faults),
            ..Self::new(INVALID_SPEC, detail)
        }
    }
}

impl From<IllegalChange> for Problem {
    fn from(error: IllegalChange) -> Self {
        Self::illegal_state(error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict | StoreError::Contended => {
                Self::unavailable("the record changed meanwhile; try again")
            }
            StoreError::Unavailable(fault) => {
                tracing::warn!(fault, "the database is unavailable");
                Self::unavailable("the database does not answer just now; try again")
            }
            unreadable @ StoreError::Unreadable { .. } => Self::internal(&unreadable),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
