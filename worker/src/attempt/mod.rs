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

mod beat;
mod connection;
mod drain;
mod failures;
mod hand_over;
mod report;
mod run;
mod session;
mod source;

use std::time::Duration;

use aws::store::WorkerChange;
use domain::job::{Change, Job, Reason, Stats, Totals};
use domain::protocol::Assignment;
use domain::spec::Source;
use domain::worker::Booking;
use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::fleet::Member;
use crate::naming::{Holder, Naming};
use crate::publisher::{self, Publisher};
use beat::{Beat, Orders, Pulse};
use drain::Departure;
use hand_over::HandOver;
use report::{NotOurs, Reporter};
use session::{Outcome, Session, Tail};

/// How long the store may take for the last segments where its client or
/// another worker counts on them.
const PUBLISH_ALL: Duration = Duration::from_secs(20);
/// How long otherwise.
const PUBLISH_END: Duration = Duration::from_secs(10);
/// How long the record's last change is tried once the booking is gone: it
/// may be this change that has freed it.
const LAST_WRITE: Duration = Duration::from_secs(5);

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
    if let Some(trace) = &job.trace_id {
        Span::current().record("trace_id", trace.as_str());
    }
    tracing::info!("serving");
    let (stats, stats_seen) = watch::channel(Stats::default());
    let (orders, orders_seen) = watch::channel(Orders {
        assignment: domain::protocol::assignment_of(&job),
        stream_key: job.stream_key.clone(),
        departure: Departure::Stay,
    });
    let pulse = Pulse::default();
    let publishing = publisher::Config::new(
        job.id.clone(),
        booking.attempt,
        &job.spec.output,
        member.config.timing,
    );
    let mut publisher = Publisher::start(member.media.of(&job.spec).clone(), publishing);
    let beat = Beat {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
        draining: member.draining.clone(),
        timing: member.config.timing,
        pulse: pulse.clone(),
        publishing: publisher.status(),
        stats: stats_seen.clone(),
        alive: member.alive.clone(),
        orders,
    };
    let beat = tokio::spawn(beat.run().in_current_span());
    let reporter = Reporter {
        store: member.store.clone(),
        worker: member.config.id.clone(),
        booking: booking.clone(),
        timing: member.config.timing,
    };
    let session = Session::new(
        member,
        job.clone(),
        orders_seen.clone(),
        pulse.clone(),
        stats,
        reporter.clone(),
    );
    let (outcome, tail) = session.run(&mut publisher).await;
    tracing::info!(?outcome, "the attempt is over");
    let totals = stats_seen.borrow().totals;
    let name = member.naming.clone().filter(|_| is_pushed(&job));
    let end = End {
        member,
        name,
        publisher,
        booking,
        totals,
    };
    let closed = end.close(outcome, tail);
    let timing = member.config.timing;
    let alive = Alive {
        orders: &orders_seen,
        pulse: &pulse,
        every: timing.pulse_interval(),
    };
    let closed = unless_gone(alive, Duration::ZERO, closed).await;
    let after = match closed.flatten() {
        // Once this is written the beat finds the booking gone, and may be
        // told so before we are: what the write says counts.
        Some(ending) => {
            let written = write_end(&reporter, ending);
            unless_gone(alive, timing.paced(LAST_WRITE), written).await
        }
        None => None,
    };
    // The end is written: nothing is left to keep the booking for.
    beat.abort();
    after.unwrap_or(After::Leave)
}

/// How an attempt shows that it is alive, and learns that it should not be.
#[derive(Clone, Copy)]
struct Alive<'a> {
    orders: &'a watch::Receiver<Orders>,
    pulse: &'a Pulse,
    /// How often the pulse must move at least.
    every: Duration,
}

/// Does the last things of an attempt, as a loop that makes progress; gives
/// them up once the booking has been gone for as long as `patience`.
async fn unless_gone<T>(
    alive: Alive<'_>,
    patience: Duration,
    last_things: impl Future<Output = T>,
) -> Option<T> {
    let mut orders = alive.orders.clone();
    let gone = async {
        let is_gone = |orders: &Orders| orders.assignment == Assignment::Gone;
        // Without a beat nobody keeps the booking either.
        let _ = orders.wait_for(is_gone).await.map(drop);
        tokio::time::sleep(patience).await;
    };
    let mut gone = std::pin::pin!(gone);
    let mut last_things = std::pin::pin!(last_things);
    let mut tick = tokio::time::interval(alive.every);
    loop {
        tokio::select! {
            done = &mut last_things => return Some(done),
            () = &mut gone => return None,
            _ = tick.tick() => alive.pulse.moved(),
        }
    }
}

/// What is to be written of an attempt's end.
enum Ending {
    /// The job's change, with the worker's half.
    Written(Change, WorkerChange),
    /// The job is another worker's from here on.
    HandedOver(HandOver),
}

