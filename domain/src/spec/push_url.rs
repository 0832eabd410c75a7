//! The RTMP address a client wished to push to.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};
use url::{Host, Url};

use super::pull_url::is_local_name;

/// RTMP's registered port.
const RTMP_PORT: u16 = 1935;
/// The application where a client names none.
const DEFAULT_APP: &str = "live";

/// The RTMP address a client wished to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushUrl {
    /// The port wished for, 1935 where none was written.
    pub port: u16,
    /// The application name: the first part of the path, `live` by default.
    pub app: String,
    /// The rest of the path, kept so that the spec reads as it was written;
    /// the stream key takes its place.
    pub stream: Option<String>,
}

impl Default for PushUrl {
    fn default() -> Self {
        Self {
            port: RTMP_PORT,
            app: DEFAULT_APP.to_owned(),
            stream: None,
        }
    }
}

impl PushUrl {
    /// Whether this URL means "the worker listens": RTMP to loopback or to no
    /// particular address, plainly written.
    pub fn is_meant_by(url: &Url) -> bool {
        url.scheme() == "rtmp"
            && match url.host() {
                Some(Host::Domain(name)) => {
                    is_local_name(name)
                        || name
                            .parse::<Ipv4Addr>()
                            .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
                }
                Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
                Some(Host::Ipv6(ip)) => ip == Ipv6Addr::LOCALHOST || ip == Ipv6Addr::UNSPECIFIED,
                None => false,
            }
    }

    /// Reads port, application and stream. The error is a fault's text.
    pub(super) fn from_url(url: &Url) -> Result<Self, String> {
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(
                "must be rtmp://host:port/app for a pushed input, without user and query: \
                 the job's own stream key is the secret"
                    .to_owned(),
            );
        }
        let port = url.port().unwrap_or(RTMP_PORT);
        if port == 0 {
            return Err("names port 0".to_owned());
        }
        let path = url.path().trim_matches('/');
        let (app, stream) = match path.split_once('/') {
            Some((app, stream)) => (app, Some(stream)),
            None if path.is_empty() => (DEFAULT_APP, None),
            None => (path, None),
        };
        if !is_path_word(app) || !stream.is_none_or(|s| s.split('/').all(is_path_word)) {
            return Err(
                "must have a path of letters, digits, '_', '.' and '-' for a pushed input, \
                 as in rtmp://127.0.0.1:1935/live/app"
                    .to_owned(),
            );
        }
        Ok(Self {
            port,
            app: app.to_owned(),
            stream: stream.map(str::to_owned),
        })
    }
}

fn is_path_word(word: &str) -> bool {
    (1..=128).contains(&word.len())
        && !word.starts_with(['-', '.'])
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

impl Serialize for PushUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for PushUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rtmp://127.0.0.1:{}/{}", self.port, self.app)?;
        match &self.stream {
            Some(stream) => write!(f, "/{stream}"),
            None => Ok(()),
        }
    }
}
