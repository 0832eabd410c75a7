//! Calls signed as AWS wants them (Signature Version 4), for an API behind
//! API Gateway whose callers are IAM principals.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use crate::client::failure::Failure;

/// What API Gateway is called in a signature.
const SERVICE: &str = "execute-api";

/// Who signs, and for which region.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// With the credentials that the AWS CLI would take, for the region that
    /// the API's host names (`ID.execute-api.REGION.amazonaws.com`) or else
    /// that the environment does.
    ///
    /// # Errors
    /// [`Failure::Local`] where there are none.
    pub async fn from_environment(api: &Url) -> Result<Self, Failure> {
        let lacking = |what: String| Failure::Local {
            what,
            remedy: "Run `aws configure`, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                     AWS_REGION; `aws configure export-credentials --format env` prints those of \
                     a single sign-on."
                .to_owned(),
        };
        let sdk = aws::environment::sdk_config().await;
        let provider = sdk
            .credentials_provider()
            .ok_or_else(|| lacking("there are no AWS credentials".to_owned()))?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| lacking(format!("there are no AWS credentials: {error}")))?;
        let region = region_of(api)
            .or_else(|| sdk.region().map(ToString::to_string))
            .ok_or_else(|| lacking("no AWS region is set".to_owned()))?;
        Ok(Self {
            credentials,
            region,
        })
    }

    /// Adds the signature's headers to a request. Its body must be in memory.
    ///
    /// # Errors
    /// [`Failure::Usage`] where a header of it can't be signed.
    pub fn sign(&self, request: &mut reqwest::Request, now: SystemTime) -> Result<(), Failure> {
        let fault = |error: &dyn std::fmt::Display| {
            Failure::Usage(format!("the request can't be signed: {error}"))
        };
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| fault(&error))?
            .into();
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            // Those that HTTP itself needs are added by the signer; others
            // may be changed on the way.
            std::iter::empty(),
            SignableBody::Bytes(body.unwrap_or_default()),
        )
        .map_err(|error| fault(&error))?;
        let (instructions, _) = sign(signable, &parameters)
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
}

/// The region in the name of an API's host.
fn region_of(api: &Url) -> Option<String> {
    let mut labels = api.host_str()?.split('.');
    labels.next()?;
    (labels.next()? == SERVICE)
        .then(|| labels.next().map(str::to_owned))
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn signer(session: Option<&str>) -> Signer {
        let session = session.map(str::to_owned);
        Signer {
            credentials: Credentials::new("AKIDEXAMPLE", "secret", session, None, "test"),
            region: "eu-west-1".to_owned(),
        }
    }

    fn request(body: &'static str) -> reqwest::Request {
        reqwest::Client::new()
            .post("https://x.execute-api.eu-west-1.amazonaws.com/jobs?dry_run=true")
            .body(body)
            .build()
            .unwrap()
    }

    fn signature(signer: &Signer, mut request: reqwest::Request) -> String {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        signer.sign(&mut request, now).unwrap();
        let header = &request.headers()["authorization"];
        assert!(header.is_sensitive());
        header.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_region_is_the_hosts() {
        let region = |url| region_of(&Url::parse(url).unwrap());
        assert_eq!(
            region("https://x.execute-api.eu-west-1.amazonaws.com").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(region("http://127.0.0.1:1080"), None);
        assert_eq!(region("https://live.example.org"), None);
    }

    #[test]
    fn the_signature_covers_host_and_body() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let one = signature(&signer(None), request("{}"));
        assert!(one.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature="
        ));
        assert_eq!(one, signature(&signer(None), request("{}")));
        assert_ne!(one, signature(&signer(None), request("{ }")));
        assert!(
            signature(&signer(Some("token")), request("{}")).contains("x-amz-security-token"),
            "a session's token is signed with the rest"
        );
    }
}
