//! A run under way: FFmpeg, what feeds it, and what takes its output.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::input::InputInfo;
use domain::plan::{Feed as PlanFeed, Plan, Track, plan};
use domain::spec::Spec;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::WorkerConfig;
use crate::ffmpeg::{EndCause, Feed, Input, Progress, Run, RunConfig, RunEnd, StartError};
use crate::ingest::Tag;
use crate::ingest::flv::{DriftBeyondBound, FlvWriter};
use crate::ingest::pull::probe::Length;
use crate::ingest::pull::{Alias, Prepared};
use crate::mp4::{Fragment, Piece};
use crate::publisher::{Intake, TracksDiffer};
use crate::segment::TrackInit;
use crate::segmenter::{Cadence, SegmentError, Segmenter};

/// How long FFmpeg may go without a frame while it has input.
const STALL: Duration = Duration::from_secs(8);
/// How long to the first frame: slow encoders look ahead.
const FIRST_FRAME: Duration = Duration::from_secs(20);
/// What may have come out since the latest of FFmpeg's reports.
const UNREPORTED: Duration = Duration::from_secs(3);
/// How long FFmpeg may take to bring out what it has at the end.
const GRACE: Duration = Duration::from_secs(2);

/// A run under way. Dropping it kills FFmpeg, and nothing more of it is
/// published.
pub struct ActiveRun {
    run: Run,
    /// What the run was planned for.
    pub input: InputInfo,
    started: Instant,
    feed: Option<Feed>,
    writer: FlvWriter,
    /// How long FFmpeg may take to bring out what it has at the end.
    grace: Duration,
    progress: watch::Receiver<Progress>,
    output: Option<Output>,
    /// Keeps the connections of a pulled input open.
    pull: Option<Pull>,
    /// What of it had come in before the run.
    received_before: u64,
}

/// An input that FFmpeg opens itself.
pub struct Pull {
    /// How it reaches it.
    pub prepared: Prepared,
    /// How long it is, where it has an end.
    pub length: Option<Length>,
}

/// What begins a run.
pub struct RunSetup<'a> {
    /// The job's spec.
    pub spec: &'a Spec,
    /// What comes in.
    pub input: InputInfo,
    /// Its number within the attempt.
    pub number: u32,
    /// What FFmpeg opens itself, where the worker doesn't feed it.
    pub pull: Option<Pull>,
    /// Where its output goes.
    pub publisher: Intake,
}

