//! The API's answers as the client reads them: leniently, every field may be
//! missing, null or joined by others, so that an older client goes on
//! working with a newer API.

use std::fmt;
use std::time::Duration;

use domain::spec::PushUrl;
use serde::Deserialize;
use url::Url;

/// A job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    pub id: String,
    pub state: String,
    pub desired: Option<String>,
    pub reason: Option<Reason>,
    pub spec: Option<serde_json::Value>,
    pub warnings: Option<Vec<Pointed>>,
    pub ingest: Option<Ingest>,
    pub playback: Option<Playback>,
    pub worker_id: Option<String>,
    pub attempt: Option<u64>,
    pub stats: Option<Stats>,
    pub trace_id: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
}

impl Job {
    /// Whether nothing more will happen unless somebody asks for it.
    pub fn is_over(&self) -> bool {
        match self.state.as_str() {
            "failed" => true,
            "stopped" => self.desired.as_deref() != Some("run"),
            _ => false,
        }
    }

    /// Whether there may be media of it: it has been placed on a worker.
    pub fn may_have_published(&self) -> bool {
        self.attempt != Some(0)
    }

    /// Whether a publisher pushes into it, as far as the answer tells.
    pub fn is_pushed(&self) -> bool {
        let url = self.spec.as_ref().map(|spec| &spec["input"]["url"]);
        self.ingest.is_some()
            || url.is_some_and(|url| match url.as_str() {
                Some(url) => Url::parse(url).is_ok_and(|url| PushUrl::is_meant_by(&url)),
                None => url.is_null(),
            })
    }

    /// `: message (code)`, or nothing.
    pub fn because(&self) -> String {
        self.reason
            .as_ref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default()
    }
}

/// Why a job is in its state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    pub code: Option<String>,
    pub message: Option<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message, &self.code) {
            (Some(message), Some(code)) => write!(f, "{message} ({code})"),
            (Some(text), None) | (None, Some(text)) => f.write_str(text),
            (None, None) => f.write_str("no reason given"),
        }
    }
}

/// A fault or a warning, and where it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pointed {
    pub pointer: Option<String>,
    pub detail: Option<String>,
}

impl fmt::Display for Pointed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = self
            .pointer
            .as_deref()
            .filter(|pointer| !pointer.is_empty())
            .unwrap_or("(the whole body)");
        write!(
            f,
            "{pointer}: {}",
            self.detail.as_deref().unwrap_or("no detail given")
        )
    }
}

/// Where to push to. Deliberately without `Debug`: it holds the stream key.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ingest {
    pub protocol: Option<String>,
    pub url: String,
    pub stream_key: String,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ingest({})", self.url)
    }
}

/// Where to play from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Playback {
    pub hls: Option<String>,
    pub dash: Option<String>,
}

/// How a job is doing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stats {
    pub fps: Option<f64>,
    pub speed: Option<f64>,
    pub dropped_frames: Option<u64>,
    pub input: Option<InputStats>,
    pub bytes_ingested: Option<u64>,
    pub up_seconds: Option<f64>,
    pub active_seconds: Option<f64>,
    pub last_segment_age_ms: Option<f64>,
    pub runs: Option<u64>,
}

/// What comes in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InputStats {
    pub video: Option<InputVideo>,
    pub audio: Option<InputAudio>,
    pub bitrate_kbps: Option<f64>,
}

/// The picture that comes in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InputVideo {
    pub codec: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fps: Option<f64>,
}

/// The sound that comes in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InputAudio {
    pub codec: Option<String>,
    pub sample_rate: Option<u32>,
    pub channels: Option<u32>,
}

/// One thing that happened to a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    pub seq: u64,
    pub at: Option<jiff::Timestamp>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub attempt: Option<u64>,
    pub worker_id: Option<String>,
    pub reason: Option<Reason>,
}

/// What a dry run gives.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DryRun {
    pub warnings: Option<Vec<Pointed>>,
    pub ffmpeg: Option<FfmpegCommand>,
}

/// The command that a job would run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FfmpegCommand {
    /// A line for a shell.
    pub command: Option<String>,
}

/// A worker.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Worker {
    pub id: String,
    pub state: Option<String>,
    pub size: Option<String>,
    pub job_id: Option<String>,
    pub created_at: Option<String>,
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub title: Option<String>,
    pub status: u16,
    pub detail: Option<String>,
    pub errors: Option<Vec<Pointed>>,
    /// When the API may be asked again, where it says so.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The document as it came, for `--json`; null where there was none.
    #[serde(skip)]
    pub json: serde_json::Value,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.title, &self.detail) {
            (Some(title), Some(detail)) => write!(f, "{title}: {detail}")?,
            (Some(text), None) | (None, Some(text)) => f.write_str(text)?,
            (None, None) => write!(f, "the API answered {}", self.status)?,
        }
        for error in self.errors.iter().flatten() {
            write!(f, "\n  {error}")?;
        }
        if self.status == 401 {
            f.write_str("\n  Give the API's token with EZLIVE_TOKEN or --token.")?;
        }
        Ok(())
    }
}
