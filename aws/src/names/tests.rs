//! Names against a Route 53 of this process, which keeps to its batches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde::Deserialize;

use super::*;

/// Name and type, and then time and value.
type Records = BTreeMap<(String, String), (u32, String)>;

#[derive(Default)]
struct Zone {
    records: Records,
    /// What somebody else writes before the next change comes.
    meanwhile: Option<Records>,
    changes: usize,
    /// How often a change is asked for before it is everywhere.
    pending: usize,
    /// It answers with this instead.
    fault: Option<(StatusCode, &'static str)>,
}

type Shared = Arc<Mutex<Zone>>;
type Answer = (StatusCode, String);

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "ChangeBatch")]
    batch: Changes,
}

#[derive(Deserialize)]
struct Changes {
    #[serde(rename = "Changes")]
    changes: ChangeList,
}

#[derive(Deserialize)]
struct ChangeList {
    #[serde(rename = "Change", default)]
    change: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "ResourceRecordSet")]
    set: Set,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    name: String,
    r#type: String,
    #[serde(rename = "TTL")]
    ttl: u32,
    resource_records: Values,
}

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "ResourceRecord")]
    record: Value,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "Value")]
    value: String,
}

impl Zone {
    fn refusal(&self, headers: &HeaderMap) -> Option<Answer> {
        let signed = headers["authorization"].to_str().unwrap();
        assert!(
            signed.contains("/us-east-1/route53/aws4_request"),
            "{signed}"
        );
        self.fault.map(|(status, text)| (status, text.to_owned()))
    }
}

async fn list(
    State(zone): State<Shared>,
    Query(from): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let zone = zone.lock().unwrap();
    if let Some(refusal) = zone.refusal(&headers) {
        return refusal;
    }
    let first = (from["name"].clone(), from["type"].clone());
    let sets: String = zone
        .records
        .range(first..)
        .map(|((name, kind), (ttl, value))| format!(
            "<ResourceRecordSet><Name>{name}.</Name><Type>{kind}</Type><TTL>{ttl}</TTL>\
             <ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>"
        ))
        .collect();
    let answer = format!(
        "<ListResourceRecordSetsResponse><ResourceRecordSets>{sets}</ResourceRecordSets></ListResourceRecordSetsResponse>"
    );
    (StatusCode::OK, answer)
}

