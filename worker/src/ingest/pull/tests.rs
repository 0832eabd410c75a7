//! Pulled inputs with the real FFmpeg and origins that mislead it.
//!
//! The policy here permits 127.0.0.1 only, so that 127.0.0.2, which is as much
//! this machine, can stand for what is forbidden.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::plan::probe_args;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::probe::{Length, ProbeError, Probed, probe};
use super::*;
use crate::ingest::testing::{certificate, ffmpeg, test_input};

const LIMIT: Duration = Duration::from_secs(6);

fn policy() -> AddressPolicy {
    AddressPolicy::new(|ip| ip == IpAddr::from([127, 0, 0, 1])).with_resolver(
        |host, port| async move {
            let last = match host.as_str() {
                "origin.example" => 1,
                "inside.example" => 2,
                _ => return Err(io::ErrorKind::NotFound.into()),
            };
            Ok(vec![SocketAddr::from(([127, 0, 0, last], port))])
        },
    )
}

async fn ready(url: &Url, received: &Received, tls: Option<Arc<ClientConfig>>) -> Prepared {
    let prepared = prepare_with(url, &policy(), received, tls).await;
    prepared.unwrap()
}

async fn ask(prepared: &Prepared) -> Result<Probed, ProbeError> {
    let ffprobe = Command::new("ffprobe");
    let options = probe_args(prepared.feed());
    probe(ffprobe, &options, prepared.http_proxy(), LIMIT).await
}

/// Half a second of picture and tone in this container.
async fn media(format: &str) -> Bytes {
    let mut command = ffmpeg();
    let input = test_input("320x180", 48_000)
        .into_iter()
        .filter(|option| option != "-re");
    command
        .args(input)
        .args(["-t", "0.5", "-f", format, "pipe:1"]);
    let output = command
        .stdout(std::process::Stdio::piped())
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    output.stdout.into()
}

/// What an origin answers to a path.
type Answers = Arc<dyn Fn(&str) -> Response<Full<Bytes>> + Send + Sync>;

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answers: Answers,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        // The proxy has taken its own headers out and named the host.
        assert!(!request.headers().contains_key("proxy-authorization"));
        assert!(request.headers().contains_key("host"));
        let answer = answers(request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    let io = TokioIo::new(stream);
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
}

async fn origin(answers: impl Fn(&str) -> Response<Full<Bytes>> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Answers = Arc::new(answers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_http(stream, Arc::clone(&answers)));
        }
    });
    port
}

fn ok(body: Bytes) -> Response<Full<Bytes>> {
    Response::new(Full::new(body))
}

fn redirect(to: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(302)
        .header("location", to)
        .body(Full::default())
        .unwrap()
}

fn expect_media(probed: &Probed) {
    let input = &probed.input;
    let video = input.video.as_ref().unwrap();
    assert_eq!(
        (video.codec.as_str(), video.width, video.height),
        ("h264", 320, 180)
    );
    assert_eq!(video.fps, Some(25.0));
    assert_eq!(input.audio.as_ref().unwrap().sample_rate, 48_000);
}

/// A listener where nobody may ever call.
struct Forbidden(TcpListener);

