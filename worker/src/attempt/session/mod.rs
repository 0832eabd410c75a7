//! The loop of an attempt: it takes what happens, one thing after the other,
//! and decides. It never waits for anything but the next thing to happen, so
//! its pulse is a sign of life.
//!
//! [`orders`] has what its client and the fleet want, [`input`] what comes
//! in, [`runs`] how FFmpeg begins and ends.

mod input;
mod orders;
mod pressure;
mod runs;

use bytes::Bytes;
use domain::ids::{StreamKey, WorkerId};
use domain::job::{Change, Job, Reason, ReasonCode, Stats, Totals};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::beat::{Orders, Pulse};
use super::connection::Connection;
use super::failures::Failures;
use super::report::{Reporter, Reporting};
use super::run::ActiveRun;
use super::source::{Source, bitrate_window};
use crate::ffmpeg::RunEnd;
use crate::fleet::Member;
use crate::ingest::Event;
use crate::ingest::meter::{Meter, Received};
use crate::ingest::pull::Prepared;
use crate::ingest::pull::probe::Probed;
use crate::ingest::sniff::Opening;
use crate::naming::Pointing;
use crate::publisher::{Outcome as PublisherEnd, Publisher};
use pressure::Pressure;

/// How an attempt ends.
#[derive(Debug)]
pub enum Outcome {
    /// In order; with a reason where nobody asked for it.
    Stopped { reason: Option<Reason> },
    /// It can't go on.
    Failed { reason: Reason },
    /// Another worker is to go on: this one, which is idle.
    HandedOver { to: WorkerId },
    /// Another worker is to go on.
    HandedBack { reason: Reason },
    /// The job is another's: not a word more.
    Gone,
}

/// What is under way when an attempt ends. Dropped, it stops at once.
pub struct Tail {
    run: Option<ActiveRun>,
    finishing: Option<Finishing>,
    reporting: Reporting,
    pointing: Option<Pointing>,
}

impl Tail {
    /// Ends it in order: all that the run has brought out is then with the
    /// publisher, and all that was told is in the job's record.
    pub async fn finish(self) {
        let run = self.run.map(|run| run.finish().boxed());
        for finishing in [self.finishing, run].into_iter().flatten() {
            runs::note_end(&finishing.await);
        }
        self.reporting.drain().await;
        if let Some(pointing) = self.pointing {
            pointing.stop().await;
        }
    }
}

/// What the job's record was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Running,
    Streaming,
    Paused,
}

/// An input that FFmpeg is to open, and what is known of it.
type Pulled = Result<(Prepared, Probed), Reason>;

/// A run that brings out what it still has. Dropped, it is killed.
type Finishing = BoxFuture<'static, RunEnd>;

/// What happened.
enum Wake {
    Orders,
    /// The beat has broken: no orders come any more.
    Beatless,
    Leaving,
    Published,
    PublisherEnded(PublisherEnd),
    Input(Event),
    Written,
    RunEnded(RunEnd),
    RunFinished(RunEnd),
    Forbidden(String),
    Pulled(Pulled),
    Trouble(Reason),
    Tick,
}

