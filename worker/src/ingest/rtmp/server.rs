//! Takes publishers in: listens, checks the stream key, and lets one publish
//! at a time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::ids::StreamKey;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, warn};

use super::ProtocolError;
use super::crowd::{Crowd, Room};
use super::place::{Place, Silence};
use super::publish::{PublishSession, Step};
use crate::ingest::{End, Event, Refusal};

/// Events between here and FFmpeg's pipe: about a second of tags. When they
/// are not taken, the publisher is not read.
const EVENT_BUFFER: usize = 64;
/// One read from the socket, bytes.
const READ_SIZE: usize = 64 * 1024;
/// How long a refused publisher gets to read why.
const LINGER: Duration = Duration::from_secs(1);

/// The bounds within which strangers may use the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the TCP connection to an accepted `publish`.
    pub negotiation: Duration,
    /// Without a byte from the publisher.
    pub idle: Duration,
    /// Without a byte from the publisher, after which another one that shows
    /// the key takes its place.
    pub silence: Duration,
    /// Connections at a time, whatever their state.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            negotiation: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            silence: Duration::from_millis(1500),
            connections: 16,
        }
    }
}

/// No port to listen on.
#[derive(Debug, Error)]
pub enum BindError {
    /// Every candidate is taken or not ours to use.
    #[error("none of {tried} RTMP ports is free: {last}")]
    NoFreePort {
        /// The number of candidates.
        tried: usize,
        /// What was wrong with the last one.
        last: io::Error,
    },
    /// There were no candidates.
    #[error("no RTMP port to try")]
    NoCandidates,
    /// The address itself is no good.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// Where to.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Listens on the first free one of the ports, the preferred first. Port 0 is
/// any free port; ask the listener which.
pub async fn bind(
    address: IpAddr,
    ports: impl IntoIterator<Item = u16>,
) -> Result<TcpListener, BindError> {
    let mut tried = 0;
    let mut last = None;
    for port in ports {
        tried += 1;
        let address = SocketAddr::new(address, port);
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                ) =>
            {
                last = Some(error);
            }
            Err(source) => return Err(BindError::Address { address, source }),
        }
    }
    Err(
        last.map_or(BindError::NoCandidates, |last| BindError::NoFreePort {
            tried,
            last,
        }),
    )
}

/// A running server. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct RtmpServer {
    accepting: AbortHandle,
}

impl RtmpServer {
    /// Accepts publishers that show the key, which may change at any time: a
    /// publisher on an old key is cut. The app name is free.
    pub fn start(
        listener: TcpListener,
        key: watch::Receiver<StreamKey>,
        limits: Limits,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENT_BUFFER);
        let gate = Gate {
            key,
            limits,
            events,
            place: Place::new(),
        };
        let accepting = tokio::spawn(accept(listener, gate).in_current_span()).abort_handle();
        (Self { accepting }, receiver)
    }
}

impl Drop for RtmpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, gate: Gate) {
    let mut crowd = Crowd::new(gate.limits.connections);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection gone before its turn.
                warn!(%error, "accepting an RTMP connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match crowd.make_room().await {
            Room::Free => {}
            Room::InPlaceOf(stranger) => gate.report(stranger, Refusal::TooMany),
            Room::Full => {
                gate.report(peer, Refusal::TooMany);
                continue;
            }
        }
        let connection = Connection {
            stream,
            peer,
            session: PublishSession::new(),
            buffer: Vec::with_capacity(READ_SIZE),
            idle: gate.limits.idle,
            silence: Silence::default(),
        };
        crowd.admit(peer, |known| gate.clone().admit(connection, known));
    }
}

/// What all connections share.
#[derive(Clone)]
struct Gate {
    key: watch::Receiver<StreamKey>,
    limits: Limits,
    events: mpsc::Sender<Event>,
    place: Place,
}

impl Gate {
    /// A connection's life; `known` is cancelled once it has shown the key.
    async fn admit(mut self, mut connection: Connection, known: CancellationToken) {
        let peer = connection.peer;
        let asked = timeout(self.limits.negotiation, connection.negotiate()).await;
        let name = match asked {
            Ok(Ok(Asked::Publish(name))) => name,
            Ok(Ok(Asked::Play)) => return self.refuse(connection, Refusal::Play).await,
            Ok(Err(Broken::Protocol(error))) => {
                debug!(%peer, %error, "RTMP connection broke the protocol");
                return self.report(peer, Refusal::BadProtocol);
            }
            // A port scan, or the health check of a load balancer.
            Ok(Err(Broken::Gone)) => return debug!(%peer, "RTMP connection left"),
            Err(_) => return self.report(peer, Refusal::TooSlow),
        };
        let shown = shown_key(&name).to_owned();
        if shown.is_empty() {
            return self.refuse(connection, Refusal::NoKey).await;
        }
        // Seen from here on, every later change of the key wakes `rotated`.
        if !self.key.borrow_and_update().matches(&shown) {
            return self.refuse(connection, Refusal::WrongKey).await;
        }
        known.cancel();
        let taken = self.place.take(&connection.silence, self.limits.silence);
        let Some(held) = taken.await else {
            return self.refuse(connection, Refusal::Busy).await;
        };
        if self.events.send(Event::Connected { peer }).await.is_err() {
            return;
        }
        info!(%peer, "publisher connected");
        let end = tokio::select! {
            end = connection.publish(&self.events) => end,
            () = rotated(&mut self.key, &shown) => End::KeyRotated,
            () = held.replaced.cancelled() => End::Lost,
        };
        info!(%peer, ?end, "publisher disconnected");
        // Nobody listens any more: then nobody minds.
        let _ = self.events.send(Event::Disconnected(end)).await;
        drop(held);
        if end == End::KeyRotated {
            let _ = connection
                .session
                .refuse("NetStream.Publish.BadName", "Stream key changed");
        }
        connection.close().await;
    }

