//! DynamoDB's protocol in front of the embedded database, for our own
//! processes alone: the records hold stream keys. The library's own server
//! would answer any web page that a browser of this machine shows (it speaks
//! CORS) and any local user, whatever the credentials.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// DynamoDB's limit of one request, in bytes.
const BODY_LIMIT: usize = 16 << 20;
/// What comes before the operation's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "DynamoDB_20120810.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

struct Served {
    database: Database,
    access_key: String,
}

/// The operations that [`aws::store`] uses, for who shows this access key.
pub fn router(database: Database, access_key: &str) -> Router {
    let served = Served {
        database,
        access_key: access_key.to_owned(),
    };
    Router::new()
        .route("/", post(answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Arc::new(served))
}

async fn answer(State(served): State<Arc<Served>>, headers: HeaderMap, body: String) -> Response {
    // Our own client sends no `Origin`; a browser does, from any page.
    if headers.contains_key(header::ORIGIN) || !shows(&headers, &served.access_key) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let operation = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix(TARGET_PREFIX))
        .unwrap_or_default()
        .to_owned();
    let database = served.database.clone();
    let run = tokio::task::spawn_blocking(move || {
        run(&database, &operation, &body).unwrap_or_else(|| Err(unknown(&operation)))
    });
    let (status, body) = match run.await {
        Ok(Ok(body)) => (StatusCode::OK, body),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status_code());
            (status.unwrap_or(StatusCode::BAD_REQUEST), error.to_json())
        }
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

/// Whether a request is signed by this access key (SigV4's `Credential`). The
/// key is the secret here, so the signature has nothing to add.
fn shows(headers: &HeaderMap, access_key: &str) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, credential)| credential.split_once('/'))
        .is_some_and(|(shown, _)| domain::ids::equal_secrets(access_key, shown))
}

/// Carries out an operation that [`aws::store`] uses, named as in
/// `X-Amz-Target`; request and answer are its JSON. `None`: it is none of them.
///
/// # Errors
/// DynamoDB's own, inside.
pub fn run(db: &Database, operation: &str, body: &str) -> Option<Result<String, DynoxideError>> {
    Some(match operation {
        "GetItem" => with(body, |request| db.get_item(request)),
        "BatchGetItem" => with(body, |request| db.batch_get_item(request)),
        "Query" => with(body, |request| db.query(request)),
        "UpdateItem" => with(body, |request| db.update_item(request)),
        "BatchWriteItem" => with(body, |request| db.batch_write_item(request)),
        "TransactWriteItems" => with(body, |request| db.transact_write_items(request)),
        "ListTables" => with(body, |request| db.list_tables(request)),
        "CreateTable" => with(body, |request| db.create_table(request)),
        "UpdateTimeToLive" => with(body, |request| db.update_time_to_live(request)),
        _ => return None,
    })
}

fn unknown(operation: &str) -> DynoxideError {
    DynoxideError::ValidationException(format!(
        "the embedded database has no operation `{operation}`"
    ))
}

fn with<Q: DeserializeOwned, A: Serialize>(
    body: &str,
    operation: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_str(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_string(&operation(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(key: &str, origin: Option<&str>) -> StatusCode {
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/local/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=00"
        );
        let mut request = Request::post("/")
            .header("authorization", signed)
            .header("x-amz-target", "DynamoDB_20120810.ListTables");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(Body::from("{}")).unwrap();
        let router = router(Database::memory().unwrap(), "right");
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_our_own_processes_are_answered() {
        assert_eq!(status("right", None).await, StatusCode::OK);
        assert_eq!(status("wrong", None).await, StatusCode::FORBIDDEN);
        let page = Some("http://localhost:3000");
        assert_eq!(status("right", page).await, StatusCode::FORBIDDEN);
    }
}