impl Forbidden {
    async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.2:0").await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Whoever called would be in the backlog.
    async fn assert_never_contacted(&self) {
        assert!(
            timeout(Duration::from_millis(50), self.0.accept())
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn http_comes_through_the_proxy_and_is_counted() {
    let body = media("mpegts").await;
    let size = body.len() as u64;
    let port = origin(move |_| ok(body.clone())).await;
    let url = Url::parse(&format!("http://origin.example:{port}/live.ts")).unwrap();
    let received = Received::default();
    let prepared = prepare(&url, &policy(), &received).await.unwrap();
    let probed = ask(&prepared).await.unwrap();
    expect_media(&probed);
    assert_eq!(probed.length, Some(Length::Bytes(size)));
    assert_eq!(received.total(), size);
}

#[tokio::test]
async fn hls_and_its_redirects_come_through_the_proxy() {
    let body = media("mpegts").await;
    let port = origin(move |path| match path {
        "/moved.m3u8" => redirect("/live.m3u8"),
        "/live.m3u8" => ok(playlist("segment.ts").into()),
        _ => ok(body.clone()),
    })
    .await;
    let url = Url::parse(&format!("http://origin.example:{port}/moved.m3u8")).unwrap();
    let prepared = prepare(&url, &policy(), &Received::default())
        .await
        .unwrap();
    let probed = ask(&prepared).await.unwrap();
    expect_media(&probed);
    let length = Length::Time(Duration::from_millis(500));
    assert_eq!(probed.length, Some(length), "ENDLIST");
}

fn playlist(segment: &str) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{segment}\n#EXT-X-ENDLIST\n"
    )
}

/// An origin that speaks TLS as `origin.example`, and what trusts it.
async fn tls_origin(
    answers: impl Fn(&str) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> (u16, Arc<ClientConfig>) {
    let (config, trusting) = certificate("origin.example");
    let acceptor = TlsAcceptor::from(config);
    let answers: Answers = Arc::new(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answers) = (acceptor.clone(), Arc::clone(&answers));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_http(stream, answers).await;
                }
            });
        }
    });
    (port, trusting)
}

#[tokio::test]
async fn https_is_spoken_by_the_proxy_and_certificates_are_checked() {
    let body = media("mpegts").await;
    let size = body.len() as u64;
    let (port, trusting) = tls_origin(move |_| ok(body.clone())).await;
    let url = Url::parse(&format!("https://origin.example:{port}/live.ts")).unwrap();
    // Nobody whom the platform trusts has signed the certificate.
    let prepared = ready(&url, &Received::default(), None).await;
    assert!(ask(&prepared).await.is_err());
    assert_eq!(
        prepared.unreached().as_deref(),
        Some(
            "the TLS certificate of origin.example is not signed by an authority that is \
             trusted here"
        )
    );

    let received = Received::default();
    let prepared = ready(&url, &received, Some(trusting)).await;
    expect_media(&ask(&prepared).await.unwrap());
    assert_eq!(received.total(), size);
}

#[tokio::test]
async fn https_goes_on_in_redirects_and_playlists_and_is_checked_there() {
    let body = media("mpegts").await;
    let (port, trusting) = tls_origin(move |path| match path {
        "/moved" => redirect("/live.m3u8"),
        "/live.m3u8" => ok(format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nhttps://origin.example:{}/v.m3u8\n",
            // The request's own port is not known here.
            PORT.get().unwrap()
        )
        .into()),
        "/v.m3u8" => ok(playlist("segment.ts").into()),
        _ => ok(body.clone()),
    })
    .await;
    static PORT: std::sync::OnceLock<u16> = std::sync::OnceLock::new();
    PORT.set(port).unwrap();
    // From plain HTTP to TLS.
    let to = format!("https://origin.example:{port}/moved");
    let first = origin(move |_| redirect(&to)).await;
    let url = Url::parse(&format!("http://origin.example:{first}/")).unwrap();
    let prepared = ready(&url, &Received::default(), Some(trusting)).await;
    expect_media(&ask(&prepared).await.unwrap());

    // A segment from a server whose certificate nobody has signed.
    let (strange, _) = tls_origin(|_| ok(Bytes::from_static(b"media"))).await;
    let list = playlist(&format!("https://origin.example:{strange}/segment.ts"));
    let first = origin(move |_| ok(list.clone().into())).await;
    let url = Url::parse(&format!("http://origin.example:{first}/a.m3u8")).unwrap();
    let prepared = ready(&url, &Received::default(), None).await;
    assert!(ask(&prepared).await.is_err());
    let why = prepared.unreached().unwrap();
    assert!(why.contains("not signed by an authority"), "{why}");
}

