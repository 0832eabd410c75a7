//! The one HTTP address: API, playback, console.

use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use functions::api::Api;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{Any, CorsLayer};
use tower_http::services::ServeDir;

use super::UpArgs;
use super::console;
use super::guard::{self, Guard};
use super::server;

/// Serves until `ended`.
///
/// # Errors
/// As [`server::serve`].
pub async fn serve(
    listener: TcpListener,
    api: Api,
    args: &UpArgs,
    ended: CancellationToken,
) -> std::io::Result<()> {
    let guard = Guard::new(args.token.as_deref());
    let api = functions::api::router(api).layer(from_fn_with_state(guard, guard::check));
    let app = Router::new()
        .nest_service("/live", playback(&args.media_folder()))
        .merge(console_files())
        .fallback_service(api);
    server::serve(listener, app, ended).await
}

fn console_files() -> Router {
    // One route each: what is no file of the console is the API's to answer.
    console::paths().fold(
        Router::new().route("/", get(console::file)),
        |router, path| router.route(&path, get(console::file)),
    )
}

/// What players fetch, as a bucket behind a CDN would serve it: to any page,
/// with ranges, playlists hardly cached and segments for long.
fn playback(media: &Path) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        .allow_headers(Any)
        .expose_headers(Any);
    Router::new()
        .fallback_service(ServeDir::new(media).append_index_html_on_directories(false))
        .layer(from_fn(media_headers))
        .layer(cors)
}

/// Far more than job, attempt, run, label and file name take together.
const LONGEST_PATH: usize = 1024;

/// The headers of what is there for players; `None` for what the folder holds
/// besides: timelines, and files not yet whole (their names begin with a dot).
fn published(path: &str) -> Option<(&'static str, &'static str)> {
    // No file system takes longer ones, and nothing published has them.
    let is_long = path.len() > LONGEST_PATH || path.split('/').any(|name| name.len() > 255);
    // Nothing published needs `%`, behind which a dot could hide.
    let is_hidden = path.contains('%') || path.split('/').any(|name| name.starts_with('.'));
    let is_ours = is_long || is_hidden || path.ends_with(".json");
    (!is_ours).then(|| aws::media::headers_of(path)).flatten()
}

async fn media_headers(request: Request, next: Next) -> Response {
    let Some((kind, cache)) = published(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

#[cfg(test)]
mod tests {
    use super::published;

    #[test]
    fn players_get_media_and_nothing_else() {
        for path in ["/job/index.m3u8", "/job/v0/1-2.m4s", "/job/manifest.mpd"] {
            assert!(published(path).is_some(), "{path}");
        }
        for path in [
            "/job/timeline.json",
            "/job/timelin%65.jso%6e",
            "/.key/a.m4s",
            "/job/%2ehidden.m4s",
            "/job/../a.m4s",
            "/job/notes",
        ] {
            assert_eq!(published(path), None, "{path}");
        }
        let long_name = format!("/job/{}.m4s", "a".repeat(252));
        let deep = format!("/job{}/a.m4s", "/a".repeat(1000));
        assert_eq!((published(&long_name), published(&deep)), (None, None));
    }
}
