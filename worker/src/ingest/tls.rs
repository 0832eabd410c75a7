//! TLS to the origins of pulled inputs, with checked certificates.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Trusts the authorities that the system does, or those in the file that
/// `SSL_CERT_FILE` names. Reads them, which takes some milliseconds.
///
/// # Errors
/// The system has none that can be read.
pub fn platform() -> io::Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(io::Error::other)?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Makes a connection a secure one, with the host that it is to lead to: a
/// name, an address, or an IPv6 address in brackets.
///
/// # Errors
/// The host is no name, its certificate is not valid for it, or not signed by
/// an authority that is trusted here, or it speaks no TLS.
pub async fn secure(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// What is wrong, for a person: `TLS to HOST failed: …`.
pub fn explain(host: &str, error: &io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => format!(
            "the TLS certificate of {host} is not signed by an authority that is trusted here"
        ),
        Some(Error::InvalidCertificate(_)) => {
            format!("the TLS certificate of {host} is not valid for it: {error}")
        }
        _ => format!("TLS to {host} failed: {error}"),
    }
}