    async fn refuse(&self, mut connection: Connection, why: Refusal) {
        self.report(connection.peer, why);
        let code = match why {
            Refusal::Play => "NetStream.Play.Failed",
            _ => "NetStream.Publish.BadName",
        };
        if connection.session.refuse(code, why.as_str()).is_ok() {
            connection.close().await;
        }
    }

    fn report(&self, peer: SocketAddr, why: Refusal) {
        warn!(%peer, reason = why.as_str(), "RTMP connection refused");
        // Whoever is turned away must not hold up whoever publishes.
        let _ = self.events.try_send(Event::Refused { peer, why });
    }
}

/// The key in a stream name: `key`, `key?query` or `folder/key`.
fn shown_key(name: &str) -> &str {
    let path = name.split_once('?').map_or(name, |(path, _)| path);
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

/// Waits until the key is another than the one shown.
async fn rotated(key: &mut watch::Receiver<StreamKey>, shown: &str) {
    while key.changed().await.is_ok() {
        if !key.borrow_and_update().matches(shown) {
            return;
        }
    }
    // Whoever could rotate the key is gone.
    std::future::pending().await
}

/// What a connection wants.
enum Asked {
    Publish(String),
    Play,
}

/// Why a connection came to nothing.
enum Broken {
    Protocol(ProtocolError),
    Gone,
}

impl From<ProtocolError> for Broken {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    session: PublishSession,
    buffer: Vec<u8>,
    idle: Duration,
    silence: Silence,
}

impl Connection {
    async fn negotiate(&mut self) -> Result<Asked, Broken> {
        loop {
            match self.next_step().await? {
                Step::PublishRequested { name } => return Ok(Asked::Publish(name)),
                Step::PlayRequested => return Ok(Asked::Play),
                Step::Metadata(_) | Step::Tag(_) | Step::Finished => {}
            }
        }
    }

    /// Passes on what is published until it ends.
    async fn publish(&mut self, events: &mpsc::Sender<Event>) -> End {
        if self.session.accept().is_err() {
            return End::Lost;
        }
        loop {
            let event = match self.next_step().await {
                Ok(Step::Tag(tag)) => Event::Tag(tag),
                Ok(Step::Metadata(metadata)) => Event::Metadata(metadata),
                Ok(Step::Finished) => return End::Clean,
                Ok(Step::PublishRequested { .. } | Step::PlayRequested) => continue,
                Err(Broken::Gone) => return End::Lost,
                Err(Broken::Protocol(error)) => {
                    warn!(peer = %self.peer, %error, "publisher broke the protocol");
                    return End::Lost;
                }
            };
            if events.send(event).await.is_err() {
                return End::Lost;
            }
        }
    }

    async fn next_step(&mut self) -> Result<Step, Broken> {
        loop {
            let step = self.session.next_step()?;
            self.flush().await?;
            if let Some(step) = step {
                return Ok(step);
            }
            self.buffer.clear();
            self.silence.begin();
            let read = timeout(self.idle, self.stream.read_buf(&mut self.buffer)).await;
            self.silence.end();
            match read {
                Ok(Ok(count)) if count > 0 => self.session.receive(&self.buffer)?,
                _ => return Err(Broken::Gone),
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        timeout(self.idle, self.stream.write_all(&output)).await??;
        // After a write Linux delays acknowledgements by 40 ms. FFmpeg sends a
        // command in several small writes with Nagle's algorithm, which waits
        // for them: three commands were 0.12 s of every start.
        self.stream.set_quickack(true)
    }

    /// Says the last words and waits a little until the other end has gone:
    /// closed with unread bytes in it, the connection would be reset, and the
    /// words be lost.
    async fn close(mut self) {
        let farewell = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            loop {
                self.buffer.clear();
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        let _ = timeout(LINGER, farewell).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_every_spelling_of_a_stream_name() {
        for name in ["k", "k?token=a/b", "app/k", "a/b/k?x=1&y=2"] {
            assert_eq!(shown_key(name), "k", "{name}");
        }
        assert_eq!(shown_key("k/"), "");
    }

    #[tokio::test]
    async fn a_taken_port_gives_way_to_the_next() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let taken = bind(loopback, [0]).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let next = bind(loopback, [port, 0]).await.unwrap();
        assert_ne!(next.local_addr().unwrap().port(), port);
        let none = bind(loopback, [port]).await;
        assert!(matches!(none, Err(BindError::NoFreePort { tried: 1, .. })));
        assert!(matches!(
            bind(loopback, []).await,
            Err(BindError::NoCandidates)
        ));
    }
}
