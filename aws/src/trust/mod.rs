//! Which certificates AWS's endpoints are trusted by.
//!
//! Reading a system's whole store of roots is half of a Lambda's cold start,
//! and five roots sign everything a process of ours asks AWS for.

use std::time::Duration;

/// Amazon's roots, in PEM.
const AMAZON: &[u8] = include_bytes!("amazon.pem");

/// Variables that name an endpoint or roots of the operator's own.
const OWN: [&str; 8] = [
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_ROUTE_53",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "SSL_CERT_FILE",
];

/// The roots to trust, in PEM, where AWS itself is asked; `None`: the system's,
/// as the operator has named another endpoint or roots of their own, or as the
/// region is in a partition whose endpoints other roots sign (China).
pub(crate) fn roots() -> Option<&'static [u8]> {
    roots_with(|name| std::env::var(name).ok())
}

/// A client of what AWS serves besides its SDKs.
pub(crate) fn http_client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // reqwest takes the process's TLS provider; installed already is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder().timeout(timeout);
    if let Some(roots) = roots() {
        client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(roots)?);
    }
    client.build()
}

fn roots_with(variable: impl Fn(&str) -> Option<String>) -> Option<&'static [u8]> {
    let set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    let in_china = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .any(|name| variable(name).is_some_and(|region| region.starts_with("cn-")));
    (!in_china && !OWN.iter().any(set)).then_some(AMAZON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &'static str, value: &'static str) -> Option<&'static [u8]> {
        roots_with(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn amazons_roots_serve_amazon_alone() {
        assert!(given("AWS_REGION", "eu-west-1").is_some());
        assert!(given("AWS_ENDPOINT_URL", "").is_some(), "empty is not set");
        assert!(given("AWS_ENDPOINT_URL_S3", "https://minio.example").is_none());
        assert!(given("SSL_CERT_FILE", "/etc/own.pem").is_none());
        assert!(given("AWS_REGION", "cn-north-1").is_none());
    }

    #[test]
    fn every_root_can_be_read() {
        let certificates = object_store::Certificate::from_pem_bundle(AMAZON).unwrap();
        assert_eq!(certificates.len(), 5);
    }
}