/// What makes FFmpeg connect by itself, where it is let: a playlist with these
/// lines, and an answer with this header.
#[tokio::test]
async fn no_playlist_leads_ffmpeg_past_the_proxy() {
    let inside = Forbidden::bind().await;
    let target = format!("127.0.0.2:{}", inside.port());
    let segment = |uri: String| playlist(&uri);
    let tagged = |tag: &str| {
        let tag = format!("#EXT-X-TARGETDURATION:1\n{tag}");
        playlist("segment.ts").replacen("#EXT-X-TARGETDURATION:1", &tag, 1)
    };
    let variant = |uri: String| format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\n{uri}\n");
    let rendition = |uri: String| {
        let media = format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI={uri}");
        format!("#EXTM3U\n{media}\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n")
    };
    let mut bodies = Vec::new();
    for before in [
        "httpproxy://",
        "tcp://",
        "tcp:",
        "tls://",
        "https://",
        "crypto+tcp://",
        "crypto+httpproxy://",
        "crypto:tcp://",
        "concat:tcp://",
        "subfile,,start,0,end,9,,:tcp://",
        "async:tcp://",
        "cache:tcp://",
        "udp://",
        "rtp://",
        "rtmp://",
        "ftp://",
        "gopher://",
    ] {
        bodies.push(segment(format!("{before}{target}/a.ts")));
        bodies.push(variant(format!("{before}{target}/a.m3u8")));
        bodies.push(rendition(format!("\"{before}{target}/a.m3u8\"")));
    }
    bodies.push(rendition(format!("\"t\\cp\\://{target}/a.m3u8\"")));
    bodies.push(rendition(format!("tcp://{target}/a.m3u8")));
    bodies.push(tagged(&format!(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"tcp://{target}/\""
    )));
    bodies.push(tagged(&format!("#EXT-X-MAP:URI=\"tcp://{target}/\"")));
    let hidden = variant(format!("tcp://{target}/a.m3u8"));
    bodies.push(format!("ID3\x04\0\0\0\0\0\x10{}{hidden}", "\0".repeat(16)));
    bodies.push(variant("data:,x".to_owned()));
    let count = bodies.len();
    let port = origin(move |path| {
        let number = path
            .strip_suffix("/live.m3u8")
            .map(|path| path[1..].parse::<usize>());
        match number {
            Some(number) => ok(bodies[number.unwrap()].clone().into()),
            None => ok(playlist("segment.ts").into()),
        }
    })
    .await;
    for number in 0..count {
        let url = format!("http://origin.example:{port}/{number}/live.m3u8");
        let url = Url::parse(&url).unwrap();
        let prepared = ready(&url, &Received::default(), None).await;
        assert!(ask(&prepared).await.is_err(), "{number}");
    }
    inside.assert_never_contacted().await;
}

#[tokio::test]
async fn an_answer_is_read_by_ffmpeg_as_the_proxy_read_it() {
    let inside = Forbidden::bind().await;
    let target = format!("127.0.0.2:{}", inside.port());
    let hidden = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ntcp://{target}/a\n");
    // ICY metadata after each 4 bytes, of no length.
    let mut icy = Vec::new();
    for piece in hidden.as_bytes().chunks(4) {
        icy.extend_from_slice(piece);
        icy.push(0);
    }
    let elsewhere = format!("tcp://{target}/");
    let port = origin(move |path| {
        let with = |name: &str, value: &str, body: Vec<u8>| {
            let response = Response::builder().header(name, value);
            response.body(Full::new(body.into())).unwrap()
        };
        match path {
            "/icy" => with("icy-metaint", "4", icy.clone()),
            "/coded" => with("content-encoding", "gzip", b"\x1f\x8b".to_vec()),
            _ => {
                let relative = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n";
                with("location", &elsewhere, relative.into())
            }
        }
    })
    .await;
    for path in ["icy", "coded", "located"] {
        let url = format!("http://origin.example:{port}/{path}");
        let prepared = ready(&Url::parse(&url).unwrap(), &Received::default(), None).await;
        assert!(ask(&prepared).await.is_err(), "{path}");
        if path == "coded" {
            let why = "origin.example compresses what it was asked for as it is";
            assert_eq!(prepared.unreached().as_deref(), Some(why));
        }
    }
    inside.assert_never_contacted().await;
}

