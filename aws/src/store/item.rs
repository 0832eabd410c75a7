//! Records to DynamoDB items and back.
//!
//! What conditions, indexes or concurrent writers need stands in attributes
//! of its own; the rest of a record is one JSON document in `doc`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::event::Event;
use domain::ids::{JobId, WorkerId};
use domain::job::{Job, JobState};
use domain::spec::WorkerSize;
use domain::worker::{Booking, Worker, WorkerState};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::jobs::StoredJob;

/// A DynamoDB item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The place of jobs that are to be deleted in the index `by-state`.
pub(super) const DELETING: &str = "deleting";
/// The places there of jobs that have ended, but whose playlists are still to
/// be ended.
pub(super) const ENDING: [&str; 2] = [ENDING_STOPPED, ENDING_FAILED];
const ENDING_STOPPED: &str = "stopped/ending";
const ENDING_FAILED: &str = "failed/ending";

/// A string attribute.
pub(super) fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
pub(super) fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A value as a JSON document attribute.
pub(super) fn doc(value: &impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_json::to_string(value)
        .map(AttributeValue::S)
        .map_err(|error| StoreError::Unreadable {
            item: "(being written)".to_owned(),
            fault: error.to_string(),
        })
}

/// The attributes of a new job.
pub(super) fn job_item(job: &Job) -> Result<Item, StoreError> {
    Ok(Item::from([
        ("job_id".to_owned(), s(job.id.as_str())),
        ("state".to_owned(), s(index_state(job))),
        ("version".to_owned(), n(job.version)),
        ("attempt".to_owned(), n(job.attempt)),
        ("watch_seq".to_owned(), n(0)),
        ("doc".to_owned(), doc(job)?),
    ]))
}

/// Where a job stands in the index `by-state`. An ended job for which
/// something is still to be done stands where the sweep finds it; one that is
/// to be deleted is listed no more.
pub(super) fn index_state(job: &Job) -> &'static str {
    match job.state {
        _ if job.is_to_be_deleted() => DELETING,
        JobState::Stopped if job.ending => ENDING_STOPPED,
        JobState::Failed if job.ending => ENDING_FAILED,
        state => state.as_str(),
    }
}

/// The places of the jobs that are listed as in this state.
pub(super) fn index_states(state: JobState) -> impl Iterator<Item = &'static str> {
    let ending = match state {
        JobState::Stopped => Some(ENDING_STOPPED),
        JobState::Failed => Some(ENDING_FAILED),
        _ => None,
    };
    std::iter::once(state.as_str()).chain(ending)
}

/// Reads a job's item.
pub(super) fn stored_job(item: &Item) -> Result<StoredJob, StoreError> {
    let id = name("jobs", item, "job_id");
    Ok(StoredJob {
        job: parse(&id, item, "doc")?,
        watch_seq: number(item, "watch_seq").unwrap_or(0),
        watch_by: string(item, "watch_by").map(ToOwned::to_owned),
        swept_watch_seq: number(item, "swept_watch_seq"),
    })
}

/// The attributes of a worker.
pub(super) fn worker_item(worker: &Worker) -> Result<Item, StoreError> {
    let mut item = Item::from([
        ("worker_id".to_owned(), s(worker.id.as_str())),
        ("state".to_owned(), s(worker.state.as_str())),
        ("worker_size".to_owned(), s(worker.size.as_str())),
        ("beat".to_owned(), n(worker.beat)),
        ("created_at".to_owned(), s(worker.created_at.to_string())),
        ("updated_at".to_owned(), s(worker.updated_at.to_string())),
    ]);
    if let Some(booking) = &worker.booking {
        item.insert("booking_job".to_owned(), s(booking.job.as_str()));
        item.insert("booking_attempt".to_owned(), n(booking.attempt));
    }
    match (worker.state, &worker.booking) {
        (WorkerState::Idle, _) => {
            item.insert("idle".to_owned(), s(worker.size.as_str()));
        }
        (WorkerState::Booting, None) => {
            item.insert("idle".to_owned(), s(idle_soon(worker.size)));
        }
        _ => {}
    }
    Ok(item)
}

