//! Addresses: the one a worker tells its publishers, and those of the own
//! machine.
//!
//! A task knows its private address only: what the internet reaches it by is
//! the network's doing. Asking a service what it sees is one request, where
//! the EC2 API would be another SDK and another right.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use thiserror::Error;
use url::{Host, Url};

use crate::trust;

/// Answers with the address that a request came from, as text.
const SERVICE: &str = "https://checkip.amazonaws.com/";
const TIMEOUT: Duration = Duration::from_secs(3);
const TRIES: u32 = 3;
/// An address of documentation (RFC 5737): nothing is sent there.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The address can't be found.
#[derive(Debug, Error)]
pub enum AddressError {
    /// This machine has no route out.
    #[error("no own address: {0}")]
    NoRoute(#[from] std::io::Error),
    /// The service did not answer, or not with an address.
    #[error("{SERVICE} did not tell the public address: {0}; set EZLIVE_INGEST_HOST to it")]
    NotTold(String),
}

/// The host that publishers are told, given what the operator has set: a name
/// or address to be told as it is; `private`: the own address towards the
/// network; `public`: the one that the internet sees.
///
/// # Errors
/// [`AddressError`].
pub async fn ingest_host(set: &str) -> Result<String, AddressError> {
    match set {
        "private" => Ok(private()?.to_string()),
        "public" => Ok(public(SERVICE).await?.to_string()),
        named => Ok(named.to_owned()),
    }
}

/// The address of the interface that the default route goes through, by asking
/// the kernel which one it would send from.
///
/// # Errors
/// There is no way out.
pub fn private() -> Result<IpAddr, std::io::Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(ELSEWHERE)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether a URL leads to the own machine, by its host alone.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn public(service: &str) -> Result<IpAddr, AddressError> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match ask(service).await {
            Ok(address) => return Ok(address),
            Err(error) => why = error,
        }
    }
    Err(AddressError::NotTold(why))
}

async fn ask(service: &str) -> Result<IpAddr, String> {
    let client = trust::http_client(TIMEOUT).map_err(text)?;
    let answer = client.get(service).send().await.map_err(text)?;
    let body = answer.error_for_status().map_err(text)?.text().await;
    let body = body.map_err(text)?;
    body.trim()
        .parse()
        .map_err(|_| "it answered with something else".to_owned())
}

/// An error with its causes.
fn text(error: reqwest::Error) -> String {
    aws_sdk_sqs::error::DisplayErrorContext(error).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that gives these answers, one a connection.
    async fn service(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = connection.read(&mut request).await.unwrap();
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn a_named_host_is_told_as_it_is() {
        assert_eq!(
            ingest_host("live.example.org").await.unwrap(),
            "live.example.org"
        );
    }

    #[tokio::test]
    async fn the_public_address_is_asked_for_again() {
        let url = service(&[
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n203.0.113.7\n",
        ])
        .await;
        assert_eq!(public(&url).await.unwrap().to_string(), "203.0.113.7");
    }

    #[tokio::test]
    async fn what_is_no_address_is_an_error() {
        const PAGE: &str =
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
        let url = service(&[PAGE, PAGE, PAGE]).await;
        assert!(public(&url).await.is_err());
    }
}
