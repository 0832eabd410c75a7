//! `ezlive watch`: follows a job by looking at it twice a second. Changes are
//! timed by the API's own stamps, so the looking adds nothing to them.

use std::time::Duration;

use anstream::adapter::strip_str;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::api::{Answer, ApiClient};
use super::failure::Failure;
use super::get::{short, what_happened, why};
use super::help;
use super::looks::Looks;
use super::output::{DIM, Output, paint, status_line};
use super::resolve;
use super::types::{Event, Job};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// As wide as `streaming → stopping`.
const WHAT_WIDTH: usize = 20;

/// Arguments of `ezlive watch`.
#[derive(Debug, Args)]
#[command(after_help = help::WATCH)]
pub struct WatchArgs {
    /// The job: its id, or the start or end of it
    job: String,
    /// Show all that has happened since the job was created first
    #[arg(long)]
    from_start: bool,
}

/// What is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Everything since the creation.
    Start,
    /// The last thing that happened.
    Now,
}

/// Follows a job that a person named.
///
/// # Errors
/// See [`follow`].
pub async fn run(api: &ApiClient, output: &Output, args: &WatchArgs) -> Result<(), Failure> {
    let id = resolve::job(api, &args.job).await?;
    follow(
        api,
        output,
        &id,
        if args.from_start {
            From::Start
        } else {
            From::Now
        },
    )
    .await
}

/// Prints what happens to a job until it is stopped, failed or deleted.
///
/// # Errors
/// [`Failure::Job`] where the job failed, [`Failure::NotFound`] where there
/// was none from the start, and what the API says.
pub async fn follow(api: &ApiClient, output: &Output, id: &str, from: From) -> Result<(), Failure> {
    let mut changes = Changes {
        from,
        seen: None,
        origin: None,
    };
    let live = output.live_line();
    let mut looks = Looks::every(LOOK_EVERY, output, &live);
    let mut known = None;
    let mut was_there = false;
    loop {
        let seen = changes.seen.unwrap_or(0);
        let found = match looks.found(look(api, id, seen, &mut known)).await {
            // Its end came between two looks, and took its history with it.
            Err(Failure::NotFound(_)) if was_there => {
                drop(live);
                return say_deleted(output, id);
            }
            found => found?,
        };
        match found {
            Some((job, events)) => {
                was_there = true;
                live.above(|| changes.print(output, events))?;
                if job.is_over() {
                    return outcome(&job);
                }
                live.set(&status_line(&job));
            }
            // Afterwards everything is looked at afresh.
            None => known = None,
        }
        looks.pause().await;
    }
}

/// What of a job shows that there may be new events: state, attempt and the
/// time of the last change.
type Fingerprint = (String, Option<u64>, Option<String>);

/// The job, and its events after the one with this number if something about
/// it is new.
async fn look(
    api: &ApiClient,
    id: &str,
    seen: u64,
    known: &mut Option<Fingerprint>,
) -> Result<(Job, Option<Answer<Vec<Event>>>), Failure> {
    let job = api.job(id).await?.body;
    let now = Some((job.state.clone(), job.attempt, job.updated_at.clone()));
    if *known == now {
        return Ok((job, None));
    }
    let events = api.events(id, seen).await?;
    *known = now;
    Ok((job, Some(events)))
}

fn say_deleted(output: &Output, id: &str) -> Result<(), Failure> {
    if output.json {
        output.json_line(&serde_json::json!({ "id": id, "deleted": true }))
    } else {
        output.line("deleted")
    }
}

fn outcome(job: &Job) -> Result<(), Failure> {
    match job.state.as_str() {
        "failed" => Err(Failure::Job(format!("the job failed{}", job.because()))),
        _ => Ok(()),
    }
}

/// What has been printed so far.
struct Changes {
    from: From,
    seen: Option<u64>,
    origin: Option<Timestamp>,
}

impl Changes {
    fn print(
        &mut self,
        output: &Output,
        events: Option<Answer<Vec<Event>>>,
    ) -> Result<(), Failure> {
        let Some(Answer {
            body: events, json, ..
        }) = events
        else {
            return Ok(());
        };
        let json = json
            .get("events")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        // The first time it is the whole history, later only what is new.
        let first = match (self.seen, self.from) {
            (None, From::Now) => events.len().saturating_sub(1),
            _ => 0,
        };
        for (event, json) in events.iter().zip(&json).skip(first) {
            if output.json {
                output.json_line(json)?;
            } else {
                output.line(&self.line(event))?;
            }
            self.seen = Some(event.seq);
        }
        Ok(())
    }

    /// `+   312 ms  created → assigned  attempt 1 on 0a1b2c3d4e5f`: the time
    /// is since the first line.
    fn line(&mut self, event: &Event) -> String {
        let since = event.at.map(|at| {
            at.duration_since(*self.origin.get_or_insert(at))
                .as_millis()
        });
        let what = what_happened(event);
        let mut line = format!("+{:>8} ms  {what}", since.unwrap_or_default());
        if let Some(worker) = &event.worker_id {
            let gap = WHAT_WIDTH.saturating_sub(strip_str(&what).to_string().chars().count());
            let place = format!(
                "  attempt {} on {}",
                event.attempt.unwrap_or_default(),
                short(worker)
            );
            line.push_str(&" ".repeat(gap));
            line.push_str(&paint(DIM, &place));
        }
        let why = why(event);
        if !why.is_empty() {
            line.push_str("  ");
            line.push_str(&why);
        }
        line
    }
}