/// Where the index of the idle has the standbys of a size that boot.
pub(super) fn idle_soon(size: WorkerSize) -> String {
    format!("{} soon", size.as_str())
}

/// Reads a worker's item.
pub(super) fn worker(item: &Item) -> Result<Worker, StoreError> {
    let id = name("workers", item, "worker_id");
    let text = |attribute: &str| -> Result<&str, StoreError> {
        string(item, attribute).ok_or_else(|| unreadable(&id, &format!("no {attribute}")))
    };
    let booking = match (string(item, "booking_job"), number(item, "booking_attempt")) {
        (Some(job), Some(attempt)) => Some(Booking {
            job: JobId::parse(job).ok_or_else(|| unreadable(&id, "booking_job is no job id"))?,
            attempt,
        }),
        _ => None,
    };
    let stats = match string(item, "stats") {
        // A beat may bring none.
        Some(_) => parse(&id, item, "stats")?,
        None => None,
    };
    let time = |attribute: &str| {
        text(attribute)?
            .parse()
            .map_err(|_| unreadable(&id, &format!("{attribute} is no time")))
    };
    Ok(Worker {
        id: WorkerId::parse(text("worker_id")?)
            .ok_or_else(|| unreadable(&id, "worker_id is no worker id"))?,
        state: WorkerState::parse(text("state")?)
            .ok_or_else(|| unreadable(&id, "unknown state"))?,
        size: domain::spec::WorkerSize::parse(text("worker_size")?)
            .ok_or_else(|| unreadable(&id, "unknown size"))?,
        booking,
        beat: number(item, "beat").ok_or_else(|| unreadable(&id, "no beat"))?,
        swept_beat: number(item, "swept_beat"),
        swept_still: number(item, "swept_still")
            .and_then(|sweeps| u32::try_from(sweeps).ok())
            .unwrap_or_default(),
        task: string(item, "task").map(ToOwned::to_owned),
        stats,
        no_standby: item.contains_key("no_standby"),
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
    })
}

/// The attributes of an event.
pub(super) fn event_item(event: &Event) -> Result<Item, StoreError> {
    Ok(Item::from([
        ("job_id".to_owned(), s(event.job_id.as_str())),
        ("seq".to_owned(), n(event.seq)),
        ("doc".to_owned(), doc(event)?),
    ]))
}

/// Reads an event's item.
pub(super) fn event(item: &Item) -> Result<Event, StoreError> {
    parse(&name("events", item, "job_id"), item, "doc")
}

/// The records that can be read. One that can't is set aside with a log line
/// that asks for a look, and blocks nothing.
pub(super) fn readable<T>(records: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
    records
        .filter_map(|record| {
            record
                .inspect_err(|error| tracing::error!(%error, "poison"))
                .ok()
        })
        .collect()
}

/// A string attribute's value.
pub(super) fn string<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

/// A number attribute's value.
pub(super) fn number(item: &Item, attribute: &str) -> Option<u64> {
    item.get(attribute)?.as_n().ok()?.parse().ok()
}

fn parse<T: DeserializeOwned>(id: &str, item: &Item, attribute: &str) -> Result<T, StoreError> {
    let text = string(item, attribute)
        .ok_or_else(|| unreadable(id, &format!("no attribute {attribute}")))?;
    serde_json::from_str(text).map_err(|error| unreadable(id, &error.to_string()))
}

fn name(table: &str, item: &Item, key: &str) -> String {
    format!("{table}/{}", string(item, key).unwrap_or("?"))
}

fn unreadable(item: &str, fault: &str) -> StoreError {
    StoreError::Unreadable {
        item: item.to_owned(),
        fault: fault.to_owned(),
    }
}
