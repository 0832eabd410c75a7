//! The one HTTP address: API, playback, console.

use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state, Next};
use axum::response::Response;
use axum::routing::get;
use functions::api::Api;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{Any, CorsLayer};
use tower_http::services::ServeDir;

use super::UpArgs;
use super::console;
use super::guard::{self, Guard};

/// Serves until `ended`.
///
/// # Errors
/// What the listener fails with.
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
    axum::serve(listener, app)
        .with_graceful_shutdown(ended.cancelled_owned())
        .await
}

fn console_files() -> Router {
    Router::new()
        .route("/", get(console::file))
        .route("/console/{*path}", get(console::file))
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

async fn media_headers(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let Some((kind, cache)) = aws::media::headers_of(&path) else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
