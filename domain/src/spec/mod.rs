//! What a client asks for: input, renditions, packaging.
//!
//! [`Spec::parse`] turns a request body into a [`Spec`] or lists every fault
//! in it at once. A `Spec` that exists is valid: nothing after this module
//! checks a bitrate or a size again.
//!
//! ```text
//! bytes -> node (JSON as written) -> section (one object's members, each
//! checked) -> parse, rendition -> agree (what renditions share) -> Spec
//! ```

mod address;
mod agree;
mod bitrate;
mod fault;
mod limits;
mod node;
mod parse;
mod preset;
mod pull_url;
mod push_url;
mod rate;
mod rendition;
mod report;
mod section;
#[cfg(test)]
mod tests;
mod warn;
mod weight;

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub use address::{NetworkError, OperatorPolicy, is_pull_port};
pub use fault::{Fault, Faults, Warning};
pub use limits::FRAGMENT_BYTES;
pub use pull_url::{PullProtocol, PullUrl, rtmp_names};
pub use push_url::PushUrl;
pub use rate::{FrameRate, Length};
pub use weight::WorkerSize;

/// A valid live job specification, with every default filled in.
///
/// Serialised it is a request body again (snake_case keys, integers in bit/s,
/// durations in seconds): parsing that gives the same spec.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Spec {
    /// Where the live input comes from.
    pub input: Input,
    /// What is made of it.
    pub output: Output,
}

/// The live input of a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Input {
    /// Pushed to the worker or pulled from a URL.
    #[serde(flatten)]
    #[schema(inline)]
    pub source: Source,
    /// How long a publisher may be gone before the run is ended, in seconds.
    pub reconnect_window: u32,
    /// Stop the job by itself after so many minutes without input; 0: never.
    pub idle_stop_minutes: u32,
}

impl Input {
    /// Whether a publisher pushes; otherwise the worker pulls.
    pub fn is_pushed(&self) -> bool {
        matches!(self.source, Source::Push { .. })
    }
}

/// Where the input comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// A publisher pushes RTMP to the worker: the client wrote a URL on
    /// loopback or 0.0.0.0, or none. Its port is a wish; publishers are told
    /// its app, and any other will do.
    Push {
        /// Whatever host the client wrote, this reads
        /// `rtmp://127.0.0.1:1935/live/app`.
        url: PushUrl,
    },
    /// The worker fetches the input.
    Pull {
        /// A URL with an allow-listed scheme and no forbidden literal address.
        url: PullUrl,
    },
}

/// One property for either: only its text tells push from pull, so a schema
/// of alternatives would be an ambiguous one.
impl PartialSchema for Source {
    fn schema() -> RefOr<Schema> {
        let url = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Where the input comes from: pushed to the worker (an RTMP URL on loopback or \
                 0.0.0.0, as `rtmp://127.0.0.1:1935/live/app`) or pulled by it (any other)",
            ));
        ObjectBuilder::new()
            .property("url", url)
            .required("url")
            .into()
    }
}

impl ToSchema for Source {}

/// What a job makes of its input.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Output {
    /// Which players the client cares for; both kinds are always written.
    pub stream_type: StreamType,
    /// The container of the segments.
    pub segment_format: SegmentFormat,
    /// Length of a segment.
    #[schema(value_type = f64)]
    pub segment_duration: Seconds,
    /// Length of a fragment (a CMAF chunk). A key frame always begins one, so
    /// none is longer than a GOP. A GOP by default, and with low latency the
    /// longest divisor of it from 0.2 to 0.4 s.
    #[schema(value_type = f64)]
    pub fragment_duration: Seconds,
    /// Encode for least delay.
    pub low_latency_mode: bool,
    /// The DVR window: how far back a player may seek, in seconds. Playlists
    /// list all of it and are written anew with every segment: where they come
    /// to more than 1 MB a second, a warning says so.
    pub time_shift_buffer_depth: u32,
    /// Another output store than the operator's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_output: Option<S3Output>,
    /// 1 to 10 video renditions.
    pub video_outputs: Vec<VideoOutput>,
    /// Up to 5 audio renditions.
    pub audio_outputs: Vec<AudioOutput>,
}

impl Output {
    /// The bucket that the job names; `None`: the operator's own store.
    pub fn bucket(&self) -> Option<&str> {
        let named = self.s3_output.as_ref();
        named.map(|output| output.bucket.as_str())
    }
}

/// A bucket that the operator has listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct S3Output {
    /// The bucket's name.
    pub bucket: String,
}

/// The kind of manifest a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamType {
    /// HTTP Live Streaming.
    Hls,
    /// MPEG-DASH.
    Dash,
    /// Both of one set of segments.
    Both,
}

/// The container of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SegmentFormat {
    /// Fragmented MP4 (CMAF).
    Fmp4,
}

/// A length of media time, held in whole milliseconds, written in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds {
    /// The length in milliseconds.
    pub millis: u32,
}

impl Seconds {
    /// The length as seconds.
    pub fn as_f64(self) -> f64 {
        f64::from(self.millis) / 1000.0
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.millis.is_multiple_of(1000) {
            serializer.serialize_u32(self.millis / 1000)
        } else {
            serializer.serialize_f64(self.as_f64())
        }
    }
}

/// One video rendition.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VideoOutput {
    /// Its name in paths and playlists; unique within the job.
    pub label: String,
    /// The codec.
    pub codec: VideoCodec,
    /// Frames per second; `None` (0 or absent in a request): the input's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framerate: Option<f64>,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// The mean bitrate, bit/s.
    pub bitrate: u32,
    /// The bitrate never exceeded over the buffer, bit/s; 1.1 times the mean
    /// by default.
    pub max_bitrate: u32,
    /// The decoder buffer, bit; two seconds of the mean by default.
    pub buf_size: u32,
    /// The encoder's preset, by the encoder's name for it.
    pub preset: String,
    /// Constant quality, capped by `max_bitrate`, instead of a mean bitrate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crf: Option<u32>,
    /// Encoder threads.
    pub threads: u32,
    /// Length of a closed group of pictures; the same in all renditions.
    #[schema(value_type = f64)]
    pub gop_size: Seconds,
}

/// A video codec and the encoder that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// H.264 by libx264.
    H264,
    /// H.265 by libx265.
    H265,
    /// AV1 by SVT-AV1.
    Av1,
}

/// One audio rendition.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AudioOutput {
    /// Its name in paths and playlists; unique within the job.
    pub label: String,
    /// The codec.
    pub codec: AudioCodec,
    /// bit/s.
    pub bitrate: u32,
    /// Hertz.
    pub sample_rate: u32,
    /// Channels: 1 or 2.
    pub channels: u32,
}

/// An audio codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioCodec {
    /// AAC-LC by FFmpeg's own encoder.
    Aac,
}
