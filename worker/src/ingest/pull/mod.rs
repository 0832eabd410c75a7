//! Inputs that FFmpeg fetches itself, behind our checks.
//!
//! The URL was checked as text when the job was posted. Here it is enforced
//! where connections are made, at every redirect and every DNS answer:
//!
//! | protocol | FFmpeg contacts | which contacts |
//! |---|---|---|
//! | HTTP(S), HLS | [`http_proxy`] on loopback, in plain HTTP | each request's checked address, by TLS for HTTPS |
//! | RTSP over TCP | [`rtsp_relay`] on loopback | the URL's checked address |
//! | SRT | [`srt_relay`] on loopback | the URL's checked address |
//! | RTMP(S) | nothing: see [`super::rtmp::client`] | the checked address |
//!
//! So every byte passes through the worker, and is counted. FFmpeg's
//! protocols are those of the plan ([`domain::plan`]), which doesn't suffice:
//! each of them is made of `tcp` or `udp`, which a server could name as well.
//! See [`playlist`] and [`rtsp_relay`] for what is kept from FFmpeg.

mod http_proxy;
mod marked;
mod playlist;
pub mod probe;
mod rtsp_relay;
mod srt_relay;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use domain::plan::Feed;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{debug, warn};
use url::Url;

use super::address::{AddressError, AddressPolicy};
use super::meter::Received;

/// Why an input can't be pulled. None of it carries the URL's secrets.
#[derive(Debug, Error)]
pub enum PullError {
    /// The address may not be, or can't be, contacted.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The URL names no host, or an SRT URL no port.
    #[error("the input URL names no host or port")]
    NoHost,
    /// Not a protocol that is handed to FFmpeg.
    #[error("inputs cannot be pulled over {scheme}")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// An SRT listener or rendezvous: workers call.
    #[error("SRT is pulled in caller mode only")]
    SrtMode,
    /// The proxy or relay could not be set up.
    #[error("cannot listen on loopback: {0}")]
    Listen(io::Error),
}

/// A connection that FFmpeg asked for and did not get: the job ends as
/// `input_forbidden`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForbiddenInput {
    /// The host that it led to. Without path or query.
    pub host: String,
}

/// FFmpeg's messages name what it contacts, or is to contact by the proxy,
/// where the input's own address is what tells a person something.
#[derive(Debug, Clone, Default)]
pub struct Alias(Option<(String, String)>);

impl Alias {
    fn of(relay: SocketAddr, url: &Url) -> Self {
        let port = url.port().map(|port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        let own = format!("{host}{}", port.unwrap_or_default());
        Self(Some((relay.to_string(), own)))
    }

    /// The message with the input's own address.
    pub fn lift(&self, message: String) -> String {
        match &self.0 {
            Some((relay, own)) => message.replace(relay, own),
            None => marked::unmarked(&message),
        }
    }
}

/// An input ready for FFmpeg. Dropping it ends every connection it made.
pub struct Prepared {
    feed: Feed,
    alias: Alias,
    forbidden: watch::Receiver<Option<ForbiddenInput>>,
    unreached: watch::Receiver<Option<String>>,
    received: Received,
    _serving: AbortOnDrop,
}

impl Prepared {
    /// What FFmpeg is to open. May hold secrets, the URL's and the proxy's.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// What FFmpeg's environment must name as `http_proxy`: without it, FFmpeg
    /// would make its connections itself.
    pub fn http_proxy(&self) -> Option<&str> {
        match &self.feed {
            Feed::Url { http_proxy, .. } => http_proxy.as_deref(),
            Feed::FlvPipe => None,
        }
    }

    /// What FFmpeg's messages must not show: the passwords of the input's
    /// URL and of the proxy, and what may be one in its query. Shorter words
    /// than a passphrase are not: hidden, they would take messages apart.
    pub fn secrets(&self) -> Vec<String> {
        let Feed::Url {
            url, http_proxy, ..
        } = &self.feed
        else {
            return Vec::new();
        };
        let urls = [Some(url), http_proxy.as_ref()].into_iter().flatten();
        let urls = urls.filter_map(|url| Url::parse(url).ok());
        urls.flat_map(|url| {
            let values = url.query_pairs().map(|(_, value)| value.into_owned());
            let values = values.filter(|value| value.len() >= 8);
            let written = [url.password(), url.query()].into_iter().flatten();
            written.map(str::to_owned).chain(values).collect::<Vec<_>>()
        })
        .collect()
    }

    /// How to read what FFmpeg says of it.
    pub fn alias(&self) -> &Alias {
        &self.alias
    }

    /// What has come of it, counted on.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// Why the latest connection that FFmpeg asked for did not come about: it
    /// sees a proxy's error, or a connection that ends.
    pub fn unreached(&self) -> Option<String> {
        self.unreached.borrow().clone()
    }

    /// Where FFmpeg has been led that it must not go, if it has.
    pub fn was_forbidden(&self) -> Option<ForbiddenInput> {
        self.forbidden.borrow().clone()
    }

