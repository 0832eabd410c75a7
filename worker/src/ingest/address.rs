//! Where a pulled input may lead. Decided where the connection is made: a
//! name is resolved once, its addresses are checked, and only the checked ones
//! are contacted. What a name resolves to afterwards doesn't matter.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::spec::is_pull_port;
use futures::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For a name to resolve, and again for a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a host was not connected to.
#[derive(Debug, Error)]
pub enum AddressError {
    /// None of the host's addresses may be contacted, and none was.
    #[error("{host} leads to an address that inputs may not be pulled from")]
    Forbidden {
        /// The name or address as it was written.
        host: String,
    },
    /// A port of some other well-known service.
    #[error("port {port} is not one that inputs may be pulled from")]
    PortForbidden {
        /// The port.
        port: u16,
    },
    /// The name has no address.
    #[error("cannot resolve {host}: {source}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// No permitted address answered.
    #[error("cannot connect to {host}: {source}")]
    Unreachable {
        /// The name or address as it was written.
        host: String,
        /// The last address's error.
        source: io::Error,
    },
}

impl AddressError {
    /// Whether it was our rule that stood in the way, rather than the network.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. } | Self::PortForbidden { .. })
    }
}

type Permits = dyn Fn(IpAddr) -> bool + Send + Sync;
type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The operator's rule on addresses, and how names become addresses.
#[derive(Clone)]
pub struct AddressPolicy {
    permits: Arc<Permits>,
    resolve: Arc<Resolve>,
}

impl AddressPolicy {
    /// Resolves by the system, and permits what the rule permits.
    pub fn new(permits: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self {
            permits: Arc::new(permits),
            resolve: Arc::new(|host, port| Box::pin(system(host, port))),
        }
    }

    /// Resolves names by this function instead of the system's resolver.
    #[must_use]
    pub fn with_resolver<F, R>(self, resolve: R) -> Self
    where
        R: Fn(String, u16) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self {
            resolve: Arc::new(move |host, port| Box::pin(resolve(host, port))),
            ..self
        }
    }

    /// The host's permitted addresses, at least one. Those that are forbidden
    /// are left out: a name with both kinds can only lead to the permitted.
    pub async fn permitted(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AddressError> {
        if !is_pull_port(port) {
            return Err(AddressError::PortForbidden { port });
        }
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        // An address is its own name, and no resolver's business.
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                let resolved = timeout(CONNECT_TIMEOUT, (self.resolve)(host.clone(), port)).await;
                match resolved.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                    Ok(addresses) if !addresses.is_empty() => addresses,
                    Ok(_) => {
                        let source = io::ErrorKind::NotFound.into();
                        return Err(AddressError::Unresolved { host, source });
                    }
                    Err(source) => return Err(AddressError::Unresolved { host, source }),
                }
            }
        };
        let permitted: Vec<_> = addresses
            .into_iter()
            .filter(|address| (self.permits)(address.ip()))
            .collect();
        match permitted.is_empty() {
            true => Err(AddressError::Forbidden { host }),
            false => Ok(permitted),
        }
    }

    /// Connects to the first of the host's permitted addresses that answers.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, AddressError> {
        let addresses = self.permitted(host, port).await?;
        connect_to(host, &addresses).await
    }
}

impl fmt::Debug for AddressPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressPolicy").finish_non_exhaustive()
    }
}

/// Connects to the first of these checked addresses that answers.
pub(super) async fn connect_to(
    host: &str,
    addresses: &[SocketAddr],
) -> Result<TcpStream, AddressError> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = elapsed.into(),
        }
    }
    Err(AddressError::Unreachable {
        host: host.to_owned(),
        source: last,
    })
}

async fn system(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> AddressPolicy {
        AddressPolicy::new(|ip| !ip.is_loopback() && ip != IpAddr::from([169, 254, 169, 254]))
            .with_resolver(|host, port| async move {
                let addresses: &[[u8; 4]] = match host.as_str() {
                    "inside.example" => &[[127, 0, 0, 1]],
                    "both.example" => &[[127, 0, 0, 1], [192, 0, 2, 7]],
                    _ => &[],
                };
                Ok(addresses
                    .iter()
                    .map(|ip| SocketAddr::from((*ip, port)))
                    .collect())
            })
    }

    #[tokio::test]
    async fn only_permitted_addresses_are_left() {
        let both = policy().permitted("both.example", 8080).await.unwrap();
        assert_eq!(both, [SocketAddr::from(([192, 0, 2, 7], 8080))]);
        for host in [
            "inside.example",
            "127.0.0.1",
            "::1",
            "[::1]",
            "169.254.169.254",
        ] {
            let refused = policy().permitted(host, 80).await.unwrap_err();
            assert!(
                matches!(refused, AddressError::Forbidden { .. }),
                "{host}: {refused}"
            );
        }
        let unknown = policy().permitted("nowhere.example", 80).await.unwrap_err();
        assert!(matches!(unknown, AddressError::Unresolved { .. }));
        assert!(!unknown.is_forbidden());
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_never_contacted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = policy().connect("inside.example", port).await.unwrap_err();
        assert!(refused.is_forbidden());
        let contacted = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(contacted.is_err());
    }

    #[tokio::test]
    async fn numbers_that_the_system_reads_as_addresses_are_checked_too() {
        let policy = AddressPolicy::new(|ip| !ip.is_loopback());
        for host in [
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "localhost",
        ] {
            let refused = policy.permitted(host, 80).await.unwrap_err();
            assert!(refused.is_forbidden(), "{host}: {refused}");
        }
    }

    #[tokio::test]
    async fn ports_of_other_services_are_refused() {
        let policy = AddressPolicy::new(|_| true);
        for port in [0, 22, 25, 53, 110, 445] {
            let refused = policy.permitted("192.0.2.1", port).await.unwrap_err();
            assert!(
                matches!(refused, AddressError::PortForbidden { .. }),
                "{port}"
            );
        }
        for port in [80, 443, 554, 1935, 8080, 65_535] {
            assert!(policy.permitted("192.0.2.1", port).await.is_ok(), "{port}");
        }
    }
}