#[tokio::test]
async fn a_playlist_that_leads_past_the_proxy_is_told_of() {
    let list = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ntcp://127.0.0.2:80/a.m3u8\n";
    let port = origin(move |_| ok(list.into())).await;
    let url = Url::parse(&format!("http://origin.example:{port}/a.m3u8")).unwrap();
    let prepared = ready(&url, &Received::default(), None).await;
    assert!(ask(&prepared).await.is_err());
    let told = timeout(Duration::from_secs(1), prepared.forbidden());
    assert_eq!(told.await.unwrap().host, "127.0.0.2");
}

#[tokio::test]
async fn a_redirect_inside_is_refused_and_told() {
    let inside = Forbidden::bind().await;
    let target = inside.port();
    let port = origin(move |path| match path {
        "/address" => redirect(&format!("http://127.0.0.2:{target}/")),
        "/name" => redirect(&format!("http://inside.example:{target}/")),
        "/tls" => redirect(&format!("https://127.0.0.2:{target}/")),
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        _ => ok(playlist(&format!("http://127.0.0.2:{target}/segment.ts")).into()),
    })
    .await;
    for (path, host) in [
        ("address", "127.0.0.2"),
        ("name", "inside.example"),
        ("tls", "127.0.0.2"),
        ("metadata", "169.254.169.254"),
        ("live.m3u8", "127.0.0.2"),
    ] {
        let url = Url::parse(&format!("http://origin.example:{port}/{path}")).unwrap();
        let prepared = prepare(&url, &policy(), &Received::default())
            .await
            .unwrap();
        assert!(ask(&prepared).await.is_err(), "{path}");
        let told = timeout(Duration::from_secs(1), prepared.forbidden())
            .await
            .unwrap();
        assert_eq!(told.host, host, "{path}");
    }
    inside.assert_never_contacted().await;
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_named_as_such() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    for scheme in ["http", "https", "rtsp"] {
        let url = Url::parse(&format!("{scheme}://origin.example:{port}/a")).unwrap();
        let prepared = prepare(&url, &policy(), &Received::default()).await;
        let prepared = prepared.unwrap();
        assert_eq!(prepared.unreached(), None);
        assert!(ask(&prepared).await.is_err(), "{scheme}");
        let why = prepared.unreached().unwrap_or_default();
        assert!(
            why.starts_with("cannot connect to origin.example: Connection refused"),
            "{scheme}: {why}"
        );
    }
}

#[tokio::test]
async fn a_forbidden_host_is_an_error_before_ffmpeg_starts() {
    for url in [
        "http://inside.example/",
        "https://127.0.0.2/",
        "http://[::ffff:127.0.0.2]/",
        "rtsp://inside.example/a",
        "srt://127.0.0.2:9000",
    ] {
        let refused = prepare(&Url::parse(url).unwrap(), &policy(), &Received::default())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, PullError::Address(error) if error.is_forbidden()),
            "{url}"
        );
    }
}

#[tokio::test]
async fn the_proxy_serves_its_own_ffmpeg_only_and_only_until_dropped() {
    let port = origin(|_| ok(Bytes::from_static(b"secret"))).await;
    let url = Url::parse(&format!("http://origin.example:{port}/")).unwrap();
    let prepared = prepare(&url, &policy(), &Received::default())
        .await
        .unwrap();
    let Feed::Url {
        http_proxy: Some(proxy),
        ..
    } = prepared.feed().clone()
    else {
        panic!()
    };
    let proxy = Url::parse(&proxy).unwrap();
    let address = format!("127.0.0.1:{}", proxy.port().unwrap());
    let request = |headers: &str| format!("GET {url} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    for headers in ["", "Proxy-Authorization: Basic ZXpsaXZlOndyb25n\r\n"] {
        let answer = say(&address, &request(headers)).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
        assert!(!answer.contains("secret"));
    }
    use base64::Engine;
    let credentials = format!("{}:{}", proxy.username(), proxy.password().unwrap());
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    let ours = format!("Proxy-Authorization: Basic {encoded}\r\n");
    assert!(say(&address, &request(&ours)).await.ends_with("secret"));
    for method in ["POST", "CONNECT"] {
        let other = request(&ours).replacen("GET", method, 1);
        assert!(say(&address, &other).await.starts_with("HTTP/1.1 405 "));
    }
    let long = request(&format!("{ours}X: {}\r\n", "x".repeat(200_000)));
    assert!(say(&address, &long).await.starts_with("HTTP/1.1 431 "));

    drop(prepared);
    let closed = async { while TcpStream::connect(&address).await.is_ok() {} };
    timeout(Duration::from_secs(1), closed)
        .await
        .expect("the proxy is gone");
}

