//! What comes in over RTMP, and how it gets to FFmpeg.

use std::time::Duration;

use bytes::BytesMut;
use domain::job::{Change, Reason, ReasonCode};
use tokio::time::Instant;

use super::runs::{LASTING, note_end};
use super::{Outcome, Session, Told};
use crate::attempt::connection::{Connection, InputChange};
use crate::attempt::source::end_text;
use crate::ffmpeg::RunEnd;
use crate::ingest::flv::DriftBeyondBound;
use crate::ingest::sniff::{Opening, SniffError};
use crate::ingest::{End, Event, Tag, TagKind};
use crate::publisher::Publisher;

impl Session<'_> {
    pub(super) fn input(&mut self, event: Event, publisher: &Publisher) -> Option<Outcome> {
        match event {
            Event::Connected { peer } => {
                tracing::info!(%peer, "input connected");
                // Back in time, however long it takes to see what comes in.
                self.reconnect_by = None;
                let mut connection = Connection::new();
                // Another connection is no reason to be quicker with the next
                // run.
                if !self.may_sniff(Instant::now()) {
                    connection.hold();
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
            Event::Tag(tag) => self.tag(tag, publisher),
            Event::Disconnected(end) => {
                self.disconnected(end);
                None
            }
            // Logged where it was refused.
            Event::Refused { .. } => None,
        }
    }

    fn tag(&mut self, tag: Tag, publisher: &Publisher) -> Option<Outcome> {
        let now = self.began.elapsed();
        self.meter.record(tag.data.len() as u64, now);
        let connection = self.connection.as_mut()?;
        connection.note(&tag, now);
        let input = self.run.as_ref().map(|run| &run.input);
        let change = input
            .filter(|_| connection.is_open())
            .and_then(|input| connection.change(&tag, input, now));
        if let Some(change) = change {
            self.input_changed(change);
        }
        let connection = self.connection.as_mut()?;
        if connection.is_sniffing() {
            let sniffed = connection.sniff(tag, now);
            return self.sniffed(sniffed, publisher);
        }
        if connection.is_open() {
            self.feed(&[tag]);
        }
        None
    }

    /// The run's plan no longer fits what comes in: another begins, unless
    /// the track is none that the spec puts out.
    fn input_changed(&mut self, change: InputChange) {
        let (InputChange::Appeared(kind) | InputChange::Stopped(kind)) = change;
        let output = &self.job.spec.output;
        let is_put_out = match kind {
            TagKind::Video => !output.video_outputs.is_empty(),
            TagKind::Audio => !output.audio_outputs.is_empty(),
        };
        let lasting = self.paced(LASTING);
        let is_young = self.run.as_ref().is_some_and(|run| run.age() < lasting);
        // A track that comes and goes must not keep the channel off air.
        let appears_again = matches!(change, InputChange::Appeared(_))
            && is_young
            && self.input_failures.has_failed();
        if is_put_out && !appears_again {
            self.begin_anew(Reason::new(ReasonCode::InputLost, change_text(change)));
        }
    }

    /// Whether what comes in may be looked at, for a run to begin.
    fn may_sniff(&self, now: Instant) -> bool {
        // A run that waits for its publisher is under way already.
        self.told != Told::Paused && (self.run.is_some() || now >= self.not_before)
    }

    /// Looks at what has a time about the connection: the sniffer's patience,
    /// and the pause after a run that came to nothing.
    pub(super) fn look_at_connection(
        &mut self,
        now: Instant,
        publisher: &Publisher,
    ) -> Option<Outcome> {
        let elapsed = self.began.elapsed();
        let may_sniff = self.may_sniff(now) && self.opening.is_none();
        // An open one without a run is that of a run that has ended.
        let has_run = self.run.is_some();
        let connection = self.connection.as_mut()?;
        if connection.is_sniffing() {
            let sniffed = connection.poll(elapsed);
            return self.sniffed(sniffed, publisher);
        }
        let serves = has_run && connection.is_open();
        if may_sniff && !serves && !connection.is_unusable(elapsed) {
            connection.sniff_again();
        }
        None
    }

    fn sniffed(
        &mut self,
        sniffed: Result<Option<Opening>, SniffError>,
        publisher: &Publisher,
    ) -> Option<Outcome> {
        match sniffed {
            Ok(Some(opening)) => self.open(opening, publisher),
            Ok(None) => None,
            Err(error) => {
                let now = self.began.elapsed();
                if let Some(connection) = &mut self.connection {
                    connection.give_up(now);
                }
                self.await_publisher();
                self.in_trouble(Reason::new(ReasonCode::InputUnsupported, error.to_string()))
            }
        }
    }

    /// It is clear what comes in: the run goes on with it, or a new one begins.
    fn open(&mut self, opening: Opening, publisher: &Publisher) -> Option<Outcome> {
        self.reconnect_by = None;
        if let Some(run) = self.run.take_if(|run| !run.suits(&opening.input)) {
            self.finish(run);
        }
        if self.finishing.is_some() {
            self.opening = Some(opening);
            return None;
        }
        self.published_before_input = publisher.status().borrow().published_segments;
        let Opening { input, tags } = opening;
        match &mut self.run {
            Some(run) => run.begin_connection(input),
            None => {
                if let Some(outcome) = self.start_run(input, None, publisher) {
                    return Some(outcome);
                }
            }
        }
        self.feed(&tags);
        None
    }

    /// The run before is over, and all it had is with the publisher: the next
    /// one may begin.
    pub(super) fn run_finished(&mut self, end: &RunEnd, publisher: &Publisher) -> Option<Outcome> {
        note_end(end);
        self.finishing = None;
        self.tell_pause();
        let opening = self.opening.take()?;
        self.open(opening, publisher)
    }

    /// Makes FLV of tags, for FFmpeg to take.
    fn feed(&mut self, tags: &[Tag]) {
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
            self.begin_anew(reason);
        }
    }

    /// Whose fault it is that media is behind: the publisher's, or FFmpeg's.
    fn why_behind(&self, drift: DriftBeyondBound) -> Reason {
        if !self.pressure.is_high(Instant::now()) {
            return Reason::new(ReasonCode::InputLost, drift.to_string());
        }
        let seconds = drift.behind.as_secs();
        let message = format!(
            "FFmpeg encodes slower than real time and is {seconds} s behind: \
             choose faster presets, smaller pictures or fewer renditions"
        );
        Reason::new(ReasonCode::TranscoderSlow, message)
    }

    /// Ends the run in order; the next one begins where the input is now, the
    /// first time at once.
    fn begin_anew(&mut self, reason: Reason) {
        if let Some(run) = self.run.take() {
            if run.age() >= self.paced(LASTING) {
                self.input_failures.succeeded();
            }
            self.finish(run);
        }
        self.waiting = None;
        let pause = self.input_failures.failed();
        self.sniff_after(self.paced(pause));
        self.tell(Change::EndRun { reason }, Told::Running);
    }

    /// What comes in is looked at for the next run, after a pause.
    pub(super) fn sniff_after(&mut self, pause: Duration) {
        let now = Instant::now();
        self.not_before = now + pause;
        let may_sniff = self.may_sniff(now);
        match &mut self.connection {
            Some(connection) if may_sniff => connection.sniff_again(),
            Some(connection) => connection.hold(),
            None => {}
        }
    }

    /// A run whose publisher has gone waits for it as long as the spec says.
    fn await_publisher(&mut self) {
        if self.run.is_some() {
            let window = Duration::from_secs(self.job.spec.input.reconnect_window.into());
            self.reconnect_by = Some(Instant::now() + window);
        }
    }

    fn disconnected(&mut self, end: End) {
        let pushed = self.job.spec.input.is_pushed();
        let text = end_text(end, pushed);
        tracing::info!(text, "input disconnected");
        self.connection = None;
        self.without_input_since = Instant::now();
        self.await_publisher();
        if self.told == Told::Streaming {
            let reason = Reason::new(ReasonCode::InputLost, text);
            self.tell(Change::LoseInput { reason }, Told::Running);
        }
    }
}

/// How a change of the input reads in the history.
fn change_text(change: InputChange) -> &'static str {
    match change {
        InputChange::Appeared(TagKind::Video) => "the input has a picture now",
        InputChange::Appeared(TagKind::Audio) => "the input has sound now",
        InputChange::Stopped(TagKind::Video) => {
            "the input's picture has stopped, its sound goes on"
        }
        InputChange::Stopped(TagKind::Audio) => {
            "the input's sound has stopped, its picture goes on"
        }
    }
}