async fn change(State(zone): State<Shared>, headers: HeaderMap, body: String) -> Answer {
    let mut zone = zone.lock().unwrap();
    if let Some(refusal) = zone.refusal(&headers) {
        return refusal;
    }
    if let Some(written) = zone.meanwhile.take() {
        zone.records = written;
    }
    let batch: Batch = quick_xml::de::from_str(&body).unwrap();
    let mut records = zone.records.clone();
    for Change { action, set } in batch.batch.changes.change {
        let key = (set.name, set.r#type);
        let value = (set.ttl, set.resource_records.record.value);
        let fits = match action.as_str() {
            "DELETE" => records.remove(&key).as_ref() == Some(&value),
            "CREATE" => records.insert(key, value).is_none(),
            other => panic!("{other} is not granted"),
        };
        if !fits {
            let why =
                "<ErrorResponse><Error><Code>InvalidChangeBatch</Code></Error></ErrorResponse>";
            return (StatusCode::BAD_REQUEST, why.to_owned());
        }
    }
    zone.records = records;
    zone.changes += 1;
    (StatusCode::OK, info("PENDING"))
}

async fn status(State(zone): State<Shared>, headers: HeaderMap) -> Answer {
    let mut zone = zone.lock().unwrap();
    if let Some(refusal) = zone.refusal(&headers) {
        return refusal;
    }
    let told = if zone.pending > 0 {
        "PENDING"
    } else {
        "INSYNC"
    };
    zone.pending = zone.pending.saturating_sub(1);
    (StatusCode::OK, info(told))
}

fn info(status: &str) -> String {
    format!("<X><ChangeInfo><Id>/change/C1</Id><Status>{status}</Status></ChangeInfo></X>")
}

async fn route53() -> (IngestNames, Shared) {
    let zone = Shared::default();
    let routes = Router::new()
        .route("/2013-04-01/hostedzone/Z1/rrset", get(list))
        .route("/2013-04-01/hostedzone/Z1/rrset/", post(change))
        .route("/2013-04-01/change/C1", get(status))
        .with_state(zone.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let sdk = SdkConfig::builder()
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    (
        IngestNames::new(&sdk, zone_of("Z1", "live.example.com")).unwrap(),
        zone,
    )
}

fn zone_of(id: &str, name: &str) -> IngestZone {
    given(Some(id), Some(name)).unwrap().unwrap()
}

fn given(id: Option<&str>, name: Option<&str>) -> Result<Option<IngestZone>, EnvironmentError> {
    IngestZone::read(|variable| {
        let set = match variable {
            "EZLIVE_INGEST_ZONE_ID" => id,
            _ => name,
        };
        set.map(str::to_owned)
    })
}

fn written(name: &str, attempt: u64, at: Ipv4Addr) -> Records {
    let sets = records(name, attempt, at).into_iter();
    sets.map(|set| ((set.name, set.kind), (set.ttl, set.values[0].clone())))
        .collect()
}

const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

#[tokio::test]
async fn a_name_follows_its_job_and_goes_with_it() {
    let (names, zone) = route53().await;
    let job = JobId::generate();
    let name = names.of(&job);
    assert_eq!(name, format!("{job}.live.example.com"));
    let neighbour = written("zz.live.example.com", 9, THERE);
    zone.lock().unwrap().records = neighbour.clone();

    let pointed = names.point(&job, 1, HERE).await.unwrap();
    let Pointed::New(change) = pointed else {
        panic!("{pointed:?}")
    };
    zone.lock().unwrap().pending = 1;
    assert!(!names.is_everywhere(&change).await.unwrap());
    assert!(names.is_everywhere(&change).await.unwrap());

    assert_eq!(names.point(&job, 2, THERE).await, Ok(Pointed::Moved));
    let mut now = written(&name, 2, THERE);
    now.extend(neighbour.clone());
    assert_eq!(zone.lock().unwrap().records, now);
    assert_eq!(names.point(&job, 2, THERE).await, Ok(Pointed::Moved));
    assert_eq!(
        zone.lock().unwrap().changes,
        2,
        "what stands is not written again"
    );

    for _ in 0..2 {
        names.release(&job, 2).await.unwrap();
        assert_eq!(zone.lock().unwrap().records, neighbour);
    }
    let again = names.point(&job, 3, HERE).await.unwrap();
    assert!(matches!(again, Pointed::New(_)), "{again:?}");
}

#[tokio::test]
async fn a_lower_attempt_never_gets_it_back() {
    let (names, zone) = route53().await;
    let job = JobId::generate();
    names.point(&job, 2, THERE).await.unwrap();
    let successors = zone.lock().unwrap().records.clone();
    let fenced = NameError::Fenced { by: 2 };
    assert_eq!(names.point(&job, 1, HERE).await, Err(fenced));
    let fenced = NameError::Fenced { by: 2 };
    assert_eq!(names.release(&job, 1).await, Err(fenced));
    assert_eq!(zone.lock().unwrap().records, successors);
}

/// A worker is cut off between its look and its write, and another takes over.
#[tokio::test]
async fn a_write_that_comes_late_changes_nothing() {
    let (names, zone) = route53().await;
    let job = JobId::generate();
    for attempt_before in [None, Some(1)] {
        let successors = written(&names.of(&job), 3, THERE);
        {
            let mut zone = zone.lock().unwrap();
            let before = attempt_before.map(|n| written(&names.of(&job), n, HERE));
            zone.records = before.unwrap_or_default();
            zone.meanwhile = Some(successors.clone());
        }
        let fenced = NameError::Fenced { by: 3 };
        assert_eq!(names.point(&job, 2, HERE).await, Err(fenced));
        assert_eq!(zone.lock().unwrap().records, successors);
        // A release comes late as well.
        zone.lock().unwrap().records = written(&names.of(&job), 2, HERE);
        zone.lock().unwrap().meanwhile = Some(successors.clone());
        assert!(names.release(&job, 2).await.is_err());
        assert_eq!(zone.lock().unwrap().records, successors);
    }
}

#[tokio::test]
async fn what_route53_refuses_may_be_tried_again() {
    let (names, zone) = route53().await;
    let job = JobId::generate();
    for fault in [
        (StatusCode::BAD_REQUEST, "<Code>Throttling</Code>"),
        (
            StatusCode::BAD_REQUEST,
            "<Code>PriorRequestNotComplete</Code>",
        ),
        (StatusCode::FORBIDDEN, "<Code>AccessDenied</Code>"),
        (StatusCode::OK, "no XML"),
    ] {
        zone.lock().unwrap().fault = Some(fault);
        let refused = names.point(&job, 1, HERE).await;
        assert!(matches!(refused, Err(NameError::Retry(_))), "{refused:?}");
    }
    zone.lock().unwrap().fault = None;
    names.point(&job, 1, HERE).await.unwrap();
}

#[test]
fn a_zone_has_an_id_and_a_name_or_is_none() {
    assert_eq!(given(None, None), Ok(None));
    assert_eq!(
        zone_of("/hostedzone/Z1", "Live.Example.com."),
        zone_of("Z1", "live.example.com")
    );
    for (id, name, fault) in [
        (Some("Z1"), None, "EZLIVE_INGEST_ZONE"),
        (None, Some("example.com"), "EZLIVE_INGEST_ZONE_ID"),
        (Some("Z/1"), Some("example.com"), "EZLIVE_INGEST_ZONE_ID"),
        (Some("Z1"), Some("a..b"), "EZLIVE_INGEST_ZONE"),
        (Some("Z1"), Some("a b.com"), "EZLIVE_INGEST_ZONE"),
        (Some("Z1"), Some("<a>"), "EZLIVE_INGEST_ZONE"),
    ] {
        assert_eq!(
            given(id, name).unwrap_err().variable,
            fault,
            "{id:?} {name:?}"
        );
    }
}