impl ActiveRun {
    /// Starts FFmpeg and what takes its output.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &WorkerConfig, setup: RunSetup<'_>) -> Result<Self, StartError> {
        let prepared = setup.pull.as_ref().map(|pull| &pull.prepared);
        let feed = prepared.map_or(PlanFeed::FlvPipe, |prepared| prepared.feed().clone());
        let Plan {
            argv,
            tracks,
            gop,
            parts,
        } = plan(setup.spec, &setup.input, &feed);
        let received_before = prepared.map_or(0, |prepared| prepared.received().total());
        let mut run = Run::start(RunConfig {
            program: config.ffmpeg.clone().into(),
            argv,
            input: prepared.map_or(Input::Fed, |prepared| {
                Input::Opened(prepared.received().clone())
            }),
            tie: config.tie.clone(),
            stall: config.timing.paced(STALL),
            first_frame: config.timing.paced(FIRST_FRAME),
            http_proxy: prepared.and_then(Prepared::http_proxy).map(str::to_owned),
            secrets: prepared.map_or_else(Vec::new, Prepared::secrets),
        })?;
        tracing::info!(run = setup.number, pid = run.pid(), "FFmpeg started");
        let output = run.take_pieces().map(|pieces| {
            let started = Started {
                number: setup.number,
                // What the worker feeds begins as it is fed. What FFmpeg opens
                // itself begins once it is connected and understood.
                start: prepared.is_none().then(Timestamp::now),
                tracks,
            };
            let segment = setup.spec.output.segment_duration.millis;
            let cadence = Cadence {
                segment: Duration::from_millis(segment.into()),
                gop,
                parts,
            };
            Output(tokio::spawn(take_output(
                pieces,
                started,
                cadence,
                setup.publisher,
            )))
        });
        Ok(Self {
            feed: run.take_feed(),
            progress: run.progress(),
            writer: FlvWriter::new(&setup.input),
            grace: config.timing.paced(GRACE),
            run,
            input: setup.input,
            started: Instant::now(),
            output,
            pull: setup.pull,
            received_before,
        })
    }

    /// Whether another connection's input can go on in this run.
    pub fn suits(&self, input: &InputInfo) -> bool {
        self.feed.is_some() && self.writer.can_continue_with(input)
    }

    /// How long ago it began.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether FFmpeg opened its input itself.
    pub fn is_pulled(&self) -> bool {
        self.pull.is_some()
    }

    /// How to read what FFmpeg says of its input.
    pub fn alias(&self) -> Alias {
        let alias = self.pull.as_ref().map(|pull| pull.prepared.alias().clone());
        alias.unwrap_or_default()
    }

    /// Whether it opened an input that had no end then: a live one.
    pub fn is_endless(&self) -> bool {
        self.pull.as_ref().is_some_and(|pull| pull.length.is_none())
    }

    /// Whether an input that has an end came out up to it, by FFmpeg's latest
    /// report, or came in up to it. Lengths of streams without an index are
    /// estimates: a tenth may lack, and a report.
    pub fn was_played(&self) -> bool {
        let Some(pull) = &self.pull else {
            return false;
        };
        match pull.length {
            None => false,
            Some(Length::Time(length)) => {
                self.progress().out_time + (length / 10).max(UNREPORTED) >= length
            }
            Some(Length::Bytes(length)) => {
                let received = pull.prepared.received().total() - self.received_before;
                received >= length - length / 10
            }
        }
    }

    /// The tags that follow are of another connection, which carries this.
    pub fn begin_connection(&mut self, input: InputInfo) {
        self.input = input;
        self.writer.begin_connection();
    }

    /// Makes FLV of a tag; answers how long to wait before the next is read.
    ///
    /// # Errors
    /// [`DriftBeyondBound`]: the run must end.
    pub fn encode(&mut self, tag: &Tag, out: &mut BytesMut) -> Result<Duration, DriftBeyondBound> {
        self.writer.write(tag, self.started.elapsed(), out)
    }

    /// Hands FLV to FFmpeg; waits while it is behind. Once it has ended this
    /// takes anything: the end is told by [`Self::ended`].
    pub async fn write(&self, chunk: Bytes) {
        if let Some(feed) = &self.feed {
            // A closed feed: as above.
            let _ = feed.write(chunk).await;
        }
    }

    /// FFmpeg's latest report.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits for the end by itself. Cancel-safe.
    pub async fn ended(&self) -> RunEnd {
        self.run.wait().await
    }

    /// The forbidden host that FFmpeg was led to, if it was.
    pub fn was_forbidden(&self) -> Option<String> {
        let pull = self.pull.as_ref()?;
        Some(pull.prepared.was_forbidden()?.host)
    }

    /// Waits until FFmpeg was led to a forbidden address; for ever where
    /// nothing is pulled.
    pub async fn forbidden(&self) -> String {
        match &self.pull {
            Some(pull) => pull.prepared.forbidden().await.host,
            None => std::future::pending().await,
        }
    }

    /// Ends FFmpeg in order: all that it has goes to the publisher.
    pub async fn finish(mut self) -> RunEnd {
        self.feed = None;
        self.run.finish(self.grace);
        let end = self.run.wait().await;
        self.take_rest().await;
        end
    }

    /// After [`Self::ended`]: what it still brought out goes to the publisher.
    /// Gives why its output could not be published, if it was so.
    pub async fn take_rest(mut self) -> Option<OutputFault> {
        let mut output = self.output.take()?;
        // A panic in it has been printed.
        (&mut output.0).await.ok()?.err()
    }
}

/// What takes a run's output. Dropped, nothing more of it is published.
struct Output(JoinHandle<Result<(), OutputFault>>);

