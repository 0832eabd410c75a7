//! The three calls of Route 53 that names need (API 2013-04-01). Its SDK would
//! be 110,000 more lines to compile, nearly as much as DynamoDB's.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use reqwest::{Client, Method, Request, Url};
use serde::Deserialize;
use thiserror::Error;

use crate::environment::optional;
use crate::lazy::{Lazy, lazy};
use crate::sign::{Scope, sign};
use crate::trust;

/// Route 53 is one service for all regions, at home in this one.
const SCOPE: Scope<'static> = Scope {
    region: "us-east-1",
    service: "route53",
};
const ENDPOINT: &str = "https://route53.amazonaws.com";
const VERSION: &str = "2013-04-01";
const TIMEOUT: Duration = Duration::from_secs(3);
/// Record sets of one name: an address, a text, and what else there may be.
const MOST: &str = "10";

/// A change on its way to all servers of its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeId(String);

/// All records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordSet {
    pub name: String,
    pub kind: String,
    pub ttl: u32,
    pub values: Vec<String>,
}

/// A call came to nothing.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// What was to be replaced is not what is there.
    #[error("the records have changed: {0}")]
    Changed(String),
    /// No answer, or a refusal.
    #[error("{0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> CallError {
    CallError::Failed(error.to_string())
}

/// A client.
#[derive(Debug, Clone)]
pub(super) struct Route53 {
    http: Lazy<Result<Client, String>>,
    endpoint: String,
    credentials: SharedCredentialsProvider,
}

impl Route53 {
    pub fn new(sdk: &SdkConfig) -> Result<Self, String> {
        let credentials = sdk.credentials_provider();
        let endpoint = optional("AWS_ENDPOINT_URL_ROUTE_53");
        let endpoint = endpoint.or_else(|| sdk.endpoint_url().map(str::to_owned));
        Ok(Self {
            http: lazy(|| trust::http_client(TIMEOUT).map_err(|error| error.to_string())),
            endpoint: endpoint.unwrap_or_else(|| ENDPOINT.to_owned()),
            credentials: credentials.ok_or("there are no AWS credentials")?,
        })
    }

    /// The address and text records of a name, in this order.
    pub async fn records(&self, zone: &str, name: &str) -> Result<Vec<RecordSet>, CallError> {
        let mut url = self.url(&format!("hostedzone/{zone}/rrset"))?;
        // From this name on.
        url.query_pairs_mut()
            .append_pair("name", name)
            .append_pair("type", "A")
            .append_pair("maxitems", MOST);
        let listed: Listed = self.call(Request::new(Method::GET, url)).await?;
        let ours = |set: &Set| {
            set.name.trim_end_matches('.') == name && matches!(set.kind.as_str(), "A" | "TXT")
        };
        let mut records: Vec<_> = listed.sets.set.into_iter().filter(ours).collect();
        records.sort_by(|one, other| one.kind.cmp(&other.kind));
        Ok(records.into_iter().map(RecordSet::from).collect())
    }

    /// Replaces records by others, all or none.
    pub async fn change(
        &self,
        zone: &str,
        before: &[RecordSet],
        after: &[RecordSet],
    ) -> Result<ChangeId, CallError> {
        let url = self.url(&format!("hostedzone/{zone}/rrset/"))?;
        let mut request = Request::new(Method::POST, url);
        *request.body_mut() = Some(batch(before, after).into());
        let changed: Changed = self.call(request).await?;
        Ok(ChangeId(changed.info.id))
    }

    /// Whether a change has reached all servers of its zone.
    pub async fn is_in_sync(&self, change: &ChangeId) -> Result<bool, CallError> {
        let id = change.0.trim_start_matches("/change/");
        let url = self.url(&format!("change/{id}"))?;
        let changed: Changed = self.call(Request::new(Method::GET, url)).await?;
        Ok(changed.info.status == "INSYNC")
    }

    fn url(&self, path: &str) -> Result<Url, CallError> {
        let endpoint = self.endpoint.trim_end_matches('/');
        Url::parse(&format!("{endpoint}/{VERSION}/{path}")).map_err(failed)
    }

    async fn call<T: for<'a> Deserialize<'a>>(&self, mut request: Request) -> Result<T, CallError> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(failed)?;
        sign(&mut request, &credentials, SCOPE, SystemTime::now()).map_err(failed)?;
        let http = Result::as_ref(&self.http).map_err(failed)?;
        let answer = http.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        if status.is_success() {
            return quick_xml::de::from_str(&text).map_err(failed);
        }
        let said = format!("{status}: {text}");
        // As the error's code, or, in older answers, as its element.
        match text.contains("InvalidChangeBatch") {
            true => Err(CallError::Changed(said)),
            false => Err(CallError::Failed(said)),
        }
    }
}

