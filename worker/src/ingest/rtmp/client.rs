//! Plays from an origin over RTMP or RTMPS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::spec::rtmp_names;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{Instrument, debug, info};
use url::Url;

use super::play::{PlayError, PlaySession, Step, Target};
use crate::ingest::address::{AddressError, AddressPolicy};
use crate::ingest::{End, Event, tls};

/// As the server's: see there.
const EVENT_BUFFER: usize = 64;
const READ_SIZE: usize = 64 * 1024;
/// From the connection to the origin's "Play.Start".
const NEGOTIATION: Duration = Duration::from_secs(10);
/// Without a byte from the origin.
const IDLE: Duration = Duration::from_secs(10);

/// Why nothing plays. None of it carries the URL's secrets.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The address may not be, or can't be, contacted.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The URL doesn't name what to play.
    #[error("an RTMP URL is rtmp://host/app/stream")]
    NoStream,
    /// The origin doesn't let us play.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// The connection broke before anything played.
    #[error("the origin closed the connection: {0}")]
    Closed(io::Error),
    /// TLS could not be set up.
    #[error("TLS to the origin failed: {0}")]
    Tls(io::Error),
    /// It took too long.
    #[error("the origin did not start to play within {} s", NEGOTIATION.as_secs())]
    TooSlow,
}

/// A playing connection. Dropping it closes it.
#[derive(Debug)]
pub struct RtmpPull {
    pumping: AbortHandle,
}

impl Drop for RtmpPull {
    fn drop(&mut self) {
        self.pumping.abort();
    }
}

/// Plays `rtmp://` or `rtmps://host[:port]/app/stream` until it ends, trusting
/// the platform's root certificates. The first event is `Connected`, the last
/// `Disconnected`; to go on after that, play again.
pub async fn play(
    url: &Url,
    policy: &AddressPolicy,
) -> Result<(RtmpPull, mpsc::Receiver<Event>), ClientError> {
    let tls = match url.scheme() {
        "rtmps" => Some(tls::platform().map_err(ClientError::Tls)?),
        _ => None,
    };
    play_with(url, policy, tls).await
}

pub(super) async fn play_with(
    url: &Url,
    policy: &AddressPolicy,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(RtmpPull, mpsc::Receiver<Event>), ClientError> {
    let host = url.host_str().ok_or(ClientError::NoStream)?.to_owned();
    let port = url.port().unwrap_or(if tls.is_some() { 443 } else { 1935 });
    let session = PlaySession::new(target(url)?)?;
    let stream = policy.connect(&host, port).await?;
    let peer = stream.peer_addr().map_err(ClientError::Closed)?;
    match tls {
        None => {
            Player {
                stream,
                session,
                buffer: Vec::new(),
            }
            .start(peer)
            .await
        }
        Some(config) => {
            let handshake = tls::secure(config, &host, stream);
            let stream = timeout(NEGOTIATION, handshake)
                .await
                .map_err(|_| ClientError::TooSlow)?
                .map_err(ClientError::Tls)?;
            Player {
                stream,
                session,
                buffer: Vec::new(),
            }
            .start(peer)
            .await
        }
    }
}

/// What to ask the server for: the stream with the query.
fn target(url: &Url) -> Result<Target, ClientError> {
    let (app, stream) = rtmp_names(url).ok_or(ClientError::NoStream)?;
    let mut stream = stream.to_owned();
    if let Some(query) = url.query() {
        stream = format!("{stream}?{query}");
    }
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let tc_url = format!("{}://{host}{port}/{app}", url.scheme());
    Ok(Target {
        app: app.to_owned(),
        stream,
        tc_url,
    })
}

/// The connection and what it is for.
struct Player<S> {
    stream: S,
    session: PlaySession,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Player<S> {
    /// Waits until it plays, then goes on in a task.
    async fn start(
        mut self,
        peer: SocketAddr,
    ) -> Result<(RtmpPull, mpsc::Receiver<Event>), ClientError> {
        let (events, receiver) = mpsc::channel(EVENT_BUFFER);
        self.buffer.reserve(READ_SIZE);
        let first = timeout(NEGOTIATION, self.next_step())
            .await
            .map_err(|_| ClientError::TooSlow)??;
        info!(%peer, "origin plays");
        let pumping = tokio::spawn(self.pump(peer, first, events).in_current_span()).abort_handle();
        Ok((RtmpPull { pumping }, receiver))
    }

    async fn pump(mut self, peer: SocketAddr, first: Step, events: mpsc::Sender<Event>) {
        if events.send(Event::Connected { peer }).await.is_err() {
            return;
        }
        let mut step = Ok(first);
        let end = loop {
            let event = match step {
                Ok(Step::Started) => None,
                Ok(Step::Metadata(metadata)) => Some(Event::Metadata(metadata)),
                Ok(Step::Tag(tag)) => Some(Event::Tag(tag)),
                Ok(Step::Finished) => break End::Clean,
                Err(error) => {
                    debug!(%peer, %error, "origin lost");
                    break End::Lost;
                }
            };
            if let Some(event) = event
                && events.send(event).await.is_err()
            {
                return;
            }
            step = self.next_step().await;
        };
        info!(%peer, ?end, "origin stopped");
        // Nobody listens any more: then nobody minds.
        let _ = events.send(Event::Disconnected(end)).await;
    }

    async fn next_step(&mut self) -> Result<Step, ClientError> {
        loop {
            let step = self.session.next_step()?;
            let output = self.session.take_output();
            if !output.is_empty() {
                let written = timeout(IDLE, self.stream.write_all(&output)).await;
                written
                    .map_err(|_| ClientError::TooSlow)?
                    .map_err(ClientError::Closed)?;
                self.stream.flush().await.map_err(ClientError::Closed)?;
            }
            if let Some(step) = step {
                return Ok(step);
            }
            self.buffer.clear();
            let read = timeout(IDLE, self.stream.read_buf(&mut self.buffer)).await;
            match read
                .map_err(|_| ClientError::TooSlow)?
                .map_err(ClientError::Closed)?
            {
                0 => return Err(ClientError::Closed(io::ErrorKind::UnexpectedEof.into())),
                _ => self.session.receive(&self.buffer)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_split_as_ffmpeg_splits_it() {
        for (url, app, stream, tc_url) in [
            ("rtmp://h/live/s", "live", "s", "rtmp://h/live"),
            (
                "rtmp://u:p@h:1936/live/s?t=1",
                "live",
                "s?t=1",
                "rtmp://h:1936/live",
            ),
            (
                "rtmps://h/app/instance/s/x",
                "app/instance",
                "s/x",
                "rtmps://h/app/instance",
            ),
        ] {
            let found = target(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(
                (found.app.as_str(), found.stream.as_str()),
                (app, stream),
                "{url}"
            );
            assert_eq!(found.tc_url, tc_url);
        }
        for url in ["rtmp://h", "rtmp://h/", "rtmp://h/live", "rtmp://h/live/"] {
            assert!(target(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
    }
}