/// The answer as far as it comes.
async fn say(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses doesn't read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = timeout(Duration::from_millis(300), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An RTSP server with one track of silence in G.711, or that redirects.
async fn rtsp_server(redirect: Option<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(rtsp_connection(stream, redirect.clone()));
        }
    });
    port
}

async fn rtsp_connection(stream: TcpStream, redirect: Option<String>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut method, mut sequence) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim() {
                "" => break,
                line if method.is_empty() => method = line.split(' ').next().unwrap().to_owned(),
                line if line.starts_with("CSeq") => sequence = line.to_owned(),
                _ => {}
            }
        }
        let ok = |rest: &str| format!("RTSP/1.0 200 OK\r\n{sequence}\r\n{rest}\r\n");
        let sdp = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
            m=audio 0 RTP/AVP 0\r\na=control:track1\r\n";
        let answer = match (method.as_str(), &redirect) {
            ("DESCRIBE", Some(to)) => {
                format!("RTSP/1.0 302 Moved\r\n{sequence}\r\nLocation: {to}\r\n\r\n")
            }
            ("DESCRIBE", None) => {
                let length = sdp.len();
                let head = format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n");
                ok(&head) + sdp
            }
            ("SETUP", _) => ok("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
            ("OPTIONS", _) => ok("Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"),
            _ => ok("Session: 1\r\n"),
        };
        stream.write_all(answer.as_bytes()).await?;
        if method == "PLAY" {
            break;
        }
    }
    // Two seconds of 20 ms packets (RFC 3550, RFC 3551), all at once.
    for number in 0..100_u32 {
        let mut packet = vec![b'$', 0, 0, 172, 0x80, 0];
        packet.extend((number as u16).to_be_bytes());
        packet.extend((number * 160).to_be_bytes());
        packet.extend(1_u32.to_be_bytes());
        packet.extend([0xff; 160]);
        stream.write_all(&packet).await?;
    }
    stream.flush().await
}

#[tokio::test]
async fn rtsp_comes_through_the_relay() {
    let port = rtsp_server(None).await;
    let url = Url::parse(&format!("rtsp://u:p@origin.example:{port}/a/b?c=d")).unwrap();
    let received = Received::default();
    let prepared = prepare(&url, &policy(), &received).await.unwrap();
    let Feed::Url {
        url,
        http_proxy: None,
        ..
    } = prepared.feed()
    else {
        panic!()
    };
    assert!(
        url.starts_with("rtsp://u:p@127.0.0.1:") && url.ends_with("/a/b?c=d"),
        "{url}"
    );
    let audio = ask(&prepared).await.unwrap().input.audio.unwrap();
    assert_eq!(
        (audio.codec.as_str(), audio.sample_rate, audio.channels),
        ("pcm_mulaw", 8000, 1)
    );
    assert!(received.total() > 16_000, "{received:?}");
}

#[tokio::test]
async fn an_rtsp_redirect_is_cut_before_ffmpeg_sees_it() {
    let inside = Forbidden::bind().await;
    let port = rtsp_server(Some(format!("rtsp://127.0.0.2:{}/x", inside.port()))).await;
    assert_cut(&format!("rtsp://origin.example:{port}/x")).await;
    inside.assert_never_contacted().await;
}

