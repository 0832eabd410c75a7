//! The relay between FFmpeg and an SRT listener (draft-sharabayko-srt). SRT
//! runs over UDP and minds a hop in between as little as a NAT: datagrams pass
//! as they are. The checked address is contacted from here, and the media that
//! it sends is counted.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tracing::debug;

use super::AbortOnDrop;
use crate::ingest::meter::Received;

/// FFprobe and FFmpeg, one after the other.
const MAX_CALLERS: usize = 4;
/// An SRT peer says something each second, and is lost after five.
const IDLE: Duration = Duration::from_secs(10);
/// No packet is longer, bytes: the worker's callers leave the MSS at 1500.
const MAX_DATAGRAM: usize = 2048;
/// What stands before the media in a packet, bytes.
const HEADER: usize = 16;

/// One socket of FFmpeg's, and ours for it.
struct Caller {
    address: SocketAddr,
    upstream: Arc<UdpSocket>,
    answers: AbortOnDrop,
}

/// Relays every caller's datagrams to the checked address until dropped.
pub async fn serve(socket: UdpSocket, address: SocketAddr, received: Received) {
    let socket = Arc::new(socket);
    let mut callers: Vec<Caller> = Vec::new();
    let mut datagram = [0; MAX_DATAGRAM];
    loop {
        let (size, from) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            Err(error) => {
                debug!(%error, "receiving from FFmpeg failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        callers.retain(|caller| !caller.answers.0.is_finished());
        let known = callers.iter().position(|caller| caller.address == from);
        let at = match known {
            Some(at) => at,
            None if callers.len() >= MAX_CALLERS => {
                debug!("too many callers of the input relay");
                continue;
            }
            None => match call(&socket, from, address, &received).await {
                Ok(caller) => {
                    callers.push(caller);
                    callers.len() - 1
                }
                Err(error) => {
                    debug!(%error, "input not reached");
                    continue;
                }
            },
        };
        // Lost or refused: SRT sends again, or gives up.
        let _ = callers[at].upstream.send(&datagram[..size]).await;
    }
}

async fn call(
    socket: &Arc<UdpSocket>,
    caller: SocketAddr,
    address: SocketAddr,
    received: &Received,
) -> io::Result<Caller> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let upstream = Arc::new(UdpSocket::bind(any).await?);
    // From now on nobody else's datagrams are taken either.
    upstream.connect(address).await?;
    let answers = answer(
        Arc::clone(&upstream),
        Arc::clone(socket),
        caller,
        received.clone(),
    );
    Ok(Caller {
        address: caller,
        upstream,
        answers: AbortOnDrop(tokio::spawn(answers).abort_handle()),
    })
}

/// Passes on what comes back, until nothing does.
async fn answer(
    upstream: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    caller: SocketAddr,
    received: Received,
) {
    let mut datagram = [0; MAX_DATAGRAM];
    while let Ok(Ok(size)) = timeout(IDLE, upstream.recv(&mut datagram)).await {
        let datagram = &datagram[..size];
        received.add(media(datagram));
        if socket.send_to(datagram, caller).await.is_err() {
            return;
        }
    }
}

/// How much of a packet is media: control packets, which come also where
/// nothing else does, have their first bit set.
fn media(datagram: &[u8]) -> usize {
    match datagram.first() {
        Some(first) if first & 0x80 == 0 => datagram.len().saturating_sub(HEADER),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    async fn loopback() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").await.unwrap()
    }

    async fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut datagram = [0; MAX_DATAGRAM];
        let received = timeout(WAIT, socket.recv_from(&mut datagram)).await;
        let (size, from) = received.unwrap().unwrap();
        (datagram[..size].to_vec(), from)
    }

    #[tokio::test]
    async fn callers_are_kept_apart_and_media_is_counted() {
        let (origin, relay, received) = (loopback().await, loopback().await, Received::default());
        let address = relay.local_addr().unwrap();
        let serving = tokio::spawn(serve(relay, origin.local_addr().unwrap(), received.clone()));
        let (one, other) = (loopback().await, loopback().await);
        let mut seen = Vec::new();
        for (caller, hello) in [(&one, &b"\x80one"[..]), (&other, b"\x80other")] {
            caller.send_to(hello, address).await.unwrap();
            let (heard, from) = next(&origin).await;
            assert_eq!(heard, hello);
            seen.push(from);
        }
        assert_ne!(seen[0], seen[1]);
        let media = [&[0; HEADER][..], &[7; 1316]].concat();
        origin.send_to(&media, seen[1]).await.unwrap();
        origin.send_to(b"\x80keep-alive", seen[0]).await.unwrap();
        assert_eq!(next(&other).await.0, media);
        assert_eq!(next(&one).await.0, b"\x80keep-alive");
        assert_eq!(received.total(), 1316);
        // Only the origin is heard.
        one.send_to(b"\x00stranger", seen[1]).await.unwrap();
        one.send_to(b"\x80again", address).await.unwrap();
        assert_eq!(next(&origin).await, (b"\x80again".to_vec(), seen[0]));
        assert_eq!(received.total(), 1316);
        serving.abort();
    }
}
