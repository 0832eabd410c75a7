//! Requests signed as AWS wants them (Signature Version 4), where the call is
//! not one of an SDK's.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as signed};
use aws_sigv4::sign::v4;
use reqwest::header::{HeaderName, HeaderValue};
use thiserror::Error;

/// A request has something in it that can't be signed.
#[derive(Debug, Error)]
#[error("the request can't be signed: {0}")]
pub struct SignError(String);

/// What a signature is good for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The region, as `eu-west-1`.
    pub region: &'a str,
    /// The service, as `execute-api`.
    pub service: &'a str,
}

/// Adds the signature's headers to a request. Its body must be in memory.
///
/// # Errors
/// [`SignError`] where a header of it can't be signed.
pub fn sign(
    request: &mut reqwest::Request,
    credentials: &Credentials,
    scope: Scope<'_>,
    now: SystemTime,
) -> Result<(), SignError> {
    let fault = |error: &dyn std::fmt::Display| SignError(error.to_string());
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| fault(&error))?
        .into();
    let body = request.body().and_then(reqwest::Body::as_bytes);
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.url().as_str(),
        // Those that HTTP itself needs are added by the signer; others may be
        // changed on the way.
        std::iter::empty(),
        SignableBody::Bytes(body.unwrap_or_default()),
    )
    .map_err(|error| fault(&error))?;
    let (instructions, _) = signed(signable, &parameters)
        .map_err(|error| fault(&error))?
        .into_parts();
    for (name, value) in instructions.headers() {
        let name = HeaderName::try_from(name).map_err(|error| fault(&error))?;
        let mut value = HeaderValue::try_from(value).map_err(|error| fault(&error))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn signature(session: Option<&str>, body: &'static str) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let session = session.map(str::to_owned);
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", session, None, "test");
        let mut request = reqwest::Client::new()
            .post("https://x.execute-api.eu-west-1.amazonaws.com/jobs?dry_run=true")
            .body(body)
            .build()
            .unwrap();
        let scope = Scope {
            region: "eu-west-1",
            service: "execute-api",
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        sign(&mut request, &credentials, scope, now).unwrap();
        let header = &request.headers()["authorization"];
        assert!(header.is_sensitive());
        header.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_signature_covers_host_and_body() {
        let one = signature(None, "{}");
        assert!(one.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature="
        ));
        assert_eq!(one, signature(None, "{}"));
        assert_ne!(one, signature(None, "{ }"));
        assert!(
            signature(Some("token"), "{}").contains("x-amz-security-token"),
            "a session's token is signed with the rest"
        );
    }
}