/// FFmpeg gets nothing from there, as it leads elsewhere, which is told.
async fn assert_cut(url: &str) {
    let url = Url::parse(url).unwrap();
    let prepared = prepare(&url, &policy(), &Received::default())
        .await
        .unwrap();
    assert!(ask(&prepared).await.is_err());
    let told = timeout(Duration::from_secs(1), prepared.forbidden())
        .await
        .unwrap();
    assert_eq!(told.host, "origin.example");
}

/// A server that makes FFmpeg repeat words of its choice, in the realm of its
/// challenge, before it redirects.
async fn challenging_rtsp_server(realm: &'static str, redirect: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let redirect = redirect.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(head) = read_head(&mut stream).await {
                    let sequence = head.lines().find(|line| line.starts_with("CSeq")).unwrap();
                    let answer = match head.contains("Authorization: ") {
                        true => format!("302 Moved\r\n{sequence}\r\nLocation: {redirect}"),
                        false => format!(
                            "401 Unauthorized\r\n{sequence}\r\n\
                             WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"a\""
                        ),
                    };
                    let answer = format!("RTSP/1.0 {answer}\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    port
}

/// A request's lines up to the empty one; `None` at the end of the stream.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

#[tokio::test]
async fn an_rtsp_server_cannot_say_that_ffmpeg_plays() {
    let inside = Forbidden::bind().await;
    for realm in ["PLAY rtsp:", "PLAY rtsp://h/a RTSP/1.0"] {
        let to = format!("rtsp://127.0.0.2:{}/x", inside.port());
        let port = challenging_rtsp_server(realm, to).await;
        assert_cut(&format!("rtsp://u:p@origin.example:{port}/x")).await;
    }
    inside.assert_never_contacted().await;
}

/// A listener, which has media for the first who calls.
async fn srt_server() -> (u16, tokio::process::Child) {
    let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let to = format!("srt://127.0.0.1:{port}?mode=listener&passphrase=0123456789");
    let server = ffmpeg()
        .args(test_input("320x180", 48_000))
        .args(["-f", "mpegts", &to])
        .spawn();
    (port, server.unwrap())
}

#[tokio::test]
async fn srt_comes_through_the_relay() {
    let (port, _server) = srt_server().await;
    let url = format!("srt://origin.example:{port}?passphrase=0123456789");
    let received = Received::default();
    let url = Url::parse(&url).unwrap();
    let prepared = prepare(&url, &policy(), &received).await.unwrap();
    let options = probe_args(prepared.feed());
    // The server may not listen yet.
    let asking = async {
        loop {
            match probe(Command::new("ffprobe"), &options, None, LIMIT).await {
                Ok(probed) => return probed,
                Err(error) => assert!(matches!(error, ProbeError::Unreadable { .. }), "{error}"),
            }
        }
    };
    let probed = timeout(5 * LIMIT, asking).await.unwrap();
    expect_media(&probed);
    assert_eq!(probed.length, None);
    assert!(received.total() > 10_000, "{received:?}");
}

#[tokio::test]
async fn srt_calls_and_nothing_else_is_opened() {
    let url = Url::parse("srt://origin.example:9000?streamid=a&passphrase=b").unwrap();
    let prepared = prepare(&url, &policy(), &Received::default())
        .await
        .unwrap();
    let Feed::Url { url, .. } = prepared.feed() else {
        panic!()
    };
    assert!(
        url.starts_with("srt://127.0.0.1:") && url.ends_with("?streamid=a&passphrase=b"),
        "{url}"
    );
    let address = &url["srt://".len()..url.find('?').unwrap()];
    let said = prepared
        .alias()
        .lift(format!("Connection to srt://{address} failed"));
    assert_eq!(said, "Connection to srt://origin.example:9000 failed");
    let listening = Url::parse("srt://origin.example:9000?mode=listener").unwrap();
    assert!(matches!(
        prepare(&listening, &policy(), &Received::default()).await,
        Err(PullError::SrtMode)
    ));
    let file = Url::parse("file:///etc/passwd").unwrap();
    assert!(
        prepare(&file, &policy(), &Received::default())
            .await
            .is_err()
    );
}
