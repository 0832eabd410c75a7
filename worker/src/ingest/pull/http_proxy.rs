//! The HTTP proxy (RFC 9110, section 7.6) that FFmpeg's requests go through.
//! FFmpeg follows redirects and playlists by itself, but asks for each URL here,
//! where its host is resolved, checked and pinned, and spoken to by TLS where it
//! is [`marked`](super::marked).
//!
//! That FFmpeg asks here, rather than connect somewhere itself, is the proxy's
//! to see to: it reads every body, and lets no playlist pass that leads FFmpeg
//! elsewhere ([`playlist`]); and of the answers' headers only those that FFmpeg
//! needs, so that none has it read another body than was read here (as ICY
//! metadata or a coding would) or resolve a playlist's URLs by another base.
//!
//! It listens on loopback for one run, and wants credentials that only that
//! run's FFmpeg is given, in its environment, so that no other user of the
//! machine fetches through it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::ids::StreamKey;
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use super::marked::{Origin, marked};
use super::{AbortOnDrop, Report, playlist};
use crate::ingest::address::{AddressError, AddressPolicy};
use crate::ingest::tls;

/// A request's or response's head, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// For a request to be there after the connection is.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For TLS to come about, once there is a connection.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// FFmpeg has two or three at a time.
const MAX_CONNECTIONS: usize = 32;
const USER: &str = "ezlive";

