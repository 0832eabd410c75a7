//! Jobs and workers as the API shows them.

use domain::ids::{JobId, WorkerId};
use domain::job::{Desired, InputStats, Job, JobState, Reason, Stats};
use domain::spec::{Source, Spec, Warning, WorkerSize};
use domain::trace::TraceId;
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A live channel: what was asked for, what is wanted now, where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its id: a UUID, later jobs have greater ones.
    id: JobId,
    /// Where it stands.
    state: JobState,
    /// What its client wants.
    desired: Desired,
    /// Why it stands there, where that needs a word.
    #[schema(required)]
    reason: Option<Reason>,
    /// What was asked for, with every default filled in. In lists, a pulled
    /// URL is shown without credentials and query.
    #[schema(value_type = Spec)]
    spec: SpecView,
    /// What its client should think about.
    warnings: Vec<Warning>,
    /// Where to push; null for a pulled input and until the worker listens.
    #[schema(required)]
    ingest: Option<IngestView>,
    /// Where to play.
    playback: PlaybackView,
    /// The worker it is booked on.
    #[schema(required)]
    worker_id: Option<WorkerId>,
    /// The number of its newest placement; 0 before the first.
    attempt: u64,
    /// What it is doing, in numbers.
    stats: StatsView,
    /// The trace of the call that created it: in every log line about it.
    #[schema(required)]
    trace_id: Option<TraceId>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A spec, with its secrets or without.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum SpecView {
    /// As it is.
    Whole(Spec),
    /// As JSON, which it is no spec in any more.
    Redacted(Value),
}

/// Where a publisher pushes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Ingest)]
pub struct IngestView {
    /// The protocol, as `rtmp`.
    protocol: String,
    /// The server URL; the stream key comes after it.
    url: String,
    /// The secret a publisher shows. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stream_key: Option<String>,
}

/// Where players find the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Playback)]
pub struct PlaybackView {
    /// The HLS multivariant playlist.
    hls: String,
    /// The DASH manifest.
    dash: String,
}

/// A job in numbers. Those that add up do so over all its attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsView {
    /// Frames encoded per second, over the last moments; 0 without input.
    fps: f64,
    /// Media seconds encoded per second: 1.0 is real time.
    speed: f64,
    /// What comes in; null without input.
    #[schema(required)]
    input: Option<InputStats>,
    /// How old the newest segment is, in milliseconds; null without a worker
    /// and before the first segment.
    #[schema(required)]
    last_segment_age_ms: Option<u64>,
    /// Frames that the encoder dropped.
    dropped_frames: u64,
    /// Segments dropped because the store was away too long.
    dropped_segments: u64,
    /// Bytes of input.
    bytes_ingested: u64,
    /// Seconds with a worker.
    up_seconds: f64,
    /// Seconds with input in and segments out.
    active_seconds: f64,
    /// FFmpeg processes started.
    runs: u64,
}

/// Who reads a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The one who asked for this job by its id: sees its secrets.
    Owner,
    /// One who lists jobs: sees none.
    Lister,
}

impl JobView {
    /// A job as this reader sees it, with the record of the worker it is
    /// booked on, the base URL of playback, and the time now.
    ///
    /// # Errors
    /// [`serde_json::Error`] where the spec can't be written as JSON.
    pub fn new(
        job: &Job,
        worker: Option<&Worker>,
        reader: Reader,
        playback: &str,
        now: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let playback = playback.trim_end_matches('/');
        Ok(Self {
            id: job.id.clone(),
            state: job.state,
            desired: job.desired,
            reason: job.reason.clone(),
            spec: SpecView::new(&job.spec, reader)?,
            warnings: job.spec.warnings(),
            ingest: job.ingest.as_ref().map(|ingest| IngestView {
                protocol: ingest.protocol.clone(),
                url: ingest.url.clone(),
                stream_key: (reader == Reader::Owner).then(|| job.stream_key.reveal().to_owned()),
            }),
            playback: PlaybackView {
                hls: format!("{playback}/{}/master.m3u8", job.id),
                dash: format!("{playback}/{}/manifest.mpd", job.id),
            },
            worker_id: job.worker_id.clone(),
            attempt: job.attempt,
            stats: StatsView::new(job, worker, now),
            trace_id: job.trace_id.clone(),
            created_at: job.created_at,
            updated_at: job.updated_at,
        })
    }

    /// With what the operator's rules have to say besides.
    pub fn with_warning(mut self, warning: Option<Warning>) -> Self {
        self.warnings.extend(warning);
        self
    }
}

impl SpecView {
    fn new(spec: &Spec, reader: Reader) -> Result<Self, serde_json::Error> {
        let Source::Pull { url } = &spec.input.source else {
            return Ok(Self::Whole(spec.clone()));
        };
        if reader == Reader::Owner {
            return Ok(Self::Whole(spec.clone()));
        }
        let mut value = serde_json::to_value(spec)?;
        value["input"]["url"] = url.redacted().into();
        Ok(Self::Redacted(value))
    }
}

impl StatsView {
    /// The finished attempts of a job and, where this worker runs its newest
    /// one, the live numbers.
    fn new(job: &Job, worker: Option<&Worker>, now: Timestamp) -> Self {
        let live = worker.and_then(|worker| live_stats(job, worker)).cloned();
        let live = live.unwrap_or_default();
        let totals = job.totals + live.totals;
        Self {
            fps: live.fps,
            speed: live.speed,
            input: live.input,
            // The worker's clock may be ahead of ours.
            last_segment_age_ms: live.last_segment_at.map(|at| {
                let age = now.duration_since(at).as_millis();
                u64::try_from(age).unwrap_or(0)
            }),
            dropped_frames: totals.dropped_frames,
            dropped_segments: totals.dropped_segments,
            bytes_ingested: totals.bytes_ingested,
            up_seconds: totals.up_seconds,
            active_seconds: totals.active_seconds,
            runs: totals.runs,
        }
    }
}

/// The numbers of the attempt that the job is at, not of one before.
fn live_stats<'a>(job: &Job, worker: &'a Worker) -> Option<&'a Stats> {
    let booking = worker.booking.as_ref()?;
    let runs_it = booking.job == job.id && job.is_booked_on(&worker.id, booking.attempt);
    worker.stats.as_ref().filter(|_| runs_it)
}

/// A process that runs one job at a time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Worker)]
pub struct WorkerView {
    /// Its id.
    id: WorkerId,
    /// Where it stands.
    state: WorkerState,
    /// What it was launched with.
    size: WorkerSize,
    /// The job it is booked for.
    #[schema(required)]
    job_id: Option<JobId>,
    /// Which attempt of that job.
    #[schema(required)]
    attempt: Option<u64>,
    /// Grows by one with each beat; 0 until it has registered.
    beat: u64,
    /// Its ECS task or process, once launched.
    #[schema(required)]
    task: Option<String>,
    /// When it was booked or launched first.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it changed last (not at each beat).
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Worker> for WorkerView {
    fn from(worker: Worker) -> Self {
        let booking = worker
            .booking
            .map(|Booking { job, attempt }| (job, attempt));
        let (job_id, attempt) = booking.unzip();
        Self {
            id: worker.id,
            state: worker.state,
            size: worker.size,
            job_id,
            attempt,
            beat: worker.beat,
            task: worker.task,
            created_at: worker.created_at,
            updated_at: worker.updated_at,
        }
    }
}
