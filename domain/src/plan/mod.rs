//! The FFmpeg plan: spec and input in, command line and track list out.
//!
//! One FFmpeg decodes once, scales, encodes every rendition with closed GOPs
//! of equal length and writes one fragmented MP4 with all tracks to its
//! standard output. What the flags are for:
//!
//! * Times are kept (`frag_discont`): a track's first `tfdt` is the time of
//!   its first sample, so picture and sound stay together when one of them
//!   starts late. The audio is cut by the 1024 samples of the AAC encoder's
//!   delay, or its first `tfdt` would be negative (measured: a flash and a
//!   beep at the same time come out 0.04 ms apart, 21 ms without).
//! * Key frames are every so many frames of a constant rate, for all encoders,
//!   and fragments are flushed for all tracks together at each.
//! * A picture is fitted into the size asked for, with black bars where its
//!   shape differs, and `pad` and `scale` look at each frame: a publisher that
//!   comes back with another resolution needs no new run. (The audio graph is
//!   apart from the video's, so that a change of sample rate rebuilds only the
//!   one.)
//! * What the input lacks is made up: silence ends with the picture
//!   (`-shortest`), and a black picture is driven by the sound, so FFmpeg ends
//!   when its input does.
//! * When the audio goes silent without a word, pictures wait for it no longer
//!   than two seconds (`-max_interleave_delta`) instead of ten.
//!
//! No text of the client's comes anywhere but after `-i`, and there only a
//! URL that has been judged: labels don't appear, presets are from a list.

mod cadence;
mod encode;
mod graph;
mod probe;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::input::InputInfo;
use crate::spec::{Spec, VideoCodec};
use cadence::Cadence;
pub use probe::probe_args;

/// How the input reaches FFmpeg.
#[derive(Clone, PartialEq, Eq)]
pub enum Feed {
    /// FLV on standard input, written by the worker of what comes over RTMP,
    /// pushed or pulled; time begins near 0.
    FlvPipe,
    /// FFmpeg opens a URL that the worker has checked.
    Url {
        /// What FFmpeg is to open: the worker's relay, or `http` for its
        /// proxy, which speaks TLS to an origin that is `https`.
        url: String,
        /// The worker's checking proxy, for HTTP. Its URL has a password in it
        /// and so is no argument: FFmpeg's environment must have it as
        /// `http_proxy`, and no `no_proxy`.
        http_proxy: Option<String>,
    },
}

impl fmt::Debug for Feed {
    /// Without the URL: passwords and stream keys stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FlvPipe => f.write_str("FlvPipe"),
            Self::Url { url, .. } => f
                .debug_struct("Url")
                .field("scheme", &source::scheme(url))
                .finish_non_exhaustive(),
        }
    }
}

/// What to run, and what comes out of it.
#[derive(Clone, PartialEq)]
pub struct Plan {
    /// The arguments after the program's name. FFmpeg also expects a pipe for
    /// its progress as file descriptor 3.
    pub argv: Vec<String>,
    /// The tracks of the fragmented MP4 on standard output, in their order.
    pub tracks: Vec<Track>,
    /// From key frame to key frame, exactly: the nearest whole number of
    /// frames to what the spec says, as 2.002 s at 29.97 frames per second.
    pub gop: Duration,
    /// A GOP comes in several fragments (low latency), of which only the first
    /// begins with a key frame.
    pub parts: bool,
}

impl fmt::Debug for Plan {
    /// Without the URL among the arguments: as [`Feed`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |arg: &String| match arg.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://…"),
            None => arg.clone(),
        };
        f.debug_struct("Plan")
            .field("argv", &self.argv.iter().map(shown).collect::<Vec<_>>())
            .field("tracks", &self.tracks)
            .field("gop", &self.gop)
            .field("parts", &self.parts)
            .finish()
    }
}

/// One track of FFmpeg's output: one rendition.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The rendition's label.
    pub label: String,
    /// What it carries.
    pub kind: TrackKind,
}

/// What a track carries.
#[derive(Debug, Clone, PartialEq)]
pub enum TrackKind {
    /// A picture.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per second.
        framerate: f64,
        /// The highest bitrate, bit/s.
        max_bitrate: u32,
        /// The mean bitrate, bit/s.
        bitrate: u32,
    },
    /// Sound.
    Audio {
        /// bit/s.
        bitrate: u32,
        /// Hertz.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
}