/// The state of the loop.
pub struct Session<'a> {
    member: &'a Member,
    job: Job,
    orders: watch::Receiver<Orders>,
    pulse: Pulse,
    stats: watch::Sender<Stats>,
    reporting: Reporting,
    /// The ingest's name, on its way here.
    pointing: Option<Pointing>,
    key: watch::Sender<StreamKey>,
    told: Told,
    /// The record waits to be told of the pause.
    pause_to_tell: bool,
    connection: Option<Connection>,
    run: Option<ActiveRun>,
    /// The run before, on its way out: no other begins meanwhile.
    finishing: Option<Finishing>,
    /// What the next run begins with, once the one before is over; nothing is
    /// read meanwhile.
    opening: Option<Opening>,
    runs: u32,
    /// Runs that came to nothing through FFmpeg's fault: they have a budget.
    failures: Failures,
    /// Tries that found no input, or not for long: they cost but time.
    input_failures: Failures,
    /// No run before then: the last one came to nothing.
    not_before: Instant,
    /// FLV that FFmpeg has not taken yet; nothing is read meanwhile.
    waiting: Option<Bytes>,
    /// How long FFmpeg has kept media waiting in this run.
    pressure: Pressure,
    /// Nothing is read before then: the publisher is ahead of real time.
    hold_until: Instant,
    /// By then the publisher must be back, or the run ends.
    reconnect_by: Option<Instant>,
    without_input_since: Instant,
    /// Media published when the input last came in.
    published_before_input: u64,
    meter: Meter,
    /// What FFmpeg has fetched itself.
    received: Received,
    /// What FFmpeg fetched had no end when it was opened, and then ended.
    live_input_ended: bool,
    /// Of the runs that have ended.
    totals: Totals,
    began: Instant,
    last_tick: Instant,
    last_trouble: Option<ReasonCode>,
    /// When a publisher that was turned away was told of last.
    refusal_told: Option<Instant>,
    /// Since when the media store fails.
    store_fails_since: Option<Instant>,
    /// The job's record has been told so.
    store_told: bool,
    /// It has been told that the worker is to leave.
    drain_told: bool,
}

impl<'a> Session<'a> {
    /// A session that has not begun.
    pub fn new(
        member: &'a Member,
        job: Job,
        orders: watch::Receiver<Orders>,
        pulse: Pulse,
        stats: watch::Sender<Stats>,
        reporter: Reporter,
    ) -> Self {
        let reporting = reporter.spawn();
        let (key, _) = watch::channel(job.stream_key.clone());
        let meter = Meter::over(bitrate_window(&job.spec.input.source));
        let now = Instant::now();
        Self {
            member,
            job,
            orders,
            pulse,
            stats,
            reporting,
            pointing: None,
            key,
            told: Told::Nothing,
            pause_to_tell: false,
            connection: None,
            run: None,
            finishing: None,
            opening: None,
            runs: 0,
            failures: Failures::default(),
            input_failures: Failures::default(),
            not_before: now,
            waiting: None,
            pressure: Pressure::default(),
            hold_until: now,
            reconnect_by: None,
            without_input_since: now,
            published_before_input: 0,
            meter,
            received: Received::default(),
            live_input_ended: false,
            totals: Totals::default(),
            began: now,
            last_tick: now,
            last_trouble: None,
            refusal_told: None,
            store_fails_since: None,
            store_told: false,
            drain_told: false,
        }
    }

    /// Serves until the attempt ends; what is then still under way is left to
    /// the caller.
    pub async fn run(mut self, publisher: &mut Publisher) -> (Outcome, Tail) {
        let opened = Source::open(&self.job, &self.member.config, self.key.subscribe()).await;
        let outcome = match opened {
            Ok(mut source) => self.serve(&mut source, publisher).await,
            // Another worker may have a free port.
            Err(reason) => Outcome::HandedBack { reason },
        };
        let tail = Tail {
            run: self.run,
            finishing: self.finishing,
            reporting: self.reporting,
            pointing: self.pointing,
        };
        (outcome, tail)
    }

