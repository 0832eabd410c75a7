//! A run under way: FFmpeg, what feeds it, and what takes its output.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::input::InputInfo;
use domain::plan::{Feed as PlanFeed, Plan, Track, plan};
use domain::spec::Spec;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::WorkerConfig;
use crate::ffmpeg::{EndCause, Feed, Progress, Run, RunConfig, RunEnd, StartError};
use crate::ingest::Tag;
use crate::ingest::flv::{DriftBeyondBound, FlvWriter};
use crate::ingest::pull::Prepared;
use crate::mp4::Piece;
use crate::publisher::Intake;
use crate::segmenter::{Cadence, Segmenter};

/// How long FFmpeg may go without a frame while it has input.
const STALL: Duration = Duration::from_secs(8);
/// How long to the first frame: slow encoders look ahead.
const FIRST_FRAME: Duration = Duration::from_secs(20);
/// How long FFmpeg may take to bring out what it has at the end.
const GRACE: Duration = Duration::from_secs(2);

/// A run under way. Dropping it kills FFmpeg.
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
    output: Option<JoinHandle<()>>,
    /// Keeps the connections of a pulled input open.
    prepared: Option<Prepared>,
}

/// What begins a run.
pub struct RunSetup<'a> {
    /// The job's spec.
    pub spec: &'a Spec,
    /// What comes in.
    pub input: InputInfo,
    /// Its number within the attempt.
    pub number: u32,
    /// How FFmpeg gets its input.
    pub prepared: Option<Prepared>,
    /// Where its output goes.
    pub publisher: Intake,
}

impl ActiveRun {
    /// Starts FFmpeg and what takes its output.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &WorkerConfig, setup: RunSetup<'_>) -> Result<Self, StartError> {
        let feed = match &setup.prepared {
            Some(prepared) => prepared.feed().clone(),
            None => PlanFeed::FlvPipe,
        };
        let Plan {
            argv,
            tracks,
            gop,
            parts,
        } = plan(setup.spec, &setup.input, &feed);
        let mut run = Run::start(RunConfig {
            program: config.ffmpeg.clone().into(),
            argv,
            feed: setup.prepared.is_none(),
            tie: config.tie.clone(),
            stall: config.timing.paced(STALL),
            first_frame: config.timing.paced(FIRST_FRAME),
            secrets: setup
                .prepared
                .as_ref()
                .map_or_else(Vec::new, Prepared::secrets),
        })?;
        tracing::info!(run = setup.number, pid = run.pid(), "FFmpeg started");
        let output = run.take_pieces().map(|pieces| {
            let started = Started {
                number: setup.number,
                start: Timestamp::now(),
                tracks,
            };
            let segment = setup.spec.output.segment_duration.millis;
            let cadence = Cadence {
                segment: Duration::from_millis(segment.into()),
                gop,
                parts,
            };
            tokio::spawn(take_output(pieces, started, cadence, setup.publisher))
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
            prepared: setup.prepared,
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
        self.prepared.is_some()
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
        let prepared = self.prepared.as_ref()?;
        Some(prepared.was_forbidden()?.host)
    }

    /// Waits until FFmpeg was led to a forbidden address; for ever where
    /// nothing is pulled.
    pub async fn forbidden(&self) -> String {
        match &self.prepared {
            Some(prepared) => prepared.forbidden().await.host,
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
    pub async fn take_rest(mut self) {
        if let Some(output) = self.output.take() {
            // A panic in it has been printed.
            let _ = output.await;
        }
    }

    /// Kills FFmpeg; nothing more is published of it.
    pub fn kill(self) {
        if let Some(output) = &self.output {
            output.abort();
        }
        self.run.kill();
    }
}

/// What the publisher needs to know of a run before its first segment.
struct Started {
    number: u32,
    start: Timestamp,
    tracks: Vec<Track>,
}

/// Cuts FFmpeg's output into segments, for the publisher.
async fn take_output(
    mut pieces: mpsc::Receiver<Piece>,
    started: Started,
    cadence: Cadence,
    publisher: Intake,
) {
    let mut started = Some(started);
    let mut segmenter: Option<Segmenter> = None;
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Init(inits) => {
                let Some(Started {
                    number,
                    start,
                    tracks,
                }) = started.take()
                else {
                    return;
                };
                segmenter = Some(Segmenter::new(cadence, &inits));
                publisher.start_run(number, start, &tracks, inits);
            }
            Piece::Fragment(fragment) => {
                let Some(cut) = segmenter.as_mut().map(|segmenter| segmenter.push(fragment)) else {
                    return;
                };
                match cut {
                    Ok(segments) => segments.into_iter().for_each(|cut| publisher.segment(cut)),
                    // Dropping the pieces ends the run.
                    Err(error) => {
                        tracing::error!(%error, "FFmpeg's output can't be cut: the run ends");
                        break;
                    }
                }
            }
        }
    }
    match segmenter.map(Segmenter::finish) {
        Some(Ok(Some(last))) => publisher.segment(last),
        Some(Err(error)) => tracing::debug!(%error, "nothing whole is left of the run"),
        _ => {}
    }
}

/// How a run's end reads in the history.
pub fn end_text(end: &RunEnd) -> String {
    match &end.cause {
        EndCause::Finished { .. } => "the run was ended".to_owned(),
        EndCause::Killed => "FFmpeg was killed".to_owned(),
        EndCause::InputEnded => "the input ended".to_owned(),
        EndCause::Stalled => format!("FFmpeg brought out no frame for {} s", STALL.as_secs()),
        EndCause::BadOutput(error) => format!("FFmpeg's output can't be read: {error}"),
        EndCause::Failed { message, .. } => message.clone(),
    }
}