/// The plan for this spec on this input. An input that is said to have neither
/// picture nor sound is taken to have both.
pub fn plan(spec: &Spec, input: &InputInfo, feed: &Feed) -> Plan {
    let unknown = input.video.is_none() && input.audio.is_none();
    let has = Has {
        video: input.video.is_some() || unknown,
        audio: input.audio.is_some() || unknown,
    };
    let cadence = Cadence::of(spec, input);
    let output = &spec.output;
    let fragment = Duration::from_millis(output.fragment_duration.millis.into());
    let parts = fragment < Duration::from_millis(nominal_gop(spec).into());

    let mut args = Args::default();
    args.words("-hide_banner -nostdin -loglevel warning -nostats");
    args.words("-progress pipe:3 -stats_period 1");
    source::push(&mut args, has, feed);
    graph::push(&mut args, spec, has, feed, &cadence);
    encode::push(&mut args, spec, &cadence);
    if !has.audio && !output.audio_outputs.is_empty() {
        args.words("-shortest");
    }
    args.words("-max_interleave_delta 2000000");
    args.words("-f mp4");
    args.words("-movflags +cmaf+frag_keyframe+separate_moof+skip_trailer+frag_discont");
    if parts {
        args.pair("-frag_duration", fragment.as_micros());
    }
    args.words("-flush_packets 1 pipe:1");
    Plan {
        argv: args.0,
        tracks: tracks(spec, &cadence),
        gop: cadence.gop.as_duration(),
        parts,
    }
}

fn nominal_gop(spec: &Spec) -> u32 {
    let first = spec.output.video_outputs.first();
    first.map_or(spec.output.segment_duration.millis, |video| {
        video.gop_size.millis
    })
}

fn tracks(spec: &Spec, cadence: &Cadence) -> Vec<Track> {
    let videos = spec.output.video_outputs.iter().zip(&cadence.videos);
    let videos = videos.map(|(video, pace)| Track {
        label: video.label.clone(),
        kind: TrackKind::Video {
            width: video.width,
            height: video.height,
            framerate: pace.rate.as_f64(),
            max_bitrate: video.max_bitrate,
            bitrate: video.bitrate,
        },
    });
    let audios = spec.output.audio_outputs.iter().map(|audio| Track {
        label: audio.label.clone(),
        kind: TrackKind::Audio {
            bitrate: audio.bitrate,
            sample_rate: audio.sample_rate,
            channels: audio.channels,
        },
    });
    videos.chain(audios).collect()
}

/// What the input has.
#[derive(Debug, Clone, Copy)]
struct Has {
    video: bool,
    audio: bool,
}

/// A command line in the making.
#[derive(Debug, Default)]
struct Args(Vec<String>);

impl Args {
    /// Fixed arguments, with spaces between them.
    fn words(&mut self, words: &'static str) {
        self.0.extend(words.split(' ').map(str::to_owned));
    }

    /// An option and its value.
    fn pair(&mut self, option: impl Into<String>, value: impl ToString) {
        self.0.push(option.into());
        self.0.push(value.to_string());
    }
}

/// Whether all encoders put packets out with the same reordering delay, so
/// that their key frames reach the muxer together. Otherwise one would flush
/// the others' fragments a few frames short of theirs: then B-frames are left
/// out. (x264 `ultrafast` has none; x264 and x265 otherwise have two frames of
/// delay, which last differently at different frame rates; SVT-AV1 has none.)
fn reorder_alike(spec: &Spec, cadence: &Cadence) -> bool {
    let delays = spec.output.video_outputs.iter().zip(&cadence.videos);
    let mut delays = delays.map(|(video, pace)| {
        let reorders = match video.codec {
            VideoCodec::H264 => video.preset != "ultrafast" && !spec.output.low_latency_mode,
            VideoCodec::H265 => !spec.output.low_latency_mode,
            VideoCodec::Av1 => false,
        };
        reorders.then_some(pace.rate)
    });
    let first = delays.next();
    delays.all(|delay| Some(delay) == first)
}