    async fn serve(&mut self, source: &mut Source, publisher: &mut Publisher) -> Outcome {
        let mut status = publisher.status();
        let mut pulling: Option<BoxFuture<'static, Pulled>> = None;
        let mut tick = tokio::time::interval(self.member.config.timing.pulse_interval());
        let leaving = self.member.leaving.clone();
        self.listen(source);
        if let Some(outcome) = self.take_orders(source) {
            return outcome;
        }
        loop {
            if pulling.is_none() {
                pulling = self.next_pull(source);
            }
            let may_read = self.waiting.is_none()
                && self.opening.is_none()
                && Instant::now() >= self.hold_until;
            let wake = tokio::select! {
                biased;
                wake = ordered(&mut self.orders) => wake,
                () = leaving.cancelled() => Wake::Leaving,
                end = publisher.outcome() => Wake::PublisherEnded(end),
                Ok(()) = status.changed() => Wake::Published,
                _ = tick.tick() => Wake::Tick,
                () = write(self.run.as_ref(), self.waiting.as_ref()) => Wake::Written,
                // Refused, FFmpeg ends as well: the refusal is why.
                host = forbidden(self.run.as_ref()) => Wake::Forbidden(host),
                end = ended(self.run.as_ref()) => Wake::RunEnded(end),
                end = pending_or(self.finishing.as_mut()) => Wake::RunFinished(end),
                pulled = pending_or(pulling.as_mut()) => Wake::Pulled(pulled),
                wake = source.next(may_read) => wake,
            };
            self.pulse.moved();
            let done = match wake {
                Wake::Orders => self.take_orders(source),
                // Without a beat nobody keeps the booking.
                Wake::Beatless => Some(Outcome::Gone),
                Wake::Leaving => Some(Self::leave()),
                Wake::PublisherEnded(end) => Some(Self::publisher_ended(end)),
                Wake::Published => {
                    self.published(&status.borrow_and_update());
                    None
                }
                Wake::Tick => self.tick(publisher),
                Wake::Written => {
                    self.waiting = None;
                    self.pressure.end(Instant::now());
                    None
                }
                Wake::RunEnded(end) => self.run_ended(end).await,
                Wake::RunFinished(end) => self.run_finished(&end, publisher),
                Wake::Forbidden(host) => Some(Self::led_astray(&host)),
                Wake::Pulled(pulled) => {
                    pulling = None;
                    self.pulled(pulled, publisher)
                }
                Wake::Trouble(reason) => self.in_trouble(reason),
                Wake::Input(event) => self.input(event, publisher),
            };
            if let Some(outcome) = done {
                return outcome;
            }
        }
    }

    /// Tells the job's record.
    fn tell(&mut self, change: Change, told: Told) {
        // Only its client's wish takes a channel out of a pause.
        if self.told == Told::Paused && !matches!(change, Change::Listen { .. }) {
            return;
        }
        self.told = told;
        self.reporting.tell(change);
    }
}

impl Source {
    /// The next thing it has to say.
    async fn next(&mut self, may_read: bool) -> Wake {
        let Self::Tags(tags) = self else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                Some(event) = tags.events.recv(), if may_read => return Wake::Input(event),
                Ok(()) = tags.trouble.changed() => {
                    if let Some(reason) = tags.trouble.borrow_and_update().clone() {
                        return Wake::Trouble(reason);
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}

/// New orders, or that there will be none.
async fn ordered(orders: &mut watch::Receiver<Orders>) -> Wake {
    match orders.changed().await {
        Ok(()) => Wake::Orders,
        Err(_) => Wake::Beatless,
    }
}

/// Hands waiting FLV to FFmpeg; for ever where there is none.
async fn write(run: Option<&ActiveRun>, waiting: Option<&Bytes>) {
    match (run, waiting) {
        (Some(run), Some(waiting)) => run.write(waiting.clone()).await,
        // Nobody to take it: as good as written.
        (None, Some(_)) => {}
        (_, None) => std::future::pending().await,
    }
}

async fn ended(run: Option<&ActiveRun>) -> RunEnd {
    match run {
        Some(run) => run.ended().await,
        None => std::future::pending().await,
    }
}

async fn forbidden(run: Option<&ActiveRun>) -> String {
    match run {
        Some(run) => run.forbidden().await,
        None => std::future::pending().await,
    }
}

async fn pending_or<T>(future: Option<&mut BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use domain::protocol::Assignment;

    use super::*;
    use crate::attempt::drain::Departure;

    #[tokio::test]
    async fn a_broken_beat_is_seen_after_its_last_orders() {
        let (sender, mut orders) = watch::channel(Orders {
            assignment: Assignment::Run,
            stream_key: StreamKey::generate(),
            departure: Departure::Stay,
        });
        sender.send_modify(|orders| orders.assignment = Assignment::Stop);
        drop(sender);
        assert!(matches!(ordered(&mut orders).await, Wake::Orders));
        assert_eq!(orders.borrow().assignment, Assignment::Stop);
        assert!(matches!(ordered(&mut orders).await, Wake::Beatless));
    }
}
