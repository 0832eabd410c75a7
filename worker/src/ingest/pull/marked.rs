//! How FFmpeg names an HTTPS origin to the proxy.
//!
//! FFmpeg could speak TLS itself, through a tunnel; but then nobody would see
//! what playlists it reads, and it could be sent anywhere (see
//! [`super::playlist`]). So it is given `http` URLs only, and the proxy makes
//! the connection secure where the host bears a mark:
//!
//! | origin | FFmpeg's URL |
//! |---|---|
//! | `https://host:8443/a` | `http://_https.host:8443/a` |
//! | `https://[2001:db8::1]/a` | `http://_https6.2001-db8--1/a` |
//!
//! No host's name has an underscore (RFC 952), so none is mistaken for it; and
//! what the mark is put on or taken from is checked afterwards as any other.

/// Before a name or an IPv4 address.
const MARK: &str = "_https.";
/// Before an IPv6 address, whose brackets and colons no name can have.
const MARK_V6: &str = "_https6.";

/// A server, as the proxy connects to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether it speaks TLS.
    pub secure: bool,
    /// A name or an address, an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// What a request's URL leads to; without a port, to the scheme's own.
    pub fn of(host: &str, port: Option<u16>) -> Self {
        let (secure, host) = if let Some(name) = host.strip_prefix(MARK) {
            (true, name.to_owned())
        } else if let Some(address) = host.strip_prefix(MARK_V6) {
            (true, format!("[{}]", address.replace('-', ":")))
        } else {
            (false, host.to_owned())
        };
        let port = match port {
            // FFmpeg writes HTTP's own port out.
            Some(80) | None if secure => 443,
            port => port.unwrap_or(80),
        };
        Self { secure, host, port }
    }

    /// As a request's `Host` names it (RFC 9110, section 7.2).
    pub fn host_header(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// The URL that FFmpeg is given in place of an `https` one; others as they are.
pub fn marked(url: &str) -> String {
    let Some(rest) = url.strip_prefix("https://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let bracketed = host.strip_prefix('[').and_then(|host| host.split_once(']'));
    match bracketed {
        Some((address, port)) => {
            let address = address.replace(':', "-");
            format!("http://{user}{MARK_V6}{address}{port}{path}")
        }
        None => format!("http://{user}{MARK}{host}{path}"),
    }
}

/// FFmpeg's message with the URLs as they were before they were [`marked`].
pub fn unmarked(message: &str) -> String {
    let message = message.replace(&format!("http://{MARK}"), "https://");
    message.replace(MARK, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_url_leads_where_the_other_did() {
        for (url, expected, secure, host, port, header) in [
            (
                "https://example.com/a?b",
                "http://_https.example.com/a?b",
                true,
                "example.com",
                443,
                "example.com",
            ),
            (
                "https://u:p@example.com:8443",
                "http://u:p@_https.example.com:8443",
                true,
                "example.com",
                8443,
                "example.com:8443",
            ),
            (
                "https://[2001:db8::1]:444/@x",
                "http://_https6.2001-db8--1:444/@x",
                true,
                "[2001:db8::1]",
                444,
                "[2001:db8::1]:444",
            ),
            (
                "http://example.com:80/",
                "http://example.com:80/",
                false,
                "example.com",
                80,
                "example.com",
            ),
        ] {
            assert_eq!(marked(url), expected);
            let uri: hyper::Uri = expected.parse().unwrap();
            let origin = Origin::of(uri.host().unwrap(), uri.port_u16());
            let leads = Origin {
                secure,
                host: host.to_owned(),
                port,
            };
            assert_eq!(origin, leads, "{url}");
            assert_eq!(origin.host_header(), header);
        }
        assert_eq!(
            unmarked("http://_https.h/***: 404; _https.h"),
            "https://h/***: 404; h"
        );
    }
}
