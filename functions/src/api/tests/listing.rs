//! GET /jobs: order, pages, filters.

use axum::http::StatusCode;
use domain::ids::JobId;
use domain::job::{Change, Job, JobState, Reason, ReasonCode, Totals};
use domain::spec::{OperatorPolicy, Spec};
use futures::StreamExt;
use jiff::Timestamp;

use super::harness::{Harness, SAMPLE};

/// Reads a list to its end.
async fn read_all(api: &Harness, query: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut path = format!("/jobs?{query}");
    loop {
        let answer = api.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let page = answer.json();
        for job in page["jobs"].as_array().unwrap() {
            ids.push(JobId::parse(job["id"].as_str().unwrap()).unwrap());
            assert_eq!(job["ingest"].get("stream_key"), None);
        }
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/jobs?{query}&cursor={next}"),
            None => return ids,
        }
    }
}

/// Jobs in all kinds of states, oldest first, written without the API: it is
/// the reading that is tested.
async fn many_jobs(api: &Harness, count: usize) -> Vec<Job> {
    let spec = Spec::parse(SAMPLE.as_bytes(), &OperatorPolicy::default()).unwrap();
    let failed = Change::Fail {
        reason: Reason::new(ReasonCode::TranscoderFailed, "it kept failing"),
        totals: Totals::default(),
        playlists_ended: true,
    };
    let now = Timestamp::now();
    let jobs: Vec<Job> = (0..count)
        .map(|i| {
            let mut job = Job::new(JobId::generate(), spec.clone(), now);
            let book = Change::Book {
                worker: domain::ids::WorkerId::for_attempt(&job.id, 1),
            };
            let listen = Change::Listen { ingest: None };
            let all = [book, listen, Change::StartInput, failed.clone()];
            let steps = match i % 6 {
                5 => &[Change::RequestStop][..],
                n => &all[..n],
            };
            for step in steps {
                job = job.apply(step.clone(), now).unwrap().job;
            }
            job
        })
        .collect();
    let written = jobs.iter().map(|job| api.api.store.create_job(job, None));
    let written: Vec<_> = futures::stream::iter(written).buffered(8).collect().await;
    assert!(written.iter().all(Result::is_ok));
    jobs
}

#[tokio::test]
async fn every_job_is_listed_once_newest_first() {
    let api = Harness::start().await;
    let jobs = many_jobs(&api, 250).await;
    let newest_first = |state: Option<JobState>| -> Vec<JobId> {
        let wanted = jobs
            .iter()
            .filter(|job| state.is_none_or(|state| job.state == state));
        wanted.rev().map(|job| job.id.clone()).collect()
    };
    for limit in [7, 100] {
        let listed = read_all(&api, &format!("limit={limit}")).await;
        assert_eq!(listed, newest_first(None));
    }
    for state in JobState::ALL {
        let listed = read_all(&api, &format!("limit=25&state={}", state.as_str())).await;
        assert_eq!(listed, newest_first(Some(state)), "{state:?}");
    }
    let page = api.get("/jobs").await.json();
    assert_eq!(page["jobs"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_record_that_can_t_be_read_hides_no_other() {
    let api = Harness::start().await;
    let jobs = many_jobs(&api, 12).await;
    let poison = &jobs[6].id;
    api.spoil(poison).await;
    let others: Vec<JobId> = jobs
        .iter()
        .rev()
        .map(|job| job.id.clone())
        .filter(|id| id != poison)
        .collect();
    assert_eq!(read_all(&api, "limit=1").await, others);

    let answer = api.get(&format!("/jobs/{poison}")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    insta::assert_json_snapshot!("unreadable", answer.json());
}
