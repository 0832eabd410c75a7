//! The HTTP proxy (RFC 9110, sections 7.6 and 9.3.6) that FFmpeg's requests go
//! through. FFmpeg follows redirects and playlists by itself, but every
//! connection it wants is asked for here, resolved, checked and pinned.
//!
//! It listens on loopback for one run, and wants credentials that only that
//! run's FFmpeg is given, in its environment, so that no other user of the
//! machine fetches through it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::ids::StreamKey;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::io::InspectReader;
use tracing::debug;

use super::{AbortOnDrop, Report};
use crate::ingest::address::{AddressError, AddressPolicy};

/// A request's or response's head, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// For a request to be there after the connection is.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// FFmpeg has two or three at a time.
const MAX_CONNECTIONS: usize = 32;
const USER: &str = "ezlive";

type Body = BoxBody<Bytes, hyper::Error>;

/// One run's proxy.
#[derive(Clone)]
pub struct Proxy {
    policy: AddressPolicy,
    report: Report,
    /// A secret with a comparison that takes the same time wherever the two
    /// differ.
    password: StreamKey,
}

/// A tunnel to be opened once its request has been answered.
type Tunnel = (OnUpgrade, TcpStream);

impl Proxy {
    /// A proxy with credentials of its own.
    pub fn new(policy: AddressPolicy, report: Report) -> Self {
        Self {
            policy,
            report,
            password: StreamKey::generate(),
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
        let (tunnels, mut opened) = mpsc::channel(1);
        let service = hyper::service::service_fn(|request| self.answer(request, &tunnels));
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            debug!(%error, "connection to the input proxy ended");
        }
        // The tunnel lives in this task, and so ends with the run.
        if let Ok((upgrade, upstream)) = opened.try_recv()
            && let Ok(downstream) = upgrade.await
        {
            let mut downstream = TokioIo::new(downstream);
            let received = self.report.received.clone();
            let mut upstream = InspectReader::new(upstream, |bytes| received.add(bytes.len()));
            let _ = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await;
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        tunnels: &mpsc::Sender<Tunnel>,
    ) -> Result<Response<Body>, Infallible> {
        if !self.is_ours(request.headers()) {
            let mut answer = status(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
            let challenge = HeaderValue::from_static("Basic realm=\"ezlive\"");
            answer.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
            return Ok(answer);
        }
        let answered = match *request.method() {
            Method::CONNECT => self.tunnel(request, tunnels).await,
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
    async fn connect(&self, target: &Uri, default_port: u16) -> Result<TcpStream, StatusCode> {
        let host = target.host().ok_or(StatusCode::BAD_REQUEST)?;
        let port = target.port_u16().unwrap_or(default_port);
        let connected = self.policy.connect(host, port).await;
        self.report.connected(&connected);
        connected.map_err(|error| match error {
            error if error.is_forbidden() => {
                self.report.forbidden(host);
                StatusCode::FORBIDDEN
            }
            AddressError::Unresolved { .. } => StatusCode::BAD_GATEWAY,
            _ => StatusCode::GATEWAY_TIMEOUT,
        })
    }

    async fn tunnel(
        &self,
        request: Request<Incoming>,
        tunnels: &mpsc::Sender<Tunnel>,
    ) -> Result<Response<Body>, StatusCode> {
        let upstream = self.connect(request.uri(), 443).await?;
        let upgrade = hyper::upgrade::on(request);
        tunnels
            .try_send((upgrade, upstream))
            .map_err(|_| StatusCode::BAD_REQUEST)?;
        Ok(status(StatusCode::OK))
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>, StatusCode> {
        let target = request.uri().clone();
        let authority = target.authority().ok_or(StatusCode::BAD_REQUEST)?;
        if target.scheme_str() != Some("http") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let upstream = self.connect(&target, 80).await?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(upstream))
            .await
            .map_err(|_| StatusCode::BAD_GATEWAY)?;
        let driving = AbortOnDrop(tokio::spawn(connection).abort_handle());

        // What was checked is what is asked for, whatever the request's own
        // Host header says (RFC 9112, section 3.2.2).
        let without_user = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(without_user).map_err(|_| StatusCode::BAD_REQUEST)?;
        remove_hop_by_hop(request.headers_mut());
        request.headers_mut().insert(HOST, host);
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        let request = request.map(|_| Empty::<Bytes>::new());

        let answered = sender.send_request(request).await;
        let mut response = answered.map_err(|_| StatusCode::BAD_GATEWAY)?;
        remove_hop_by_hop(response.headers_mut());
        // The connection is driven for as long as its body is read.
        let received = self.report.received.clone();
        Ok(response.map(|body| {
            body.map_frame(move |frame| {
                let _driving = &driving;
                received.add(frame.data_ref().map_or(0, Bytes::len));
                frame
            })
            .boxed()
        }))
    }
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
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}
