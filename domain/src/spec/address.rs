//! Which addresses a worker may contact for an untrusted URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

use super::{Spec, Warning};

/// What the operator allows beyond the rules that hold for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorPolicy {
    networks: Vec<IpNet>,
    buckets: Vec<String>,
    one_store: bool,
    trusting: bool,
}

/// A network in the operator's list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a network; write it as 10.0.0.0/8, fd00::/8 or 192.0.2.7")]
pub struct NetworkError {
    /// The entry.
    pub text: String,
}

impl OperatorPolicy {
    /// Also permits pulling from these networks: CIDR blocks or addresses with
    /// commas between them, as `127.0.0.0/8,10.1.2.3`. Empty: none.
    pub fn allow_networks(mut self, list: &str) -> Result<Self, NetworkError> {
        for text in entries(list) {
            let network = text.parse::<IpNet>();
            let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            self.networks.push(network.map_err(|_| NetworkError {
                text: text.to_owned(),
            })?);
        }
        Ok(self)
    }

    /// Also permits output to these buckets: names with commas between them.
    #[must_use]
    pub fn allow_buckets(mut self, list: &str) -> Self {
        self.buckets.extend(entries(list).map(str::to_owned));
        self
    }

    /// There is but one store, a folder of this machine: a bucket that a job
    /// names is left aside, with a warning, so that requests made for S3 work.
    #[must_use]
    pub fn with_one_store(mut self) -> Self {
        self.one_store = true;
        self
    }

    /// What a client should know about a spec that these rules let pass.
    pub fn warning(&self, spec: &Spec) -> Option<Warning> {
        let bucket = spec.output.bucket()?;
        let detail = match self.one_store {
            true => {
                format!("this server has one store, a folder: nothing goes to the bucket {bucket}")
            }
            false => format!(
                "players read this channel from the bucket {bucket} itself: \
                 whether they may, and how it is cached, is set there"
            ),
        };
        Some(Warning {
            pointer: "/output/s3_output/bucket".to_owned(),
            detail,
        })
    }

    /// Permits everything that the grammar does: for a spec that was judged
    /// when it was accepted and is only read back.
    pub(super) fn trusting() -> Self {
        Self {
            trusting: true,
            ..Self::default()
        }
    }

    /// Whether an input may be pulled from this address: it is public, or the
    /// operator has listed it. An IPv6 address that carries an IPv4 address is
    /// judged by that one.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = carried_ipv4(address).map_or(address, IpAddr::V4);
        self.trusting
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address))
            || !is_forbidden_address(address)
    }

    /// Whether an input may be pulled from this port.
    pub fn permits_port(&self, port: u16) -> bool {
        self.trusting || is_pull_port(port)
    }

    /// Whether a URL is only read back, in which nothing is wrong that was not
    /// when it was accepted.
    pub(super) fn is_trusting(&self) -> bool {
        self.trusting
    }

    /// Whether a job may name this bucket for its output.
    pub fn permits_bucket(&self, bucket: &str) -> bool {
        self.trusting || self.one_store || self.buckets.iter().any(|listed| listed == bucket)
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// Whether a worker may connect to this port: the web's and RTSP's own and all
/// that need no privilege. The rest belong to services that must not be spoken
/// to in a client's name.
pub fn is_pull_port(port: u16) -> bool {
    matches!(port, 80 | 443 | 554) || port >= 1024
}

/// Whether an untrusted URL must not lead to this address: it is not globally
/// reachable by the IANA special-purpose registries (RFC 6890), or multicast.
/// An IPv6 address that carries an IPv4 address is judged by that one.
fn is_forbidden_address(address: IpAddr) -> bool {
    match carried_ipv4(address).map_or(address, IpAddr::V4) {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => is_forbidden_v6(v6),
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        [0 | 10 | 127, ..] => true,             // this network, private, loopback
        [100, b, ..] => (64..128).contains(&b), // carrier-grade NAT
        [169, 254, ..] => true,                 // link-local: instance metadata
        [172, b, ..] => (16..32).contains(&b),  // private
        [192, 168, ..] => true,                 // private
        [192, 0, 0 | 2, _] => true,             // protocol assignments, TEST-NET-1
        [192, 88, 99, _] => true,               // 6to4 relays
        [198, 18 | 19, ..] => true,             // benchmarks
        [198, 51, 100, _] => true,              // TEST-NET-2
        [203, 0, 113, _] => true,               // TEST-NET-3
        [224..=255, ..] => true,                // multicast, reserved, broadcast
        _ => false,
    }
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, b, ..] if b < 0x200 => true, // protocol assignments, Teredo
        [0x2001, 0xdb8, ..] => true,          // documentation
        [0x3fff, b, ..] if b < 0x1000 => true, // documentation
        // Only 2000::/3 is global unicast: loopback, link-local, unique-local,
        // site-local, local NAT64 and multicast lie outside.
        [a, ..] => a & 0xe000 != 0x2000,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped and compatible
/// (RFC 4291, section 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056), ISATAP
/// (RFC 5214). A Teredo address isn't taken apart: its prefix is forbidden.
fn carried_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let join = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => join(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => join(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => join(high, low),
        [0x2002, high, low, ..] => join(high, low),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => join(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_public_addresses_may_be_contacted() {
        for forbidden in [
            "0.0.0.0",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.170.2",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
            "2001:db8::1",
            "100::1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:127.0.0.1",
        ] {
            assert!(is_forbidden_address(ip(forbidden)), "{forbidden}");
            assert!(
                !OperatorPolicy::default().permits(ip(forbidden)),
                "{forbidden}"
            );
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(!is_forbidden_address(ip(public)), "{public}");
        }
    }

    #[test]
    fn the_operator_can_allow_networks() {
        let policy = OperatorPolicy::default();
        let policy = policy
            .allow_networks("127.0.0.0/8, 10.1.2.3,fd00::/8,")
            .unwrap();
        assert!(policy.permits(ip("127.0.0.1")));
        assert!(policy.permits(ip("::ffff:127.0.0.1")));
        assert!(policy.permits(ip("10.1.2.3")));
        assert!(policy.permits(ip("fd12::1")));
        assert!(!policy.permits(ip("10.1.2.4")));
        assert!(!policy.permits(ip("::1")));
        assert!(!policy.permits(ip("169.254.169.254")));
        let error = OperatorPolicy::default()
            .allow_networks("10.0.0.0/40")
            .unwrap_err();
        assert_eq!(error.text, "10.0.0.0/40");
    }
}
