//! What is wanted of the attempt, and what it says of itself.

use std::time::Duration;

use domain::job::{Change, InputStats, Reason, ReasonCode, Stats};
use domain::protocol::Assignment;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Outcome, Session, Told};
use crate::attempt::connection::Connection;
use crate::attempt::drain::Departure;
use crate::attempt::source::{Listening, Source};
use crate::naming::{Holder, Naming};
use crate::publisher::{Outcome as PublisherEnd, Publisher, Status};

impl Session<'_> {
    /// Ready for input.
    pub(super) fn listen(&mut self, source: &Source) {
        self.without_input_since = Instant::now();
        self.last_trouble = None;
        let listening = source.listening();
        let host = &self.member.config.ingest_host;
        let ingest = listening.as_ref().map(|listening| listening.ingest(host));
        if let Some(ingest) = &ingest {
            tracing::info!(url = ingest.url, "listening");
        }
        match listening.zip(self.member.naming.as_ref()) {
            Some((listening, naming)) => self.tell_by_name(listening, naming),
            None => self.tell(Change::Listen { ingest }, Told::Running),
        }
    }

    /// Tells the record of the ingest once its name leads here.
    fn tell_by_name(&mut self, listening: Listening, naming: &Naming) {
        let holder = Holder {
            job: self.job.id.clone(),
            attempt: self.job.attempt,
        };
        let (pointing, there) = naming.point(holder);
        self.pointing = Some(pointing);
        self.told = Told::Running;
        let address = self.member.config.ingest_host.clone();
        let told = async move {
            let ingest = there.ingest(|host| listening.ingest(host), &address).await;
            Change::Listen {
                ingest: Some(ingest),
            }
        };
        self.reporting.tell_later(told.boxed());
    }

    pub(super) fn take_orders(&mut self, source: &Source) -> Option<Outcome> {
        let orders = self.orders.borrow_and_update().clone();
        self.key.send_if_modified(|key| {
            let rotated = *key != orders.stream_key;
            *key = orders.stream_key.clone();
            rotated
        });
        match orders.assignment {
            Assignment::Gone => return Some(Outcome::Gone),
            Assignment::Stop => return Some(Outcome::Stopped { reason: None }),
            Assignment::Hold | Assignment::Run => {}
        }
        if let Some(outcome) = self.depart(orders.departure) {
            return Some(outcome);
        }
        match orders.assignment {
            Assignment::Hold if self.told != Told::Paused => self.hold(),
            Assignment::Run if self.told == Told::Paused => {
                self.tell_pause();
                self.listen(source);
                let pause = self.not_before.saturating_duration_since(Instant::now());
                self.sniff_after(pause);
            }
            _ => {}
        }
        None
    }

    /// Serves on where the worker is to leave and nobody is ready yet.
    fn depart(&mut self, departure: Departure) -> Option<Outcome> {
        match departure {
            Departure::Stay => None,
            Departure::Draining => {
                if !self.drain_told {
                    self.drain_told = true;
                    let message = "the worker was told to leave; it goes on until another is ready";
                    let reason = Reason::new(ReasonCode::WorkerDrained, message);
                    // Whatever state it is in stays.
                    self.reporting.tell(Change::Drain { reason });
                }
                None
            }
            Departure::HandOver(to) => Some(Outcome::HandedOver { to }),
            Departure::HandBack(reason) => Some(Outcome::HandedBack { reason }),
        }
    }

    /// The worker was told to leave at once.
    pub(super) fn leave() -> Outcome {
        let message = "the worker was told to leave; another goes on";
        Outcome::HandedBack {
            reason: Reason::new(ReasonCode::WorkerDrained, message),
        }
    }

    /// Holds the channel: no run, but publisher and playlists stay.
    fn hold(&mut self) {
        if let Some(run) = self.run.take() {
            self.finish(run);
        }
        if let Some(connection) = &mut self.connection {
            connection.hold();
        }
        self.opening = None;
        self.reconnect_by = None;
        self.told = Told::Paused;
        self.pause_to_tell = true;
        if self.finishing.is_none() {
            self.tell_pause();
        }
    }

    /// The channel is paused once nothing comes out any more.
    pub(super) fn tell_pause(&mut self) {
        if std::mem::take(&mut self.pause_to_tell) {
            self.reporting.tell(Change::Pause);
        }
    }

    pub(super) fn published(&mut self, status: &Status) {
        let fresh = status.published_run == Some(self.runs)
            && status.published_segments > self.published_before_input;
        if fresh && self.told == Told::Running && self.is_fed() {
            self.failures.succeeded();
            self.last_trouble = None;
            self.tell(Change::StartInput, Told::Streaming);
        }
    }

    /// Sees to all that has a time.
    pub(super) fn tick(&mut self, publisher: &Publisher) -> Option<Outcome> {
        let now = Instant::now();
        self.count_time(now);
        self.meter.follow(&self.received, now - self.began);
        self.send_stats(now, publisher);
        self.look_at_store(now, publisher);
        if self.reconnect_by.is_some_and(|by| now >= by) {
            self.reconnect_by = None;
            if let Some(run) = self.run.take() {
                tracing::info!("the publisher did not come back in time: the run ends");
                self.finish(run);
            }
        }
        if self.has_input() {
            self.without_input_since = now;
        }
        if let Some(outcome) = self.stop_if_idle(now) {
            return Some(outcome);
        }
        self.look_at_connection(now, publisher)
    }

    fn count_time(&mut self, now: Instant) {
        if self.told == Told::Streaming {
            self.totals.active_seconds += (now - self.last_tick).as_secs_f64();
        }
        self.last_tick = now;
    }

    fn send_stats(&mut self, now: Instant, publisher: &Publisher) {
        let since_start = now - self.began;
        let status = publisher.status().borrow().clone();
        let run = self.run.as_ref();
        let dropped = run.map_or(0, |run| run.progress().dropped);
        // Without input FFmpeg waits, and reports nothing that would say so.
        let fed = run.filter(|_| self.is_fed());
        let progress = fed.map(|run| run.progress()).unwrap_or_default();
        let input = fed.map(|run| InputStats {
            video: run.input.video.clone(),
            audio: run.input.audio.clone(),
            bitrate_kbps: self.meter.kbps(since_start) as f64,
        });
        let mut totals = self.totals;
        totals.up_seconds = since_start.as_secs_f64();
        totals.bytes_ingested = self.meter.total_bytes();
        totals.dropped_frames += dropped;
        totals.dropped_segments = status.dropped_segments;
        totals.runs = self.runs.into();
        self.stats.send_replace(Stats {
            fps: progress.fps.unwrap_or_default(),
            speed: progress.speed.unwrap_or_default(),
            input,
            last_segment_at: status.last_published.and_then(|at| wall_time(now - at)),
            totals,
        });
    }

    /// Tells when the store has failed for longer than a segment, and when it
    /// is back.
    fn look_at_store(&mut self, now: Instant, publisher: &Publisher) {
        let fails = publisher.status().borrow().store_error.is_some();
        self.store_fails_since = fails.then(|| self.store_fails_since.unwrap_or(now));
        let segment = self.job.spec.output.segment_duration.millis;
        let segment = Duration::from_millis(segment.into());
        let lasts = self
            .store_fails_since
            .is_some_and(|since| now - since > segment);
        let is_news = if self.store_told { !fails } else { lasts };
        if !is_news || self.told == Told::Paused {
            return;
        }
        self.store_told = fails;
        let reason = fails.then(|| {
            let message = "the media store takes no segments at present";
            Reason::new(ReasonCode::StoreUnavailable, message)
        });
        self.tell(Change::Trouble { reason }, self.told);
    }

    /// The publisher has ended by itself.
    pub(super) fn publisher_ended(end: PublisherEnd) -> Outcome {
        match end {
            PublisherEnd::Fenced { .. } | PublisherEnd::Deleted => Outcome::Gone,
            PublisherEnd::Ended | PublisherEnd::Closed => Outcome::Gone,
            PublisherEnd::Corrupt(error) => {
                let text = format!("the channel's timeline.json can't be read: {error}");
                Outcome::Failed {
                    reason: Reason::new(ReasonCode::StoreUnavailable, text),
                }
            }
            PublisherEnd::Broken(error) => {
                let text = format!("the publisher broke: {error}");
                Outcome::HandedBack {
                    reason: Reason::new(ReasonCode::WorkerLost, text),
                }
            }
        }
    }

    /// Whether something comes in: a connection is on, or FFmpeg has brought
    /// something out of what it opened.
    fn has_input(&self) -> bool {
        self.connection.is_some() || (self.is_pulling() && self.told == Told::Streaming)
    }

    /// Whether the run gets what comes in.
    fn is_fed(&self) -> bool {
        let is_open = self.connection.as_ref().is_some_and(Connection::is_open);
        self.is_pulling() || (self.run.is_some() && is_open)
    }

    fn is_pulling(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_pulled())
    }

    fn stop_if_idle(&self, now: Instant) -> Option<Outcome> {
        let minutes = self.job.spec.input.idle_stop_minutes;
        let patience = Duration::from_secs(u64::from(minutes) * 60);
        let waits = self.told == Told::Running && self.connection.is_none() && !self.is_pulling();
        let idle = waits && now - self.without_input_since >= patience;
        (minutes > 0 && idle).then(|| {
            let message = format!("no input for {minutes} minutes (input.idle_stop_minutes)");
            Outcome::Stopped {
                reason: Some(Reason::new(ReasonCode::IdleStop, message)),
            }
        })
    }
}

/// The time of day this long ago.
fn wall_time(ago: Duration) -> Option<Timestamp> {
    Timestamp::now()
        .checked_sub(SignedDuration::try_from(ago).ok()?)
        .ok()
}
