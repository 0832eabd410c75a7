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
use domain::job::{Change, Reason, Stats, Totals};
use domain::protocol::Assignment;
use domain::worker::Booking;
use tokio::sync::watch;

use crate::fleet::Member;
use crate::publisher::{self, Publisher};
use beat::{Beat, Orders, Pulse};
use report::{NotOurs, Reporter};
use session::{Outcome, Session};

/// What the worker is good for after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next booking.
    Free,
    /// Nothing: the booking was lost. A worker that does not know who it is
    /// booked for must not serve again, least of all the same attempt.
    Leave,
}

/// Serves the booking until the job ends, moves on, or must be left.
pub async fn serve(member: &Member, booking: Booking) -> After {
    let stored = member.store.job(&booking.job).await;
    let job = match stored {
        Ok(Some(stored)) if stored.job.is_booked_on(&member.config.id, booking.attempt) => {
            stored.job
        }
        Ok(_) => return free_from_gone_booking(member, booking).await,
        Err(error) => {
            // Not serving it lets its watch find another worker.
            tracing::error!(job_id = %booking.job, %error, "the booked job can't be read");
            return After::Leave;
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
    let publishing = publisher::Config::new(job.id.clone(), booking.attempt, &job.spec.output);
    let mut publisher = Publisher::start(member.media.of(&job.spec).clone(), publishing);
    let beat = Beat {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
        timing: member.config.timing,
        pulse: pulse.clone(),
        publishing: publisher.status(),
        stats: stats_seen.clone(),
        orders,
    };
    let beat = tokio::spawn(beat.run());
    let reporter = Reporter {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
    };
    let session = Session::new(
        member,
        job.clone(),
        orders_seen.clone(),
        pulse.clone(),
        stats,
        reporter.clone(),
    );
    let outcome = session.run(&mut publisher).await;
    tracing::info!(job_id = %job.id, ?outcome, "the attempt is over");
    let totals = stats_seen.borrow().totals;
    let end = End {
        member,
        publisher,
        reporter,
        totals,
    };
    let after = unless_gone(orders_seen, pulse, end.write(outcome)).await;
    // The end is written: nothing is left to keep the booking for.
    beat.abort();
    after
}

/// Does the last things of an attempt, as a loop that makes progress, unless
/// the booking is gone before they are done.
async fn unless_gone(
    mut orders: watch::Receiver<Orders>,
    pulse: Pulse,
    last_things: impl Future<Output = After>,
) -> After {
    let mut last_things = std::pin::pin!(last_things);
    let mut tick = tokio::time::interval(beat::PULSE_EVERY);
    loop {
        tokio::select! {
            after = &mut last_things => return after,
            _ = tick.tick() => pulse.moved(),
            _ = orders.wait_for(|orders| orders.assignment == Assignment::Gone) => return After::Leave,
        }
    }
}

/// The job is another's already: only this worker's half is left to undo.
async fn free_from_gone_booking(member: &Member, booking: Booking) -> After {
    let release = WorkerChange::Release {
        worker: member.config.id.clone(),
        booking,
    };
    match member
        .store
        .commit_worker(release, jiff::Timestamp::now())
        .await
    {
        Ok(()) => After::Free,
        Err(error) => {
            tracing::warn!(%error, "not freed from a booking that is gone");
            After::Leave
        }
    }
}

/// What is needed to write the end of an attempt.
struct End<'a> {
    member: &'a Member,
    publisher: Publisher,
    reporter: Reporter,
    totals: Totals,
}

impl End<'_> {
    /// Closes the channel as the outcome asks, and writes the job's record.
    async fn write(mut self, outcome: Outcome) -> After {
        let totals = self.totals;
        let worker = self.member.config.id.clone();
        let booking = self.reporter.booking.clone();
        let close = WorkerChange::Close {
            worker: worker.clone(),
            seen_beat: None,
        };
        let free = if self.member.leaving.is_cancelled() {
            close.clone()
        } else {
            WorkerChange::Release { worker, booking }
        };
        let (change, worker) = match outcome {
            Outcome::Gone => return After::Leave,
            Outcome::Stopped { reason } => {
                self.publisher.end();
                (Change::Finish { reason, totals }, free)
            }
            Outcome::Failed { reason } => {
                self.publisher.end();
                (Change::Fail { reason, totals }, free)
            }
            Outcome::HandedBack { reason } => {
                self.publisher.close();
                (Change::HandBack { reason, totals }, close)
            }
        };
        if !self.publisher.has_ended() {
            let end = self.publisher.outcome().await;
            tracing::info!(?end, "publishing is over");
        }
        let closed = matches!(worker, WorkerChange::Close { .. });
        match self.reporter.report(change, worker).await {
            Ok(()) if !closed => After::Free,
            Ok(()) => After::Leave,
            Err(NotOurs) => {
                tracing::warn!("the attempt's end was written by another");
                After::Leave
            }
        }
    }
}

/// A reason, for short.
fn reason(code: domain::job::ReasonCode, message: impl Into<String>) -> Reason {
    Reason::new(code, message)
}
