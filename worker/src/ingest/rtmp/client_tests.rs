//! The client against the real FFmpeg as origin.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::client::{ClientError, RtmpPull, play, play_with};
use crate::ingest::address::AddressPolicy;
use crate::ingest::sniff::Sniffer;
use crate::ingest::testing::{certificate, ffmpeg, test_input};
use crate::ingest::{End, Event};

/// `origin.example` is this machine; nothing else is anywhere.
fn policy() -> AddressPolicy {
    AddressPolicy::new(|ip| ip == IpAddr::from([127, 0, 0, 1])).with_resolver(
        |host, port| async move {
            match host.as_str() {
                "origin.example" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
                "inside.example" => Ok(vec![SocketAddr::from(([127, 0, 0, 2], port))]),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        },
    )
}

/// FFmpeg waiting for one player.
async fn origin(seconds: &str) -> (Child, u16) {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = ffmpeg()
        .args(test_input("320x180", 44_100))
        .args(["-t", seconds, "-f", "flv", "-listen", "1"])
        .arg(format!("rtmp://127.0.0.1:{port}/live/stream"))
        .spawn()
        .unwrap();
    // It takes one connection only, so one can't ask whether it listens.
    let entry = format!("0100007F:{port:04X} 00000000:0000 0A");
    let listening = async {
        while !tokio::fs::read_to_string("/proc/net/tcp")
            .await
            .unwrap()
            .contains(&entry)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), listening)
        .await
        .expect("ffmpeg listens");
    (child, port)
}

async fn expect_media(events: &mut mpsc::Receiver<Event>) {
    let (mut sniffer, start) = (Sniffer::default(), Instant::now());
    assert!(matches!(events.recv().await, Some(Event::Connected { .. })));
    let opening = loop {
        match events.recv().await.unwrap() {
            Event::Metadata(metadata) => sniffer.metadata(metadata),
            Event::Tag(tag) => {
                if let Some(opening) = sniffer.tag(tag, start.elapsed()).unwrap() {
                    break opening;
                }
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opening.input.video.unwrap().height, 180);
    assert_eq!(opening.input.audio.unwrap().sample_rate, 44_100);
}

#[tokio::test]
async fn plays_from_ffmpeg_until_it_ends() {
    let (_child, port) = origin("1").await;
    let url = Url::parse(&format!("rtmp://origin.example:{port}/live/stream")).unwrap();
    let (_pull, mut events): (RtmpPull, _) = play(&url, &policy()).await.unwrap();
    expect_media(&mut events).await;
    let end = timeout(Duration::from_secs(5), async {
        loop {
            match events.recv().await.unwrap() {
                Event::Disconnected(end) => return end,
                _ => continue,
            }
        }
    });
    // FFmpeg says goodbye as a publisher does, or just leaves.
    assert!(matches!(end.await.unwrap(), End::Clean | End::Lost));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn plays_over_tls_from_whom_it_trusts() {
    let (_child, plain) = origin("3").await;
    let (certificate, trusting) = certificate("origin.example");
    let port = terminate_tls(certificate, plain).await;
    let url = Url::parse(&format!("rtmps://origin.example:{port}/live/stream")).unwrap();
    // The platform doesn't know this certificate's issuer.
    let distrusted = play(&url, &policy()).await;
    assert!(matches!(distrusted, Err(ClientError::Tls(_))));
    let (_pull, mut events) = play_with(&url, &policy(), Some(trusting)).await.unwrap();
    expect_media(&mut events).await;
}

/// Takes TLS off and passes on to a local port.
async fn terminate_tls(config: Arc<ServerConfig>, plain: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = TlsAcceptor::from(Arc::clone(&config)).accept(stream).await else {
                continue;
            };
            let mut origin = TcpStream::connect(("127.0.0.1", plain)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
        }
    });
    port
}

#[tokio::test]
async fn a_host_inside_is_never_contacted() {
    let inside = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    for host in ["inside.example", "127.0.0.2"] {
        let url = Url::parse(&format!("rtmp://{host}:{port}/live/stream")).unwrap();
        let refused = play(&url, &policy()).await.unwrap_err();
        assert!(matches!(refused, ClientError::Address(error) if error.is_forbidden()));
    }
    assert!(
        timeout(Duration::from_millis(100), inside.accept())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_origin_that_says_no_is_named_by_its_code() {
    use super::publish::PublishSession;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut session = PublishSession::new();
        let mut buffer = Vec::with_capacity(4096);
        loop {
            buffer.clear();
            stream.read_buf(&mut buffer).await.unwrap();
            session.receive(&buffer).unwrap();
            while session.next_step().unwrap().is_some() {
                session
                    .refuse("NetStream.Play.StreamNotFound", "rtmp://secret")
                    .unwrap();
            }
            stream.write_all(&session.take_output()).await.unwrap();
        }
    });
    let url = Url::parse(&format!("rtmp://origin.example:{port}/live/none")).unwrap();
    let refused = play(&url, &policy()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the origin refused: NetStream.Play.StreamNotFound"
    );
}
