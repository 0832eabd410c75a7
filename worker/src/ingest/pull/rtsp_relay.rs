//! The relay between FFmpeg and an RTSP server (RFC 2326, over TCP). FFmpeg
//! would follow a redirect to wherever it leads: the relay ends the connection
//! before FFmpeg has read that there is one. What the server sends is counted.
//!
//! FFmpeg's requests repeat what the server said (realm, session, names of
//! tracks): only the first word of a request is FFmpeg's own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::debug;

use super::Report;
use crate::ingest::address::connect_to;

/// FFprobe and FFmpeg, one after the other.
const MAX_CONNECTIONS: usize = 4;
/// One read, bytes.
const READ_SIZE: usize = 64 * 1024;

/// Relays every connection to the checked addresses until dropped.
pub async fn serve(
    listener: TcpListener,
    host: String,
    addresses: Vec<SocketAddr>,
    report: Report,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                let (host, addresses) = (host.clone(), addresses.clone());
                let report = report.clone();
                connections.spawn(async move {
                    let connected = connect_to(&host, &addresses).await;
                    report.connected(&connected);
                    if let Ok(upstream) = connected {
                        relay(stream, upstream, &host, &report).await;
                    }
                });
            }
            Ok(_) => debug!("too many connections to the input relay"),
            Err(error) => {
                debug!(%error, "accepting a connection to the input relay failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn relay(ours: TcpStream, theirs: TcpStream, host: &str, report: &Report) {
    let (our_read, our_write) = ours.into_split();
    let (their_read, their_write) = theirs.into_split();
    // After PLAY FFmpeg follows no redirect, and what comes is media.
    let playing = AtomicBool::new(false);
    let mut request = RequestWatch::default();
    let mut status = StatusWatch::default();
    let requests = copy(our_read, their_write, |bytes| {
        if bytes.iter().any(|byte| request.feed(*byte)) {
            playing.store(true, Ordering::Relaxed);
        }
        true
    });
    let answers = copy(their_read, our_write, |bytes| {
        report.received.add(bytes.len());
        let good = playing.load(Ordering::Relaxed) || bytes.iter().all(|byte| status.feed(*byte));
        if !good {
            report.forbidden(host);
        }
        good
    });
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

/// Copies until the end, an error, or bytes that don't pass.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut passes: impl FnMut(&[u8]) -> bool,
) {
    let mut buffer = vec![0; READ_SIZE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !passes(&buffer[..count]) || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Finds a word in a stream.
struct Finder {
    word: &'static [u8],
    found: usize,
}

impl Finder {
    const fn new(word: &'static [u8]) -> Self {
        Self { word, found: 0 }
    }

    /// Whether this byte completes the word. No word used here begins anew
    /// within itself, so there is nothing to go back to.
    fn feed(&mut self, byte: u8) -> bool {
        self.found = match byte {
            _ if byte == self.word[self.found] => self.found + 1,
            _ if byte == self.word[0] => 1,
            _ => 0,
        };
        let complete = self.found == self.word.len();
        if complete {
            self.found = 0;
        }
        complete
    }
}

/// Looks for a request to play among FFmpeg's messages: requests with their
/// bodies (RFC 2326, sections 6 and 12.14) and interleaved packets (10.12).
#[derive(Default)]
struct RequestWatch {
    at: RequestPart,
    /// The line under way, up to [`MAX_LINE`] bytes.
    line: Vec<u8>,
    is_first_line: bool,
    /// The length of the request's body, bytes.
    body: u64,
}

#[derive(Default)]
enum RequestPart {
    /// Between two messages.
    #[default]
    Between,
    /// In the head of an interleaved packet: bytes of it so far, and the
    /// packet's length.
    Packet(u8, u64),
    /// In a line of a request's head.
    Line,
    /// In a body or packet, with so many bytes to go, not zero.
    Body(u64),
}

/// What is looked at of a line: no method or length is longer. Bytes.
const MAX_LINE: usize = 64;

impl RequestWatch {
    /// Whether this byte completes the first line of a PLAY request.
    fn feed(&mut self, byte: u8) -> bool {
        let mut plays = false;
        self.at = match self.at {
            RequestPart::Between if byte == b'$' => RequestPart::Packet(1, 0),
            RequestPart::Between if matches!(byte, b'\r' | b'\n') => RequestPart::Between,
            RequestPart::Between => {
                self.line.clear();
                self.is_first_line = true;
                self.body = 0;
                self.line.push(byte);
                RequestPart::Line
            }
            RequestPart::Packet(seen @ ..=1, _) => RequestPart::Packet(seen + 1, 0),
            RequestPart::Packet(2, _) => RequestPart::Packet(3, u64::from(byte) << 8),
            RequestPart::Packet(_, high) => Self::skipping(high | u64::from(byte)),
            RequestPart::Line if byte == b'\n' => {
                plays = self.is_first_line && self.line.starts_with(b"PLAY ");
                self.end_line()
            }
            RequestPart::Line => {
                if self.line.len() < MAX_LINE {
                    self.line.push(byte);
                }
                RequestPart::Line
            }
            RequestPart::Body(left) => Self::skipping(left - 1),
        };
        plays
    }

    fn end_line(&mut self) -> RequestPart {
        let line = self.line.trim_ascii().to_ascii_lowercase();
        self.line.clear();
        self.is_first_line = false;
        if line.is_empty() {
            return Self::skipping(self.body);
        }
        if let Some(length) = line.strip_prefix(b"content-length:") {
            let length = std::str::from_utf8(length).ok();
            let length = length.and_then(|length| length.trim().parse().ok());
            // Not to be read: nothing after it is taken for a request.
            self.body = length.unwrap_or(u64::MAX);
        }
        RequestPart::Line
    }

    const fn skipping(bytes: u64) -> RequestPart {
        match bytes {
            0 => RequestPart::Between,
            left => RequestPart::Body(left),
        }
    }
}

/// Looks for a status line (RFC 2326, section 7.1) that FFmpeg would take for
/// a redirect, anywhere in what the server sends, so that no trick of framing
/// hides it; and lets no line pass whose status is not plain to read.
struct StatusWatch {
    name: Finder,
    at: StatusPart,
}

enum StatusPart {
    /// Before `RTSP/`.
    Name,
    /// In the version.
    Version,
    /// In the space before the code.
    Space,
    /// In the code, after so many digits.
    Code(u8),
}

impl Default for StatusWatch {
    fn default() -> Self {
        Self {
            name: Finder::new(b"RTSP/"),
            at: StatusPart::Name,
        }
    }
}

impl StatusWatch {
    /// Whether the stream may go on after this byte.
    fn feed(&mut self, byte: u8) -> bool {
        // FFmpeg leaves out every CR, wherever it stands.
        if byte == b'\r' {
            return true;
        }
        let is_space = matches!(byte, b' ' | b'\t');
        self.at = match self.at {
            StatusPart::Name if self.name.feed(byte) => StatusPart::Version,
            StatusPart::Name => StatusPart::Name,
            StatusPart::Version if is_space => StatusPart::Space,
            StatusPart::Version if byte.is_ascii_digit() || byte == b'.' => StatusPart::Version,
            StatusPart::Space if is_space => StatusPart::Space,
            StatusPart::Space if matches!(byte, b'1' | b'2' | b'4' | b'5') => StatusPart::Code(1),
            StatusPart::Code(1) if byte.is_ascii_digit() => StatusPart::Code(2),
            StatusPart::Code(2) if byte.is_ascii_digit() => StatusPart::Code(3),
            StatusPart::Code(3) if is_space || byte == b'\n' => StatusPart::Name,
            _ => return false,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passes(bytes: &[u8]) -> bool {
        let mut watch = StatusWatch::default();
        bytes.iter().all(|byte| watch.feed(*byte))
    }

    #[test]
    fn answers_pass_and_redirects_do_not() {
        for good in [
            &b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"[..],
            b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"x\"\r\n\r\n",
            b"RTSP/2.0 454\r\n\r\nv=0\r\na=tool:RTSP server\r\n",
            b"$\x00\x00\x04abcdRTSP/1.0 200 OK\r\n\r\n",
        ] {
            assert!(passes(good), "{}", good.escape_ascii());
        }
        for bad in [
            &b"RTSP/1.0 302 Moved\r\nLocation: rtsp://169.254.169.254/\r\n\r\n"[..],
            b"RTSP/1.0  301 x\r\n",
            // FFmpeg ignores CRs, and reads the number as atoi does.
            b"RT\rSP/1.0 3\r02 x\r\n",
            b"RTSP/1.0 +302 x\r\n",
            b"RTSP/1.0 0302 x\r\n",
            b"RTSP/1.0 4294967598 x\r\n",
            b"RTSP/1.0\n302 x\r\n",
            b"RTSP/x 200 x",
            // Right after a body that doesn't end in a line break.
            b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhelloRTSP/1.0 302 Moved\r\n",
        ] {
            assert!(!passes(bad), "{}", bad.escape_ascii());
        }
    }

    fn plays(bytes: &[u8]) -> bool {
        let mut watch = RequestWatch::default();
        bytes.iter().any(|byte| watch.feed(*byte))
    }

    #[test]
    fn only_a_request_to_play_is_one() {
        const PLAY: &str = "PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 5\r\n";
        for before in [
            &b""[..],
            b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"SET_PARAMETER rtsp://h/a RTSP/1.0\r\ncontent-LENGTH: 4\r\n\r\na: b",
            b"$\x01\x00\x08PLAYPLAY$\x01\x00\x00",
            b"\r\n",
        ] {
            assert!(
                plays(&[before, PLAY.as_bytes()].concat()),
                "{}",
                before.escape_ascii()
            );
        }
        for other in [
            // What a server had FFmpeg repeat.
            &b"DESCRIBE rtsp://h/a RTSP/1.0\r\nAuthorization: Digest realm=\"PLAY rtsp:\"\r\n\r\n"
                [..],
            b"SETUP rtsp://h/PLAY rtsp://h/ RTSP/1.0\r\n\r\n",
            b"DESCRIBE rtsp://h/a RTSP/1.0\r\nPLAY rtsp://h/a RTSP/1.0\r\n\r\n",
            b"SET_PARAMETER rtsp://h/a RTSP/1.0\r\nContent-Length: 18\r\n\r\nPLAY rtsp://h/a \r\n",
            b"SET_PARAMETER rtsp://h/a RTSP/1.0\r\nContent-Length: x\r\n\r\nPLAY rtsp://h/a \r\n",
            b"$\x00\x00\x07PLAY \r\n",
            b"PLAYER rtsp://h/a RTSP/1.0\r\n\r\n",
            // Cut off by FFmpeg's buffer, the next one follows in mid-line.
            b"DESCRIBE rtsp://h/a RTSP/1.0\r\nAuthorization: xPLAY rtsp://h/a RTSP/1.0\r\n",
        ] {
            assert!(!plays(other), "{}", other.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_the_request_watch(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            plays(&bytes);
        }

        #[test]
        fn a_redirect_is_found_behind_anything(
            before in proptest::collection::vec(any::<u8>(), 0..200), code in 300_u16..400,
        ) {
            let mut bytes = before;
            bytes.extend(format!("\nRTSP/1.0 {code} Moved\r\n").bytes());
            prop_assert!(!passes(&bytes));
        }
    }
}
