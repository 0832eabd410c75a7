//! The FFmpeg plan: spec and input in, command line and track list out.

use crate::input::InputInfo;
use crate::spec::Spec;

/// How the input reaches FFmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// FLV on standard input, written by the worker.
    FlvPipe,
    /// FFmpeg opens a URL that the worker has checked.
    Url {
        /// What FFmpeg is to open: host pinned or behind the worker's relay.
        url: String,
        /// `http://127.0.0.1:PORT` of the worker's checking proxy, for HTTP.
        http_proxy: Option<String>,
    },
}

/// What to run, and what comes out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The arguments after the program's name.
    pub argv: Vec<String>,
    /// The tracks of the fragmented MP4 on standard output, in their order.
    pub tracks: Vec<Track>,
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

/// The plan for this spec on this input.
pub fn plan(_spec: &Spec, _input: &InputInfo, _feed: &Feed) -> Plan {
    Plan {
        argv: Vec::new(),
        tracks: Vec::new(),
    }
}