/// What FFmpeg is told of an answer, beside where it redirects to.
const PASSED: [HeaderName; 6] = [
    ACCEPT_RANGES,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    // FFmpeg knows the ways of some servers.
    SERVER,
    WWW_AUTHENTICATE,
];

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One run's proxy.
#[derive(Clone)]
pub struct Proxy {
    policy: AddressPolicy,
    report: Report,
    /// A secret with a comparison that takes the same time wherever the two
    /// differ.
    password: StreamKey,
    /// Made when it is first needed, where it was not given.
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

/// A connection to an origin.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Proxy {
    /// A proxy with credentials of its own. Certificates are checked as the
    /// platform does, or as `tls` says.
    pub fn new(policy: AddressPolicy, report: Report, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            policy,
            report,
            password: StreamKey::generate(),
            tls: Arc::new(tls.map_or_else(OnceLock::new, OnceLock::from)),
        }
    }

    /// What FFmpeg's environment names as `http_proxy`, with the credentials.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("http://{USER}:{}@{address}", self.password.reveal())
    }

    /// Serves until dropped.
    pub async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(self.clone().connection(stream));
                }
                Ok(_) => debug!("too many connections to the input proxy"),
                Err(error) => {
                    debug!(%error, "accepting a connection to the input proxy failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        let service = hyper::service::service_fn(|request| self.answer(request));
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            debug!(%error, "connection to the input proxy ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if !self.is_ours(request.headers()) {
            let mut answer = status(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
            let challenge = HeaderValue::from_static("Basic realm=\"ezlive\"");
            answer.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
            return Ok(answer);
        }
        let answered = match *request.method() {
            Method::GET | Method::HEAD => self.forward(request).await,
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        Ok(answered.unwrap_or_else(status))
    }

    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(PROXY_AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
        match shown.as_deref().and_then(|shown| shown.split_once(':')) {
            Some((user, password)) => user == USER && self.password.matches(password),
            None => false,
        }
    }

    /// The one way out of the proxy.
    async fn connect(&self, origin: &Origin) -> Result<Box<dyn Stream>, StatusCode> {
        let host = &origin.host;
        let connected = self.policy.connect(host, origin.port).await;
        self.report.connected(&connected);
        let stream = connected.map_err(|error| match error {
            error if error.is_forbidden() => {
                self.report.forbidden(host);
                StatusCode::FORBIDDEN
            }
            AddressError::Unresolved { .. } => StatusCode::BAD_GATEWAY,
            _ => StatusCode::GATEWAY_TIMEOUT,
        })?;
        if !origin.secure {
            return Ok(Box::new(stream));
        }
        let secured = async { tls::secure(self.tls()?, host, stream).await };
        let secured = timeout(TLS_TIMEOUT, secured).await;
        match secured.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.unusable(tls::explain(host, &error))),
        }
    }

    fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = tls::platform()?;
        Ok(Arc::clone(self.tls.get_or_init(|| config)))
    }

    fn unusable(&self, why: String) -> StatusCode {
        self.report.unusable(why);
        StatusCode::BAD_GATEWAY
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>, StatusCode> {
        let target = request.uri().clone();
        let host = target.host().ok_or(StatusCode::BAD_REQUEST)?;
        if target.scheme_str() != Some("http") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let origin = Origin::of(host, target.port_u16());
        let upstream = self.connect(&origin).await?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(upstream))
            .await
            .map_err(|_| StatusCode::BAD_GATEWAY)?;
        let driving = AbortOnDrop(tokio::spawn(connection).abort_handle());

        // What was checked is what is asked for, whatever the request's own
        // Host header says (RFC 9112, section 3.2.2).
        let host = HeaderValue::try_from(origin.host_header());
        let host = host.map_err(|_| StatusCode::BAD_REQUEST)?;
        remove_hop_by_hop(request.headers_mut());
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove("icy-metadata");
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        let request = request.map(|_| Empty::<Bytes>::new());

        let answered = sender.send_request(request).await;
        let mut response = answered.map_err(|_| StatusCode::BAD_GATEWAY)?;
        *response.headers_mut() = passed_headers(&response);
        if response.headers().contains_key(CONTENT_ENCODING) {
            let why = format!("{} compresses what it was asked for as it is", origin.host);
            return Err(self.unusable(why));
        }
        self.inspect(response, &origin, driving).await
    }

    /// The answer, once it is known whether it is a playlist: one is read to
    /// its end, anything else is passed on as it comes.
    async fn inspect(
        &self,
        response: Response<Incoming>,
        origin: &Origin,
        driving: AbortOnDrop,
    ) -> Result<Response<Body>, StatusCode> {
        let (mut head, body) = response.into_parts();
        let received = self.report.received.clone();
        let mut body = BodyStream::new(body).filter_map(move |frame| {
            // The connection is driven for as long as its body is read.
            let _driving = &driving;
            let data = frame.map(|frame| frame.into_data().ok()).transpose();
            if let Some(Ok(data)) = &data {
                received.add(data.len());
            }
            futures::future::ready(data)
        });
        let mut start = Vec::new();
        while start.len() < playlist::TAG.len() {
            match body.next().await {
                Some(Ok(data)) => start.extend_from_slice(&data),
                Some(Err(_)) => return Err(StatusCode::BAD_GATEWAY),
                None => break,
            }
        }
        if !start.starts_with(playlist::TAG) {
            let mut watch = playlist::Watch::default();
            let (report, host) = (self.report.clone(), origin.host.clone());
            let start = stream::iter([Ok(Bytes::from(start))]);
            let watched = start.chain(body).map(move |data| {
                let data = data.map_err(io::Error::other)?;
                if !watch.passes(&data) {
                    report.unusable(format!("{host} hides a playlist in something else"));
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(Frame::data(data))
            });
            return Ok(Response::from_parts(
                head,
                StreamBody::new(watched).boxed_unsync(),
            ));
        }
        while let Some(data) = body.next().await {
            start.extend_from_slice(&data.map_err(|_| StatusCode::BAD_GATEWAY)?);
            if start.len() > playlist::MAX {
                let why = format!("a playlist of {} is too long", origin.host);
                return Err(self.unusable(why));
            }
        }
        let range = head.headers.remove(CONTENT_RANGE);
        let is_whole = range.is_none_or(|range| range.as_bytes().starts_with(b"bytes 0-"));
        if !is_whole {
            return Err(self.unusable(format!("{} hides a playlist in a file", origin.host)));
        }
        let playlist = playlist::rewrite(&start).map_err(|host| {
            self.report.forbidden(&host);
            StatusCode::FORBIDDEN
        })?;
        // Its length has changed.
        head.headers.remove(ACCEPT_RANGES);
        head.headers.remove(CONTENT_LENGTH);
        head.status = StatusCode::OK;
        let playlist = Full::new(playlist.into()).map_err(|never| match never {});
        Ok(Response::from_parts(head, playlist.boxed_unsync()))
    }
}

/// What FFmpeg is told of an answer.
fn passed_headers<B>(response: &Response<B>) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for (name, value) in response.headers() {
        let is_coded = name == CONTENT_ENCODING && value != "identity";
        if PASSED.contains(name) || is_coded {
            passed.append(name.clone(), value.clone());
        }
    }
    // In any other answer FFmpeg might take it for where the body is.
    let location = response.headers().get(LOCATION);
    if response.status().is_redirection()
        && let Some(location) = location.and_then(|location| location.to_str().ok())
        && let Ok(location) = HeaderValue::try_from(marked(location))
    {
        passed.insert(LOCATION, location);
    }
    passed
}

/// Takes out what is meant for one connection only (RFC 9110, section 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        PROXY_AUTHORIZATION,
        PROXY_AUTHENTICATE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let body = Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}
