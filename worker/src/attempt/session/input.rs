//! What comes in over RTMP, and how it gets to FFmpeg.

use std::time::Duration;

use bytes::BytesMut;
use domain::job::{Change, Reason, ReasonCode};
use tokio::time::Instant;

use super::{Outcome, Session, Told};
use crate::attempt::connection::Connection;
use crate::attempt::source::end_text;
use crate::ingest::flv::DriftBeyondBound;
use crate::ingest::sniff::{Opening, SniffError};
use crate::ingest::{End, Event, Tag};
use crate::publisher::Publisher;

impl Session<'_> {
    pub(super) async fn input(&mut self, event: Event, publisher: &Publisher) -> Option<Outcome> {
        match event {
            Event::Connected { peer } => {
                tracing::info!(%peer, "input connected");
                let mut connection = Connection::new();
                if self.told == Told::Paused {
                    connection.stop_sniffing();
                }
                self.connection = Some(connection);
                None
            }
            Event::Metadata(metadata) => {
                if let Some(connection) = &mut self.connection {
                    connection.metadata(metadata);
                }
                None
            }
            Event::Tag(tag) => self.tag(tag, publisher).await,
            Event::Disconnected(end) => {
                self.disconnected(end);
                None
            }
            // Logged where it was refused.
            Event::Refused { .. } => None,
        }
    }

    async fn tag(&mut self, tag: Tag, publisher: &Publisher) -> Option<Outcome> {
        let now = self.began.elapsed();
        self.meter.record(tag.data.len(), now);
        let connection = self.connection.as_mut()?;
        connection.note(&tag);
        if connection.is_sniffing() {
            let sniffed = connection.sniff(tag, now);
            return self.sniffed(sniffed, publisher).await;
        }
        self.feed(&[tag]).await;
        None
    }

    /// Looks at what has a time about the connection: the sniffer's patience,
    /// and the pause after a run that came to nothing.
    pub(super) async fn look_at_connection(
        &mut self,
        now: Instant,
        publisher: &Publisher,
    ) -> Option<Outcome> {
        let elapsed = self.began.elapsed();
        let may_begin = self.told != Told::Paused && self.run.is_none() && now >= self.not_before;
        let connection = self.connection.as_mut()?;
        if connection.is_sniffing() {
            let sniffed = connection.poll(elapsed);
            return self.sniffed(sniffed, publisher).await;
        }
        if may_begin && !connection.is_unusable(elapsed) {
            connection.sniff_again();
        }
        None
    }

    async fn sniffed(
        &mut self,
        sniffed: Result<Option<Opening>, SniffError>,
        publisher: &Publisher,
    ) -> Option<Outcome> {
        match sniffed {
            Ok(Some(opening)) => self.open(opening, publisher).await,
            Ok(None) => None,
            Err(error) => {
                let now = self.began.elapsed();
                if let Some(connection) = &mut self.connection {
                    connection.give_up(now);
                }
                self.in_trouble(Reason::new(ReasonCode::InputUnsupported, error.to_string()))
            }
        }
    }

    /// It is clear what comes in: the run goes on with it, or a new one begins.
    async fn open(&mut self, opening: Opening, publisher: &Publisher) -> Option<Outcome> {
        let Opening { input, tags } = opening;
        self.published_before_input = publisher.status().borrow().published_segments;
        self.reconnect_by = None;
        match self.run.take() {
            Some(mut run) if run.suits(&input) => {
                run.begin_connection(input);
                self.run = Some(run);
            }
            other => {
                if let Some(run) = other {
                    self.finish(run).await;
                }
                if let Some(outcome) = self.start_run(input, None, publisher) {
                    return Some(outcome);
                }
            }
        }
        self.feed(&tags).await;
        None
    }

    /// Makes FLV of tags, for FFmpeg to take.
    async fn feed(&mut self, tags: &[Tag]) {
        let Some(run) = &mut self.run else { return };
        let mut flv = BytesMut::new();
        let mut ahead = Duration::ZERO;
        let mut drifted = None;
        for tag in tags {
            match run.encode(tag, &mut flv) {
                Ok(wait) => ahead = ahead.max(wait),
                Err(drift) => {
                    drifted = Some(drift);
                    break;
                }
            }
        }
        if ahead > Duration::ZERO {
            self.hold_until = Instant::now() + ahead;
        }
        if !flv.is_empty() {
            self.waiting = Some(flv.freeze());
            self.pressure.begin(Instant::now());
        }
        if let Some(drift) = drifted {
            let reason = self.why_behind(drift);
            self.begin_anew(reason).await;
        }
    }

    /// Whose fault it is that media is behind: the publisher's, or FFmpeg's.
    fn why_behind(&self, drift: DriftBeyondBound) -> Reason {
        if !self.pressure.explains(drift.behind) {
            return Reason::new(ReasonCode::InputLost, drift.to_string());
        }
        let seconds = drift.behind.as_secs();
        let message = format!(
            "FFmpeg encodes slower than real time and is {seconds} s behind: \
             choose faster presets, smaller pictures or fewer renditions"
        );
        Reason::new(ReasonCode::TranscoderSlow, message)
    }

    /// Ends the run in order; the next one begins where the input is now.
    async fn begin_anew(&mut self, reason: Reason) {
        if let Some(run) = self.run.take() {
            self.finish(run).await;
        }
        self.waiting = None;
        if let Some(connection) = &mut self.connection {
            connection.sniff_again();
        }
        self.tell(Change::EndRun { reason }, Told::Running);
    }

    fn disconnected(&mut self, end: End) {
        let pushed = self.job.spec.input.is_pushed();
        let text = end_text(end, pushed);
        tracing::info!(text, "input disconnected");
        self.connection = None;
        let now = Instant::now();
        self.without_input_since = now;
        if self.run.is_some() {
            let window = Duration::from_secs(self.job.spec.input.reconnect_window.into());
            self.reconnect_by = Some(now + window);
        }
        if self.told == Told::Streaming {
            let reason = Reason::new(ReasonCode::InputLost, text);
            self.tell(Change::LoseInput { reason }, Told::Running);
        }
    }
}
