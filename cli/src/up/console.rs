//! The web console, embedded in this binary when it was built with it.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../console/dist"]
#[allow_missing = true]
struct Files;

/// What a page of the console may load, nothing from elsewhere but media, and
/// what markup in it could not change: where its links and forms lead.
const POLICY: &str = "default-src 'self'; media-src 'self' blob: *; connect-src 'self' *; \
                      worker-src blob:; img-src 'self' data:; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";

const MISSING: &str = "ezlive is running, but its console was not built into it: it needs npm. \
                       Install npm, run `make build`, and start again. The API works as it is.\n";

/// A file of the console; the page itself at `/`.
pub async fn file(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    match Files::get(path) {
        Some(file) => {
            let kind = file.metadata.mimetype().to_owned();
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
                (header::CACHE_CONTROL, "no-cache".to_owned()),
            ];
            (headers, file.data).into_response()
        }
        None if path == "index.html" => (StatusCode::NOT_FOUND, MISSING).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whether this binary has the console.
pub fn is_there() -> bool {
    Files::get("index.html").is_some()
}

/// The paths of the console's files.
pub fn paths() -> impl Iterator<Item = String> {
    Files::iter().map(|path| format!("/{path}"))
}
