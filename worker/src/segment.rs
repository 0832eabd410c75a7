//! What passes from the segmenter to the publisher.

use bytes::Bytes;

/// The init segment of one track of a run (ISO/IEC 23000-19 CMAF header).
#[derive(Debug, Clone, PartialEq)]
pub struct TrackInit {
    /// What the track carries.
    pub media: Media,
    /// The codec for `CODECS` attributes (RFC 6381), as `avc1.64001e`.
    pub codec: String,
    /// Ticks per second of the track's times.
    pub timescale: u32,
    /// `ftyp` and `moov` with this one track.
    pub data: Bytes,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A picture.
    Video,
    /// Sound.
    Audio,
}

/// One segment of every track of a run, cut at the same key frame.
#[derive(Debug, Clone, PartialEq)]
pub struct CutSegment {
    /// In the order of the plan's tracks.
    pub tracks: Vec<TrackSegment>,
}

/// One media segment: whole fragments (`moof` and `mdat`) of one track.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSegment {
    /// Decode time of the first sample in ticks, as in its `tfdt`: the same
    /// origin in every track of the run, not necessarily 0 at the run's start.
    pub start: u64,
    /// Length in ticks.
    pub duration: u64,
    /// The bytes of the segment.
    pub data: Bytes,
}