    /// Waits until FFmpeg has been led to a forbidden address, by a redirect,
    /// a playlist or a name that has come to mean another address; for ever
    /// where that doesn't happen.
    pub async fn forbidden(&self) -> ForbiddenInput {
        let mut forbidden = self.forbidden.clone();
        let found = forbidden
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|found| found.clone());
        match found {
            Some(forbidden) => forbidden,
            // The proxy is gone, and FFmpeg's connections with it.
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// Makes an `http`, `https`, `rtsp` or `srt` URL safe to open, and counts what
/// comes from it. A host that may not be contacted is an error here already.
pub async fn prepare(
    url: &Url,
    policy: &AddressPolicy,
    received: &Received,
) -> Result<Prepared, PullError> {
    prepare_with(url, policy, received, None).await
}

/// The same with certificates checked in another way than the platform's.
async fn prepare_with(
    url: &Url,
    policy: &AddressPolicy,
    received: &Received,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Prepared, PullError> {
    let host = url.host_str().ok_or(PullError::NoHost)?;
    let (forbidden_sender, forbidden) = watch::channel(None);
    let (unreached_sender, unreached) = watch::channel(None);
    let report = Report {
        forbidden: forbidden_sender,
        unreached: unreached_sender,
        received: received.clone(),
    };
    let (feed, alias, serving) = match url.scheme() {
        "http" | "https" => by_proxy(url, host, policy, report, tls).await?,
        "rtsp" => by_rtsp_relay(url, host, policy, report).await?,
        "srt" => by_srt_relay(url, host, policy, report).await?,
        scheme => {
            return Err(PullError::Scheme {
                scheme: scheme.to_owned(),
            });
        }
    };
    Ok(Prepared {
        feed,
        alias,
        forbidden,
        unreached,
        received: received.clone(),
        _serving: AbortOnDrop(serving),
    })
}

/// What FFmpeg is to open, how to read what it says of it, and what serves it.
type Way = (Feed, Alias, AbortHandle);

async fn by_proxy(
    url: &Url,
    host: &str,
    policy: &AddressPolicy,
    report: Report,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Way, PullError> {
    let port = url.port_or_known_default().ok_or(PullError::NoHost)?;
    policy.permitted(host, port).await?;
    let (listener, address) = listen().await?;
    let proxy = http_proxy::Proxy::new(policy.clone(), report, tls);
    let feed = Feed::Url {
        url: marked::marked(url.as_str()),
        http_proxy: Some(proxy.url(address)),
    };
    let serving = tokio::spawn(proxy.serve(listener)).abort_handle();
    Ok((feed, Alias::default(), serving))
}

async fn by_rtsp_relay(
    url: &Url,
    host: &str,
    policy: &AddressPolicy,
    report: Report,
) -> Result<Way, PullError> {
    let addresses = policy.permitted(host, url.port().unwrap_or(554)).await?;
    let (listener, address) = listen().await?;
    let feed = relayed(url, address)?;
    let relay = rtsp_relay::serve(listener, host.to_owned(), addresses, report);
    let serving = tokio::spawn(relay).abort_handle();
    Ok((feed, Alias::of(address, url), serving))
}

async fn by_srt_relay(
    url: &Url,
    host: &str,
    policy: &AddressPolicy,
    report: Report,
) -> Result<Way, PullError> {
    let caller = |(name, value): (_, _)| name != "mode" || value == "caller";
    if !url.query_pairs().all(caller) {
        return Err(PullError::SrtMode);
    }
    let port = url.port().ok_or(PullError::NoHost)?;
    let addresses = policy.permitted(host, port).await?;
    let first = addresses.first().ok_or(PullError::NoHost)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let socket = socket.map_err(PullError::Listen)?;
    let address = socket.local_addr().map_err(PullError::Listen)?;
    let feed = relayed(url, address)?;
    let relay = srt_relay::serve(socket, *first, report.received);
    let serving = tokio::spawn(relay).abort_handle();
    Ok((feed, Alias::of(address, url), serving))
}

/// The same URL, leading to a relay.
fn relayed(url: &Url, relay: SocketAddr) -> Result<Feed, PullError> {
    let mut url = url.clone();
    url.set_ip_host(relay.ip())
        .map_err(|()| PullError::NoHost)?;
    url.set_port(Some(relay.port()))
        .map_err(|()| PullError::NoHost)?;
    Ok(Feed::Url {
        url: url.into(),
        http_proxy: None,
    })
}

async fn listen() -> Result<(TcpListener, SocketAddr), PullError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(PullError::Listen)?;
    let address = listener.local_addr().map_err(PullError::Listen)?;
    Ok((listener, address))
}

/// Where a proxy or relay tells what it refused, and what it let through.
#[derive(Debug, Clone)]
struct Report {
    forbidden: watch::Sender<Option<ForbiddenInput>>,
    unreached: watch::Sender<Option<String>>,
    received: Received,
}

impl Report {
    /// How an attempt to connect came out.
    fn connected(&self, connected: &Result<TcpStream, AddressError>) {
        let why = connected.as_ref().err().map(ToString::to_string);
        if let Some(why) = &why {
            debug!(why, "input not reached");
        }
        self.unreached.send_replace(why);
    }

    /// What was reached, and did not do.
    fn unusable(&self, why: String) {
        debug!(why, "input not usable");
        self.unreached.send_replace(Some(why));
    }

    fn forbidden(&self, host: &str) {
        warn!(host, "input led to a forbidden address");
        let _ = self.forbidden.send(Some(ForbiddenInput {
            host: host.to_owned(),
        }));
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