/// The body of ChangeResourceRecordSets. Names are ids and host names, values
/// addresses and numbers: nothing in them needs escaping but the quotes, which
/// XML leaves alone in text. What was read from the zone is escaped.
fn batch(before: &[RecordSet], after: &[RecordSet]) -> String {
    let mut changes = String::new();
    let deletions = before.iter().map(|set| ("DELETE", set));
    for (action, set) in deletions.chain(after.iter().map(|set| ("CREATE", set))) {
        let mut values = String::new();
        for value in &set.values {
            let value = quick_xml::escape::partial_escape(value.as_str());
            let _ = write!(
                values,
                "<ResourceRecord><Value>{value}</Value></ResourceRecord>"
            );
        }
        let (name, kind, ttl) = (&set.name, &set.kind, set.ttl);
        let _ = write!(
            changes,
            "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type>\
             <TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet></Change>"
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/{VERSION}/\">\
         <ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "ResourceRecordSets", default)]
    sets: Sets,
}

#[derive(Deserialize, Default)]
struct Sets {
    #[serde(rename = "ResourceRecordSet", default)]
    set: Vec<Set>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    name: String,
    #[serde(rename = "Type")]
    kind: String,
    /// An alias of something else has none.
    #[serde(rename = "TTL", default)]
    ttl: u32,
    #[serde(default)]
    resource_records: Records,
}

#[derive(Deserialize, Default)]
struct Records {
    #[serde(rename = "ResourceRecord", default)]
    record: Vec<Value>,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "Value")]
    value: String,
}

impl From<Set> for RecordSet {
    fn from(set: Set) -> Self {
        let values = set.resource_records.record.into_iter();
        Self {
            name: set.name.trim_end_matches('.').to_owned(),
            kind: set.kind,
            ttl: set.ttl,
            values: values.map(|record| record.value).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Changed {
    #[serde(rename = "ChangeInfo")]
    info: Info,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    id: String,
    status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kind: &str, value: &str) -> RecordSet {
        RecordSet {
            name: "x.example.com".to_owned(),
            kind: kind.to_owned(),
            ttl: 10,
            values: vec![value.to_owned()],
        }
    }

    #[test]
    fn a_batch_deletes_what_was_and_creates_what_is_to_be() {
        let text = batch(&[set("TXT", "\"a&b\"")], &[set("A", "192.0.2.7")]);
        let changes = text.find("<Changes>").unwrap()..text.find("</Changes>").unwrap();
        assert_eq!(
            &text[changes],
            "<Changes><Change><Action>DELETE</Action><ResourceRecordSet><Name>x.example.com</Name><Type>TXT</Type>\
             <TTL>10</TTL><ResourceRecords><ResourceRecord><Value>\"a&amp;b\"</Value></ResourceRecord></ResourceRecords>\
             </ResourceRecordSet></Change><Change><Action>CREATE</Action><ResourceRecordSet><Name>x.example.com</Name>\
             <Type>A</Type><TTL>10</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.7</Value></ResourceRecord>\
             </ResourceRecords></ResourceRecordSet></Change>"
        );
    }

    #[test]
    fn answers_are_read_with_what_else_is_in_them() {
        let text = r#"<?xml version="1.0"?>
<ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/">
  <ResourceRecordSets>
    <ResourceRecordSet><Name>x.example.com.</Name><Type>A</Type><TTL>10</TTL>
      <ResourceRecords><ResourceRecord><Value>192.0.2.7</Value></ResourceRecord></ResourceRecords>
    </ResourceRecordSet>
    <ResourceRecordSet><Name>y.example.com.</Name><Type>A</Type>
      <AliasTarget><HostedZoneId>Z1</HostedZoneId><DNSName>d.example.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>
    </ResourceRecordSet>
  </ResourceRecordSets>
  <IsTruncated>false</IsTruncated><MaxItems>10</MaxItems>
</ListResourceRecordSetsResponse>"#;
        let listed: Listed = quick_xml::de::from_str(text).unwrap();
        let sets: Vec<_> = listed.sets.set.into_iter().map(RecordSet::from).collect();
        assert_eq!(sets[0], set("A", "192.0.2.7"));
        assert!(sets[1].values.is_empty());
        let none = "<ListResourceRecordSetsResponse><ResourceRecordSets/></ListResourceRecordSetsResponse>";
        let listed: Listed = quick_xml::de::from_str(none).unwrap();
        assert!(listed.sets.set.is_empty());
    }
}