/// Why a run's output could not be published. The run ends.
#[derive(Debug, PartialEq, Error)]
pub enum OutputFault {
    /// It does not become segments.
    #[error("FFmpeg's output can't be cut: {0}")]
    Cut(#[from] SegmentError),
    /// It has other tracks than the plan.
    #[error(transparent)]
    Tracks(#[from] TracksDiffer),
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the publisher needs to know of a run before its first segment.
struct Started {
    number: u32,
    /// The time of day of media time 0; `None` where the first fragment tells.
    start: Option<Timestamp>,
    tracks: Vec<Track>,
}

/// Cuts FFmpeg's output into segments, for the publisher.
///
/// # Errors
/// [`OutputFault`]; dropping the pieces then ends the run.
async fn take_output(
    mut pieces: mpsc::Receiver<Piece>,
    started: Started,
    cadence: Cadence,
    publisher: Intake,
) -> Result<(), OutputFault> {
    let Some(Piece::Init(inits)) = pieces.recv().await else {
        return Ok(());
    };
    let mut segmenter = Segmenter::new(cadence, &inits);
    let cut = cut_output(&mut pieces, &mut segmenter, started, inits, &publisher).await;
    if let Err(error) = &cut {
        tracing::error!(%error, "the run ends");
    }
    match segmenter.finish() {
        // Tracks that nobody knows can't be published.
        _ if matches!(cut, Err(OutputFault::Tracks(_))) => {}
        Ok(Some(last)) => publisher.segment(last),
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "nothing whole is left of the run"),
    }
    cut
}

async fn cut_output(
    pieces: &mut mpsc::Receiver<Piece>,
    segmenter: &mut Segmenter,
    started: Started,
    inits: Vec<TrackInit>,
    publisher: &Intake,
) -> Result<(), OutputFault> {
    let Started {
        number,
        start,
        tracks,
    } = started;
    let mut header = Some(inits);
    while let Some(piece) = pieces.recv().await {
        // The header comes once.
        let Piece::Fragment(fragment) = piece else {
            break;
        };
        if let Some(inits) = header.take() {
            let start = start.unwrap_or_else(|| media_zero(Timestamp::now(), &fragment, &inits));
            publisher.start_run(number, start, &tracks, inits)?;
        }
        for segment in segmenter.push(fragment)? {
            publisher.segment(segment);
        }
    }
    Ok(())
}

/// The time of day of media time 0, where a fragment has come out just now:
/// its end was then.
fn media_zero(now: Timestamp, fragment: &Fragment, inits: &[TrackInit]) -> Timestamp {
    // One of no track can't be published either.
    let Some(init) = inits.get(fragment.track) else {
        return now;
    };
    let end = fragment.start.saturating_add(fragment.duration);
    let end = Duration::try_from_secs_f64(end as f64 / f64::from(init.timescale));
    let end = end.ok().and_then(|end| SignedDuration::try_from(end).ok());
    end.and_then(|end| now.checked_sub(end).ok()).unwrap_or(now)
}

/// How a run's end reads in the history; `fault` is why its output could
/// not be published.
pub fn end_text(end: &RunEnd, fault: Option<&OutputFault>) -> String {
    match (&end.cause, fault) {
        // We ended it then, whatever it looks like.
        (EndCause::Killed, Some(OutputFault::Cut(SegmentError::Starved { .. }))) => {
            "the picture or the sound of the input has stopped".to_owned()
        }
        (EndCause::Killed, Some(fault)) => fault.to_string(),
        (cause, _) => cause_text(cause),
    }
}

fn cause_text(cause: &EndCause) -> String {
    match cause {
        EndCause::Finished { .. } => "the run was ended".to_owned(),
        EndCause::Killed => "FFmpeg was killed".to_owned(),
        EndCause::InputEnded => "the input ended".to_owned(),
        EndCause::Stalled { waited } => {
            format!("FFmpeg brought out no frame for {} s", waited.as_secs())
        }
        EndCause::Silent { waited } => {
            format!("nothing came from the input for {} s", waited.as_secs())
        }
        EndCause::BadOutput(error) => format!("FFmpeg's output can't be read: {error}"),
        EndCause::Failed { message, .. } => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Media;

    #[test]
    fn media_time_began_as_long_ago_as_the_first_fragment_ends() {
        let init = TrackInit {
            media: Media::Video,
            codec: String::new(),
            timescale: 12_800,
            data: Bytes::new(),
        };
        let fragment = Fragment {
            track: 0,
            start: 6400,
            duration: 25_600,
            samples: 50,
            starts_with_sync: true,
            data: Bytes::new(),
        };
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let zero: Timestamp = "2026-01-01T00:00:07.5Z".parse().unwrap();
        assert_eq!(media_zero(now, &fragment, &[init]), zero);
        assert_eq!(media_zero(now, &fragment, &[]), now, "a track that is none");
    }

    #[test]
    fn the_history_says_what_ended_a_run() {
        let end = |cause| RunEnd {
            cause,
            exit: None,
            stderr: Vec::new(),
        };
        let waited = Duration::from_secs(20);
        let stalled = end_text(&end(EndCause::Stalled { waited }), None);
        assert_eq!(stalled, "FFmpeg brought out no frame for 20 s");
        let killed = end(EndCause::Killed);
        let no_key_frame = OutputFault::Cut(SegmentError::NoKeyFrame {
            track: 0,
            at_seconds: 4.0,
        });
        assert_eq!(
            end_text(&killed, Some(&no_key_frame)),
            "FFmpeg's output can't be cut: track 0: no key frame where a segment begins, at 4.000 s"
        );
        let starved = OutputFault::Cut(SegmentError::Starved { track: 1 });
        assert!(end_text(&killed, Some(&starved)).contains("has stopped"));
    }
}
