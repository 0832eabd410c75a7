//! The one HTTP address: API, playback, console.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use functions::api::Api;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::cors::{Any, CorsLayer};
use tower_http::services::ServeDir;

use super::UpArgs;
use super::console;
use super::guard::{self, Guard};

/// How long a connection may take over the head of a request, and may be kept
/// without one: who only holds connections open does not use them up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `ended`, and then what is under way.
pub async fn serve(listener: TcpListener, api: Api, args: &UpArgs, ended: CancellationToken) {
    let guard = Guard::new(args.token.as_deref());
    let api = functions::api::router(api).layer(from_fn_with_state(guard, guard::check));
    let app = Router::new()
        .nest_service("/live", playback(&args.media_folder()))
        .merge(console_files())
        .fallback_service(api);
    accept(listener, app, HEAD_TIMEOUT, ended).await;
}

async fn accept(listener: TcpListener, app: Router, patience: Duration, ended: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, app.clone(), patience, ended.clone()));
            }
            Err(error) => {
                // Out of descriptors, or a connection gone before its turn.
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, app: Router, patience: Duration, ended: CancellationToken) {
    // Answers are written whole: nothing is to be waited for.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request: Request<hyper::body::Incoming>| {
        app.clone().oneshot(request.map(Body::new))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), answer);
    let mut serving = pin!(serving);
    // How a connection fails is its client's affair.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = ended.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
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

/// The headers of what is there for players; `None` for what the folder holds
/// besides: timelines, and files not yet whole (their names begin with a dot).
fn published(path: &str) -> Option<(&'static str, &'static str)> {
    // Nothing published needs `%`, behind which a dot could hide.
    let is_hidden = path.contains('%') || path.split('/').any(|name| name.starts_with('.'));
    let is_ours = is_hidden || path.ends_with(".json");
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
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_only_holds_a_connection_open_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(|| async { "here" }));
        let ended = CancellationToken::new();
        let patience = Duration::from_millis(100);
        let serving = tokio::spawn(accept(listener, app, patience, ended.clone()));
        for slow in ["", "GET / HTTP/1.1\r\nX-Slow: ", "GET / HTTP/1.1\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(slow.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            tokio::time::timeout(Duration::from_secs(20), read)
                .await
                .unwrap_or_else(|_| panic!("{slow:?} is held open"))
                .unwrap();
            assert_eq!(answer.ends_with("here"), slow.ends_with("\r\n\r\n"));
        }
        ended.cancel();
        serving.await.unwrap();
    }

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
    }
}
