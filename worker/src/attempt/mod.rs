//! One attempt: this worker serves one job, from the booking to its end.
//!
//! ```text
//!   beat ──Orders──▶ session ──Change──▶ report ──▶ job record
//!    ▲                │  ▲
//!    └────Stats───────┘  └── ingest, FFmpeg's end, publisher's status
//! ```
//!
//! [`session`] is the loop that decides; [`beat`] keeps the booking and
//! brings the orders; [`report`] writes what the session came to.

mod backoff;
mod beat;
mod connection;
mod report;
mod run;
mod session;
mod source;

use aws::store::WorkerChange;
use domain::job::{Change, Job, Reason, Stats, Totals};
use domain::worker::Booking;
use tokio::sync::watch;

use crate::fleet::Member;
use crate::publisher::Publisher;
use beat::{Beat, Orders, Pulse};
use report::Reporter;
use session::{Outcome, Session};

/// Serves the booking until the job ends, moves on, or must be left.
pub async fn serve(member: &Member, booking: Booking) {
    let stored = member.store.job(&booking.job).await;
    let job = match stored {
        Ok(Some(stored)) if stored.job.is_booked_on(&member.config.id, booking.attempt) => {
            stored.job
        }
        Ok(_) => return free_from_gone_booking(member, booking).await,
        Err(error) => {
            // Not serving it lets its watch find another worker.
            tracing::error!(job_id = %booking.job, %error, "the booked job can't be read");
            return;
        }
    };
    tracing::info!(job_id = %job.id, attempt = booking.attempt, "serving");
    let (stats, stats_seen) = watch::channel(Stats::default());
    let (orders, orders_seen) = watch::channel(Orders {
        assignment: domain::protocol::assignment_of(&job),
        stream_key: job.stream_key.clone(),
        draining: false,
    });
    let pulse = Pulse::default();
    let beat = Beat {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
        timing: member.config.timing,
        pulse: pulse.clone(),
        stats: stats_seen.clone(),
        orders,
    };
    let beat = tokio::spawn(beat.run());
    let reporter = Reporter {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
    };
    let publisher = Publisher::start(member.media.of(&job.spec).clone(), &job, booking.attempt);
    let session = Session::new(member, job.clone(), orders_seen, pulse, stats, reporter.clone());
    let (outcome, publisher) = session.run(publisher).await;
    let totals = stats_seen.borrow().totals;
    end(member, &job, outcome, publisher, reporter, totals).await;
    // The end is written: nothing is left to keep the booking for.
    beat.abort();
}

/// The job is another's already: only this worker's half is left to undo.
async fn free_from_gone_booking(member: &Member, booking: Booking) {
    let release = WorkerChange::Release { worker: member.config.id.clone(), booking };
    let freed = member.store.commit_worker(release, jiff::Timestamp::now()).await;
    if let Err(error) = freed {
        tracing::warn!(%error, "not freed from a booking that is gone");
    }
}

/// Closes the channel as the outcome asks, and writes the end of the attempt.
async fn end(
    member: &Member,
    job: &Job,
    outcome: Outcome,
    publisher: Publisher,
    reporter: Reporter,
    totals: Totals,
) {
    let worker = member.config.id.clone();
    let release =
        WorkerChange::Release { worker: worker.clone(), booking: reporter.booking.clone() };
    let close = WorkerChange::Close { worker, seen_beat: None };
    let free = if member.leaving.is_cancelled() { close.clone() } else { release };
    let reported = match outcome {
        Outcome::Gone => {
            publisher.abandon();
            return;
        }
        Outcome::Stopped { reason } => {
            close_channel(publisher).await;
            reporter.report(Change::Finish { reason, totals }, free).await
        }
        Outcome::Failed { reason } => {
            tracing::error!(job_id = %job.id, ?reason, "failed");
            close_channel(publisher).await;
            reporter.report(Change::Fail { reason, totals }, free).await
        }
        Outcome::HandedBack { reason } => {
            publisher.flush().await;
            reporter.report(Change::HandBack { reason, totals }, close).await
        }
    };
    if reported.is_err() {
        tracing::warn!(job_id = %job.id, "the job's end was written by another");
    }
}

async fn close_channel(publisher: Publisher) {
    if let Err(error) = publisher.end().await {
        tracing::warn!(%error, "the playlists could not be ended; the scheduler will");
    }
}

/// A reason, for short.
fn reason(code: domain::job::ReasonCode, message: impl Into<String>) -> Reason {
    Reason::new(code, message)
}
