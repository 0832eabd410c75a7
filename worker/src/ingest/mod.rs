//! Takes the live input in: pushed over RTMP, or pulled from a URL.
//!
//! ```text
//!            untrusted                              trusted
//!  publisher ──RTMP──▶ rtmp::server ─┐
//!                                    ├─▶ Event ──▶ sniff ──▶ flv ──▶ FFmpeg's stdin
//!  origin ◀──RTMP(S)── rtmp::client ─┘     │
//!                                          └─────▶ meter ◀─┐
//!  origin ◀──HTTP, RTSP, SRT── pull::prepare ──────────────┘ ◀── FFmpeg opens the Feed itself
//! ```
//!
//! **Pushed.** [`rtmp::server`] listens, checks the stream key before it passes
//! on a byte of media, and gives one publisher at a time to the run as
//! [`Event`]s in a bounded channel: when FFmpeg is slow, the publisher's TCP
//! window closes, and nothing piles up here.
//!
//! **Pulled over RTMP.** [`rtmp::client`] plays from the origin and gives the
//! same [`Event`]s, so all that follows is shared.
//!
//! **Then** [`sniff::Sniffer`] holds the first tags until it knows what the
//! input carries ([`domain::input::InputInfo`], from which the plan is made),
//! hands them back from a key frame on, and [`flv::FlvWriter`] turns them and
//! all that follow, over however many connections, into one FLV stream whose
//! media time follows the run's wall time.
//!
//! **Pulled otherwise.** FFmpeg is the client, but of a checking proxy for
//! HTTP(S) and of checking relays for RTSP and SRT ([`pull::prepare`]): they
//! resolve names, contact only what the [`address::AddressPolicy`] permits,
//! and count what passes. FFmpeg could contact others, where a server says so
//! and its options let it: what they don't forbid, proxy and relay keep from
//! it. What such an input carries is found by [`pull::probe`].
//!
//! No clock is read in `sniff`, `flv` and `meter`: time comes in as an
//! argument, so that all their rules are tested without waiting.

pub mod address;
pub mod flv;
pub mod meter;
pub mod pull;
pub mod rtmp;
pub mod sniff;
#[cfg(test)]
mod testing;
mod tls;

use std::net::SocketAddr;

use bytes::Bytes;

/// What an RTMP input tells the run, in the order it happened. Between a
/// `Connected` and its `Disconnected` everything is of one connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A publisher showed the right key, or an origin began to play.
    Connected {
        /// The other end.
        peer: SocketAddr,
    },
    /// What the publisher says of its stream; may come again at any time.
    Metadata(Metadata),
    /// A piece of audio or video.
    Tag(Tag),
    /// The connection of the last `Connected` is over.
    Disconnected(End),
    /// Someone was turned away. Never a secret in it: for the job's history.
    /// Left out when the channel is full; always in the log.
    Refused {
        /// Who.
        peer: SocketAddr,
        /// Why.
        why: Refusal,
    },
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The publisher said that it has finished (`deleteStream` and the like).
    Clean,
    /// The connection broke, went silent or sent what is no RTMP.
    Lost,
    /// The stream key was rotated while the publisher was on the old one.
    KeyRotated,
}

/// Why a connection was turned away before it could publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The stream name, which carries the key, is empty.
    NoKey,
    /// The stream key is not the job's.
    WrongKey,
    /// Another publisher is on.
    Busy,
    /// It wanted to play: the ingest gives nothing out.
    Play,
    /// It did not get as far as publishing within the deadline.
    TooSlow,
    /// It sent what is no RTMP, or more of it than anyone needs to publish.
    BadProtocol,
    /// Too many connections at a time.
    TooMany,
}

impl Refusal {
    /// The reason in words for logs and the job's history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no stream key: push to INGEST/KEY",
            Self::WrongKey => "wrong stream key",
            Self::Busy => "another publisher is already connected",
            Self::Play => "playing from the ingest is not possible",
            Self::TooSlow => "did not start to publish in time",
            Self::BadProtocol => "not a valid RTMP connection",
            Self::TooMany => "too many connections",
        }
    }
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// RTMP message type 8, FLV tag type 8.
    Audio,
    /// RTMP message type 9, FLV tag type 9.
    Video,
}

/// One audio or video message, its body as in an FLV tag (Adobe Flash Video
/// File Format 10.1, annex E.4.2 and E.4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Audio or video.
    pub kind: TagKind,
    /// Milliseconds by the publisher's clock, from any origin; wraps at 2^32.
    pub timestamp: u32,
    /// Codec byte and payload.
    pub data: Bytes,
}

/// Whether pictures come at such a rate, frames per second; anything else is a
/// stream's clock, or a slip of its maker.
fn is_frame_rate(fps: f64) -> bool {
    (1.0..=300.0).contains(&fps)
}

/// The parts of `onMetaData` that are used. Publishers leave out what they
/// like and are not to be believed: it is a hint until the data confirms it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Whether it names a video codec.
    pub has_video: bool,
    /// Whether it names an audio codec.
    pub has_audio: bool,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub framerate: Option<f64>,
}
