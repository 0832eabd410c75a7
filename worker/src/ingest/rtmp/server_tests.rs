//! The server against the real FFmpeg, and against clients that misbehave.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use domain::ids::StreamKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::server::{Limits, RtmpServer, bind};
use crate::ingest::flv::FlvWriter;
use crate::ingest::sniff::{Opening, Sniffer};
use crate::ingest::testing::{ffmpeg, publisher};
use crate::ingest::{End, Event, Refusal, TagKind};

const SECOND: Duration = Duration::from_secs(1);

struct Ingest {
    server: RtmpServer,
    events: mpsc::Receiver<Event>,
    key: watch::Sender<StreamKey>,
    address: SocketAddr,
}

impl Ingest {
    async fn start() -> Self {
        Self::within(Limits::default()).await
    }

    async fn within(limits: Limits) -> Self {
        let (key, shown) = watch::channel(StreamKey::generate());
        let listener = bind(IpAddr::from([127, 0, 0, 1]), [0]).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, events) = RtmpServer::start(listener, shown, limits);
        Self {
            server,
            events,
            key,
            address,
        }
    }

    fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/app/{name}", self.address)
    }

    fn good_url(&self) -> String {
        self.url(self.key.borrow().reveal())
    }

    async fn next(&mut self) -> Event {
        timeout(8 * SECOND, self.events.recv())
            .await
            .expect("an event")
            .expect("open")
    }

    /// Reads until the sniffer knows the input.
    async fn opening(&mut self) -> Opening {
        let (mut sniffer, start) = (Sniffer::default(), Instant::now());
        loop {
            match self.next().await {
                Event::Metadata(metadata) => sniffer.metadata(metadata),
                Event::Tag(tag) => {
                    if let Some(opening) = sniffer.tag(tag, start.elapsed()).unwrap() {
                        return opening;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads until something else than media comes.
    async fn after_media(&mut self) -> Event {
        loop {
            match self.next().await {
                Event::Metadata(_) | Event::Tag(_) => {}
                other => return other,
            }
        }
    }
}

#[tokio::test]
async fn ffmpeg_publishes_with_the_key_and_ends_cleanly() {
    let mut ingest = Ingest::start().await;
    let url = format!("{}?token=x/y", ingest.good_url());
    let mut child = publisher(&url, "320x180", 48_000, &["-t", "1"]);
    assert!(matches!(ingest.next().await, Event::Connected { peer } if peer.ip().is_loopback()));
    let opening = ingest.opening().await;
    let video = opening.input.video.unwrap();
    assert_eq!(
        (video.codec.as_str(), video.width, video.height),
        ("h264", 320, 180)
    );
    assert_eq!(video.fps, Some(25.0));
    let audio = opening.input.audio.unwrap();
    assert_eq!(
        (audio.codec.as_str(), audio.sample_rate, audio.channels),
        ("aac", 48_000, 2)
    );
    assert_eq!(ingest.after_media().await, Event::Disconnected(End::Clean));
    assert!(child.wait().await.unwrap().success());
    assert!(ingest.events.try_recv().is_err(), "nobody was refused");
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_any_media() {
    let mut ingest = Ingest::start().await;
    assert_refused(&mut ingest, "wrong", Refusal::WrongKey).await;
    assert!(ingest.events.try_recv().is_err());
}

/// A publisher that shows this is turned away for that, and gives up.
async fn assert_refused(ingest: &mut Ingest, shown: &str, expected: Refusal) {
    let mut child = publisher(&ingest.url(shown), "320x180", 48_000, &[]);
    let refused = ingest.next().await;
    assert!(
        matches!(refused, Event::Refused { why, .. } if why == expected),
        "{refused:?}"
    );
    let status = timeout(5 * SECOND, child.wait())
        .await
        .expect("it gives up")
        .unwrap();
    assert!(!status.success());
}

/// As an encoder does whose field for the key was left empty.
#[tokio::test]
async fn a_missing_key_is_named_as_such() {
    let mut ingest = Ingest::start().await;
    for name in ["", "?token=x/y"] {
        assert_refused(&mut ingest, name, Refusal::NoKey).await;
    }
}

#[tokio::test]
async fn a_second_publisher_is_refused_and_the_first_goes_on() {
    let mut ingest = Ingest::start().await;
    let _first = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    ingest.opening().await;
    let mut second = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(
        ingest.after_media().await,
        Event::Refused {
            why: Refusal::Busy,
            ..
        }
    ));
    assert!(!second.wait().await.unwrap().success());
    let mut tags = 0;
    while tags < 25 {
        match ingest.next().await {
            Event::Tag(_) => tags += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_rotated_key_cuts_the_publisher_and_lets_the_new_one_in() {
    let mut ingest = Ingest::start().await;
    let mut first = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    ingest.opening().await;
    ingest.key.send_replace(StreamKey::generate());
    assert_eq!(
        ingest.after_media().await,
        Event::Disconnected(End::KeyRotated)
    );
    timeout(5 * SECOND, first.wait())
        .await
        .expect("it notices")
        .unwrap();
    let _second = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
}

/// The publisher is killed and comes back four seconds later with another
/// picture; what FFmpeg makes of it has no hole. The four seconds pass on the
/// run's clock only.
#[tokio::test]
async fn one_ffmpeg_decodes_two_connections_as_continuous_time() {
    let mut ingest = Ingest::start().await;
    let (start, mut jumped) = (Instant::now(), Duration::ZERO);
    let mut flv = BytesMut::new();
    let mut writer = None;
    for size in ["320x180", "256x144"] {
        let mut child = publisher(&ingest.good_url(), size, 48_000, &[]);
        assert!(matches!(ingest.next().await, Event::Connected { .. }));
        let opening = ingest.opening().await;
        let writer = writer.get_or_insert_with(|| FlvWriter::new(&opening.input));
        assert!(writer.can_continue_with(&opening.input));
        writer.begin_connection();
        for tag in &opening.tags {
            writer
                .write(tag, start.elapsed() + jumped, &mut flv)
                .unwrap();
        }
        let began = Instant::now();
        while began.elapsed() < SECOND {
            if let Event::Tag(tag) = ingest.next().await {
                writer
                    .write(&tag, start.elapsed() + jumped, &mut flv)
                    .unwrap();
            }
        }
        child.kill().await.unwrap();
        assert_eq!(ingest.after_media().await, Event::Disconnected(End::Lost));
        jumped += 4 * SECOND;
    }
    let (video, audio) = decode(&flv).await;
    // Two seconds of media and the gap, without what start-up took.
    let least = 5.5;
    assert!(
        video.len() as f64 / 25.0 > least,
        "{} pictures",
        video.len()
    );
    for pair in video.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + 1);
    }
    let samples: i64 = audio.iter().map(|(_, duration)| duration).sum();
    assert!(samples as f64 / 48_000.0 > least, "{samples} samples");
    for pair in audio.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + pair[0].1);
    }
}

/// Time and duration of every picture and of every block of samples that
/// FFmpeg makes of this.
async fn decode(flv: &[u8]) -> (Vec<(i64, i64)>, Vec<(i64, i64)>) {
    let mut child = ffmpeg()
        .args(["-f", "flv", "-i", "pipe:0"])
        // A new picture size rebuilds its filter graph, which forgets where it
        // was: sound has a graph of its own, and the gap is filled behind it.
        .args(["-filter_complex", "[0:v]fps=25,scale=160:90[v]"])
        .args(["-filter_complex", "[0:a]aresample=48000:async=1[a]"])
        .args(["-map", "[v]", "-map", "[a]", "-fps_mode", "cfr", "-r", "25"])
        .args(["-f", "framecrc", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut text = String::new();
    let (written, read) = tokio::join!(
        async {
            stdin.write_all(flv).await.unwrap();
            drop(stdin);
        },
        stdout.read_to_string(&mut text),
    );
    let ((), _) = (written, read.unwrap());
    assert!(child.wait().await.unwrap().success());
    let mut tracks = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<i64> = line
            .split(',')
            .take(4)
            .map(|field| field.trim().parse().unwrap())
            .collect();
        match fields[0] {
            0 => tracks.0.push((fields[2], fields[3])),
            _ => tracks.1.push((fields[2], fields[3])),
        }
    }
    tracks
}

#[tokio::test]
async fn a_reader_who_stalls_stalls_the_publisher() {
    let mut ingest = Ingest::start().await;
    // As fast as it can: only the channel and the sockets hold it back.
    let url = ingest.good_url();
    let _child = ffmpeg()
        .args([
            "-f",
            "lavfi",
            "-i",
            "nullsrc=s=640x360,noise=alls=100:allf=t",
            "-c:v",
            "libx264",
        ])
        .args(["-preset", "ultrafast", "-crf", "1", "-f", "flv", &url])
        .spawn()
        .unwrap();
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    timeout(5 * SECOND, async {
        while ingest.events.len() < ingest.events.max_capacity() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the channel fills");
    // It is full, and the publisher is still there when we read on.
    let mut tags = 0;
    while tags < 2 * ingest.events.max_capacity() {
        match ingest.next().await {
            Event::Tag(tag) => tags += usize::from(tag.kind == TagKind::Video),
            Event::Metadata(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn playing_from_the_ingest_is_refused() {
    let mut ingest = Ingest::start().await;
    let mut player = ffmpeg()
        .args(["-i", &ingest.good_url(), "-f", "null", "-"])
        .spawn()
        .unwrap();
    assert!(matches!(
        ingest.next().await,
        Event::Refused {
            why: Refusal::Play,
            ..
        }
    ));
    assert!(
        !timeout(5 * SECOND, player.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn whoever_says_nothing_or_nonsense_is_dropped() {
    let limits = Limits {
        negotiation: Duration::from_millis(300),
        connections: 2,
        ..Limits::default()
    };
    let mut ingest = Ingest::within(limits).await;
    // Two are in; for a third the oldest goes, as none has shown the key.
    let mut first = TcpStream::connect(ingest.address).await.unwrap();
    let mut silent = TcpStream::connect(ingest.address).await.unwrap();
    let mut nonsense = TcpStream::connect(ingest.address).await.unwrap();
    assert!(matches!(
        ingest.next().await,
        Event::Refused {
            why: Refusal::TooMany,
            peer,
        } if peer == first.local_addr().unwrap()
    ));
    assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0);
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(
        ingest.next().await,
        Event::Refused {
            why: Refusal::BadProtocol,
            ..
        }
    ));
    assert!(matches!(
        ingest.next().await,
        Event::Refused {
            why: Refusal::TooSlow,
            ..
        }
    ));
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// What held the connections up is over or says nothing: who has the key
/// gets in at once, and once in is not turned out for others.
#[tokio::test]
async fn a_crowd_of_strangers_does_not_keep_the_publisher_out() {
    let limits = Limits {
        negotiation: 60 * SECOND,
        idle: 60 * SECOND,
        connections: 4,
        ..Limits::default()
    };
    let mut ingest = Ingest::within(limits).await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        crowd.push(TcpStream::connect(ingest.address).await.unwrap());
    }
    let mut child = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    let mut refused = 0;
    loop {
        match ingest.next().await {
            Event::Refused { .. } => refused += 1,
            Event::Connected { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    for _ in 0..8 {
        crowd.push(TcpStream::connect(ingest.address).await.unwrap());
    }
    // Four, one for the publisher, and eight again.
    while refused < 13 {
        match ingest.next().await {
            Event::Refused { .. } => refused += 1,
            Event::Tag(_) | Event::Metadata(_) => {}
            other => panic!("{other:?}"),
        }
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_publisher_who_falls_silent_is_lost() {
    let limits = Limits {
        idle: Duration::from_millis(500),
        ..Limits::default()
    };
    let mut ingest = Ingest::within(limits).await;
    let child = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    ingest.opening().await;
    let id = nix::unistd::Pid::from_raw(child.id().unwrap() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGSTOP).unwrap();
    assert_eq!(ingest.after_media().await, Event::Disconnected(End::Lost));
}

#[tokio::test]
async fn a_publisher_who_falls_silent_gives_way_to_the_next() {
    let mut ingest = Ingest::within(Limits {
        silence: SECOND / 2,
        ..Limits::default()
    })
    .await;
    let first = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    ingest.opening().await;
    let pid = nix::unistd::Pid::from_raw(first.id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let url = ingest.good_url();
    let mut second = publisher(&url, "320x180", 48_000, &[]);
    let lost = loop {
        match ingest.after_media().await {
            // It came too early: as encoders do, it comes again.
            Event::Refused { .. } => second = publisher(&url, "320x180", 48_000, &[]),
            other => break other,
        }
    };
    assert_eq!(lost, Event::Disconnected(End::Lost));
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    ingest.opening().await;
    drop(second);
}

#[tokio::test]
async fn dropping_the_server_closes_everything() {
    let mut ingest = Ingest::start().await;
    let mut child = publisher(&ingest.good_url(), "320x180", 48_000, &[]);
    assert!(matches!(ingest.next().await, Event::Connected { .. }));
    drop(ingest.server);
    timeout(5 * SECOND, child.wait())
        .await
        .expect("it notices")
        .unwrap();
    timeout(SECOND, async {
        while ingest.events.recv().await.is_some() {}
    })
    .await
    .expect("closed");
    assert!(TcpStream::connect(ingest.address).await.is_err());
}
