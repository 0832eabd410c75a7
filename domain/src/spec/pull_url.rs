//! Which URLs a worker may pull from.
//!
//! What the text of a URL can tell is judged here. What its host resolves or
//! redirects to is judged by the worker, where the connection is made, with
//! the same [`OperatorPolicy`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;
use url::{Host, Url};

use super::address::OperatorPolicy;
use super::report::shown;
use super::section::one_of;

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

const SCHEMES: [&str; 6] = ["rtmp", "rtmps", "srt", "rtsp", "http", "https"];

impl PullProtocol {
    /// The protocol of a URL's scheme, where it is an allowed one.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "rtmp" | "rtmps" => Some(Self::Rtmp),
            "srt" => Some(Self::Srt),
            "rtsp" => Some(Self::Rtsp),
            "http" | "https" => Some(Self::Http),
            _ => None,
        }
    }
}

/// A URL with an allow-listed scheme and no forbidden literal address.
/// `Debug` and `Display` leave out what may be secret; serialising doesn't.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PullUrl(Url);

impl PullUrl {
    /// Accepts a URL by its text. The error says what is wrong with it, for a
    /// person, without repeating credentials.
    pub fn parse(text: &str, policy: &OperatorPolicy) -> Result<Self, String> {
        // Readers of URLs disagree on backslashes, so none is let through.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err("must not contain spaces, control characters or backslashes".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        Self::from_url(url, policy)
    }

    pub(super) fn from_url(mut url: Url, policy: &OperatorPolicy) -> Result<Self, String> {
        let Some(protocol) = PullProtocol::of_scheme(url.scheme()) else {
            return Err(format!(
                "has the scheme {}; it must be {}",
                shown(url.scheme()),
                one_of(&SCHEMES)
            ));
        };
        let host = judge_host(&url, policy)?;
        // The judged form is the one that is opened: `rtmp` hosts are kept as
        // they were written by the parser, digits in other scripts and all.
        url.set_host(Some(&host))
            .map_err(|_| "has no valid host".to_owned())?;
        if let Some(port) = url.port()
            && !policy.permits_port(port)
        {
            return Err(format!(
                "names port {port}; inputs are pulled from 80, 443, 554 and those from 1024 on"
            ));
        }
        url.set_fragment(None);
        match protocol {
            PullProtocol::Srt => judge_srt(&url)?,
            PullProtocol::Rtmp if rtmp_names(&url).is_none() && !policy.is_trusting() => {
                return Err("must name an application and a stream: rtmp://HOST/APP/STREAM".into());
            }
            _ => {}
        }
        Ok(Self(url))
    }

    /// The whole URL, secrets included: for the one who connects.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The protocol, by the scheme.
    pub fn protocol(&self) -> PullProtocol {
        PullProtocol::of_scheme(self.0.scheme()).unwrap_or(PullProtocol::Http)
    }

    /// The URL without credentials, query and what follows the first segment
    /// of its path: stream keys and tokens stand in paths as often as not.
    pub fn redacted(&self) -> String {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        let port = self.0.port().map(|port| format!(":{port}"));
        let path = match self.0.path().trim_start_matches('/').split_once('/') {
            Some((first, _)) => format!("/{first}/…"),
            None => self.0.path().to_owned(),
        };
        format!("{scheme}://{host}{}{path}", port.unwrap_or_default())
    }
}

impl fmt::Debug for PullUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PullUrl({})", self.redacted())
    }
}

impl fmt::Display for PullUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// The names of application and stream in an RTMP URL, query aside, where it
/// has both. Split as FFmpeg does: the application is one part of the path, or
/// two where there are three; the rest is the stream.
pub fn rtmp_names(url: &Url) -> Option<(&str, &str)> {
    let path = url.path().trim_start_matches('/');
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let first = slashes.next()?;
    let split = slashes.next().unwrap_or(first);
    let (app, stream) = (&path[..split], &path[split + 1..]);
    (!app.is_empty() && !stream.is_empty()).then_some((app, stream))
}

/// The host as it will be contacted, where its text is not forbidden.
fn judge_host(url: &Url, policy: &OperatorPolicy) -> Result<String, String> {
    let host = match url.host() {
        None | Some(Host::Domain("")) => return Err("has no host".to_owned()),
        // Reads IPv4 addresses in every notation that a resolver would:
        // decimal, octal, hexadecimal, shortened (URL Standard, 3.5).
        Some(Host::Domain(name)) => {
            Host::parse(name).map_err(|error| format!("has no valid host: {error}"))?
        }
        Some(Host::Ipv4(address)) => Host::Ipv4(address),
        Some(Host::Ipv6(address)) => Host::Ipv6(address),
    };
    let address: Option<IpAddr> = match &host {
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
        Host::Domain(name) if is_local_name(name) => Some(Ipv4Addr::LOCALHOST.into()),
        Host::Domain(_) => None,
    };
    match address {
        Some(address) if !policy.permits(address) => Err(format!(
            "leads to {address}, which is no public address; \
             the operator of this service can allow it"
        )),
        _ => Ok(host.to_string()),
    }
}

/// Names of this very machine: RFC 6761, section 6.3, and Debian's hosts file.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    matches!(
        name.as_str(),
        "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback"
    ) || name.ends_with(".localhost")
}

/// FFmpeg takes options of its SRT protocol out of the query: only these few.
fn judge_srt(url: &Url) -> Result<(), String> {
    if url.port().is_none() {
        return Err("needs a port".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user; SRT has passphrase and streamid".to_owned());
    }
    let mut seen = Vec::new();
    for (key, value) in url.query_pairs() {
        let number = || value.parse::<u32>().ok();
        let fault = match key.as_ref() {
            "mode" => (value != "caller").then_some("mode must be caller: the worker calls"),
            "streamid" => (value.len() > 512).then_some("streamid is longer than 512 characters"),
            "passphrase" => (!(10..=79).contains(&value.len()))
                .then_some("passphrase must have 10 to 79 characters"),
            "pbkeylen" => {
                (!matches!(number(), Some(16 | 24 | 32))).then_some("pbkeylen must be 16, 24 or 32")
            }
            "latency" => (number().is_none_or(|micros| micros > 60_000_000))
                .then_some("latency must be at most 60000000 microseconds"),
            _ => Some("may have no parameters but mode, streamid, passphrase, pbkeylen, latency"),
        };
        if let Some(fault) = fault {
            return Err(fault.to_owned());
        }
        if seen.contains(&key) {
            return Err(format!("gives {} twice", shown(&key)));
        }
        seen.push(key);
    }
    Ok(())
}
