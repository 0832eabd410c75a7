//! Calls signed as AWS wants them (Signature Version 4), for an API behind
//! API Gateway whose callers are IAM principals.

use std::time::SystemTime;

use aws::sign::{Scope, sign};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
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
        let scope = Scope {
            region: &self.region,
            service: SERVICE,
        };
        sign(request, &self.credentials, scope, now)
            .map_err(|error| Failure::Usage(error.to_string()))
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
    use super::*;

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
}