/// Writes the attempt's end into the job's record.
async fn write_end(reporter: &Reporter, ending: Ending) -> After {
    let (reported, after) = match ending {
        Ending::Written(change, worker) => {
            let closed = matches!(worker, WorkerChange::Close { .. });
            let after = if closed { After::Leave } else { After::Free };
            (reporter.report(change, worker).await, after)
        }
        Ending::HandedOver(over) => (reporter.hand_over(over).await, After::Leave),
    };
    match reported {
        Ok(()) => after,
        Err(NotOurs) => {
            tracing::warn!("the attempt's end was written by another");
            After::Leave
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

/// What is needed to end an attempt.
struct End<'a> {
    member: &'a Member,
    /// What has named its ingest.
    name: Option<Naming>,
    publisher: Publisher,
    booking: Booking,
    totals: Totals,
}

impl End<'_> {
    /// Closes the channel as the outcome asks, as far as the store lets it;
    /// gives what is to be written into the records. Nothing is published
    /// after it.
    async fn close(self, outcome: Outcome, tail: Tail) -> Option<Ending> {
        let totals = self.totals;
        let timing = self.member.config.timing;
        let worker = self.member.config.id.clone();
        let booking = self.booking;
        let holder = Holder {
            job: booking.job.clone(),
            attempt: booking.attempt,
        };
        let close = WorkerChange::Close {
            worker: worker.clone(),
            seen_beat: None,
        };
        let free = if self.member.draining.is_cancelled() {
            close.clone()
        } else {
            WorkerChange::Release { worker, booking }
        };
        if matches!(outcome, Outcome::Gone) {
            drop(tail);
            return None;
        }
        tail.finish().await;
        match outcome {
            Outcome::Gone => None,
            Outcome::Stopped { reason } => {
                let patience = match reason {
                    None => PUBLISH_ALL,
                    Some(_) => PUBLISH_END,
                };
                let (playlists, name) = tokio::join!(
                    end_playlists(self.publisher, timing.paced(patience)),
                    release(self.name, &holder)
                );
                let playlists_ended = playlists && name;
                let change = Change::Finish {
                    reason,
                    totals,
                    playlists_ended,
                };
                Some(Ending::Written(change, free))
            }
            Outcome::Failed { reason } => {
                let (playlists, name) = tokio::join!(
                    end_playlists(self.publisher, timing.paced(PUBLISH_END)),
                    release(self.name, &holder)
                );
                let playlists_ended = playlists && name;
                let change = Change::Fail {
                    reason,
                    totals,
                    playlists_ended,
                };
                Some(Ending::Written(change, free))
            }
            Outcome::HandedOver { to } => {
                self.publisher.close();
                publish_the_rest(self.publisher, timing.paced(PUBLISH_ALL)).await;
                Some(Ending::HandedOver(HandOver { to, totals }))
            }
            Outcome::HandedBack { reason } => {
                self.publisher.close();
                publish_the_rest(self.publisher, timing.paced(PUBLISH_ALL)).await;
                let change = Change::HandBack { reason, totals };
                Some(Ending::Written(change, close))
            }
        }
    }
}

/// Ends the playlists after the last segment; whether the store took that in
/// time. Where it did not, they are the scheduler's to end.
pub(crate) async fn end_playlists(publisher: Publisher, patience: Duration) -> bool {
    publisher.end();
    let end = publish_the_rest(publisher, patience).await;
    matches!(end, Some(publisher::Outcome::Ended))
}

fn is_pushed(job: &Job) -> bool {
    matches!(job.spec.input.source, Source::Push { .. })
}

/// Takes the ingest's name away; whether there is none any more. What is left
/// is the scheduler's to do, with the playlists.
async fn release(name: Option<Naming>, holder: &Holder) -> bool {
    match name {
        Some(naming) => naming.release(holder).await,
        None => true,
    }
}

/// Waits until the publisher has ended as it was told to; then how it did.
async fn publish_the_rest(
    mut publisher: Publisher,
    patience: Duration,
) -> Option<publisher::Outcome> {
    if publisher.has_ended() {
        return None;
    }
    let end = tokio::time::timeout(patience, publisher.outcome()).await;
    match &end {
        Ok(end) => tracing::info!(?end, "publishing is over"),
        Err(_) => tracing::warn!(?patience, "the store does not take the last segments"),
    }
    end.ok()
}

/// A reason, for short.
fn reason(code: domain::job::ReasonCode, message: impl Into<String>) -> Reason {
    Reason::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::StreamKey;

    fn orders(assignment: Assignment) -> Orders {
        Orders {
            assignment,
            stream_key: StreamKey::generate(),
            departure: Departure::Stay,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_things_end_with_the_booking_and_their_patience() {
        let (sender, seen) = watch::channel(orders(Assignment::Stop));
        let pulse = Pulse::default();
        let alive = Alive {
            orders: &seen,
            pulse: &pulse,
            every: Duration::from_millis(250),
        };
        let done = unless_gone(alive, Duration::ZERO, async { 1 }).await;
        assert_eq!(done, Some(1));

        sender.send_replace(orders(Assignment::Gone));
        let never = std::future::pending::<()>();
        let given_up = unless_gone(alive, Duration::ZERO, never).await;
        assert_eq!(given_up, None);
        let write = tokio::time::sleep(LAST_WRITE / 2);
        let written = unless_gone(alive, LAST_WRITE, write).await;
        assert_eq!(written, Some(()), "the write itself has freed the booking");
    }
}
