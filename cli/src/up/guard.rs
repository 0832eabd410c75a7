//! Who may call the API: whoever has the token; without one, programs of this
//! machine, but no web page that a browser of it happens to show.

use std::sync::Arc;

use aws::address::is_loopback;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use functions::api::Problem;
use url::Url;

/// The rule for calls of the API.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<Arc<str>>,
}

impl Guard {
    /// Asks for this token; `None`: for none.
    pub fn new(token: Option<&str>) -> Self {
        Self {
            token: token.map(Arc::from),
        }
    }

    fn refusal(&self, request: &Request) -> Option<Problem> {
        if request.uri().path() == "/health" {
            return None;
        }
        let headers = request.headers();
        match &self.token {
            Some(token) if !shows(headers, token) => Some(Problem::unauthorized(
                "this server asks for a bearer token: send `Authorization: Bearer TOKEN`",
            )),
            None if !is_of_this_machine(headers) => Some(Problem::forbidden(
                "only this machine may call: start `ezlive up` with --token to call from elsewhere",
            )),
            _ => None,
        }
    }
}

/// Lets a request through, or answers it.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let scheme = axum::http::HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
            }
            response
        }
        None => next.run(request).await,
    }
}

/// Compares in the same time wherever the two differ.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        // A scheme's name is read without regard to case (RFC 9110, 11.1).
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    shown.is_some_and(|(_, shown)| domain::ids::equal_secrets(token, shown))
}

/// A page of another site can make a browser call us: it shows by its
/// `Origin`; one that made its name resolve to us, by the `Host`.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // As the API reads it, which puts it into answers.
    let plain = |host: &&str| host.parse::<Authority>().is_ok() && !host.contains('@');
    let host = text(header::HOST)
        .filter(plain)
        .and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let origin = text(header::ORIGIN).map(|origin| Url::parse(origin).ok());
    let host_is_local = host.as_ref().is_some_and(is_loopback);
    let same_origin = match origin {
        None => true,
        Some(origin) => origin.map(|url| url.origin()) == host.map(|url| url.origin()),
    };
    host_is_local && same_origin
}

#[cfg(test)]
mod tests;
