//! Who gets in.

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

async fn call(token: Option<&str>, path: &str, headers: &[(&str, &str)]) -> Response {
    let guard = Guard::new(token);
    let router = Router::new()
        .fallback(any(async || "in"))
        .layer(from_fn_with_state(guard, check));
    let request = headers.iter().fold(
        Request::builder().method(Method::POST).uri(path),
        |request, (name, value)| request.header(*name, *value),
    );
    let request = request.body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap()
}

async fn status(token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
    call(token, "/jobs", headers).await.status().as_u16()
}

#[tokio::test]
async fn without_a_token_programs_of_this_machine_get_in() {
    for host in [
        "localhost",
        "localhost:1080",
        "LOCALHOST:1080",
        "127.0.0.1:1080",
        "127.8.8.8",
        "[::1]:1080",
    ] {
        assert_eq!(status(None, &[("host", host)]).await, 200, "{host}");
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_resolve_to_us_is_refused() {
    for host in [
        "evil.test",
        "evil.test:1080",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "192.168.1.7:1080",
        "169.254.169.254",
        "[2001:db8::1]:1080",
        "[::ffff:192.0.2.1]",
        "0.0.0.0:1080",
        "",
        "not a host",
        "localhost@evil.test",
        "evil@127.0.0.1",
        "127.0.0.1/evil",
        "localhost#x",
    ] {
        assert_eq!(status(None, &[("host", host)]).await, 403, "{host}");
    }
    assert_eq!(status(None, &[]).await, 403);
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let host = ("host", "127.0.0.1:1080");
    assert_eq!(
        status(None, &[host, ("origin", "http://127.0.0.1:1080")]).await,
        200
    );
    for origin in [
        "https://evil.test",
        "http://127.0.0.1:1081",
        "https://127.0.0.1:1080",
        "http://localhost:1080",
        "http://127.0.0.1",
        "null",
        "",
    ] {
        let headers = [host, ("origin", origin)];
        assert_eq!(status(None, &headers).await, 403, "{origin}");
    }
}

#[tokio::test]
async fn the_token_opens_and_nothing_else_does() {
    let token = Some("s3cret-token");
    for shown in ["Bearer s3cret-token", "bearer s3cret-token"] {
        let headers = [("host", "live.example"), ("authorization", shown)];
        assert_eq!(status(token, &headers).await, 200, "{shown}");
    }
    for shown in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cret-toke",
        "Bearer s3cret-token2",
        "Bearer S3CRET-TOKEN",
        "Basic s3cret-token",
        "s3cret-token",
    ] {
        let headers = [("host", "127.0.0.1"), ("authorization", shown)];
        assert_eq!(status(token, &headers).await, 401, "{shown}");
    }
    assert_eq!(status(token, &[("host", "127.0.0.1")]).await, 401);
}

/// An empty secret opens to nobody who shows none.
#[tokio::test]
async fn no_token_shown_is_never_the_token() {
    assert_eq!(status(Some(""), &[("host", "127.0.0.1")]).await, 401);
}

#[tokio::test]
async fn a_refusal_tells_the_remedy_and_not_the_token() {
    let refused = call(Some("s3cret-token"), "/jobs", &[]).await;
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("bearer token"), "{body}");
    assert!(!body.contains("s3cret"), "{body}");
}

#[tokio::test]
async fn health_is_open_and_only_health() {
    assert_eq!(call(Some("t"), "/health", &[]).await.status(), 200);
    for path in ["/health/", "/healthy", "/jobs?/health", "//health"] {
        assert_eq!(call(Some("t"), path, &[]).await.status(), 401, "{path}");
    }
}
