//! Which URLs a worker may pull from.

use std::net::IpAddr;

use serde::Serialize;
use url::Url;

/// The protocol of a pulled input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullProtocol {
    /// `rtmp` and `rtmps`.
    Rtmp,
    /// `srt`, called by the worker.
    Srt,
    /// `rtsp`, over TCP.
    Rtsp,
    /// `http` and `https`: HLS or a progressive stream.
    Http,
}

/// A URL with an allow-listed scheme and no forbidden literal address.
/// `Debug` and `Display` leave out credentials and query.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PullUrl(Url);

/// Whether an untrusted URL must not lead to this address.
pub fn is_forbidden_address(_address: IpAddr) -> bool {
    true
}

impl std::fmt::Debug for PullUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.scheme())
    }
}
