//! Writes FLV for FFmpeg's standard input (Adobe Flash Video File Format
//! 10.1, annex E): one stream for a whole run, over however many connections.

mod clock;
pub mod tag;

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use domain::input::InputInfo;

pub use clock::{DriftBeyondBound, MAX_AHEAD, MAX_BEHIND};

use self::clock::MediaClock;
use self::tag::{Body, body};
use crate::ingest::{Tag, TagKind};

/// Turns tags into FLV bytes whose media time follows the run's wall time.
///
/// The header is written once: FFmpeg ends at a second one. Metadata is not
/// written at all: FFmpeg would make streams of what it names and wait for
/// them, while the sequence headers tell it all it needs.
#[derive(Debug)]
pub struct FlvWriter {
    input: InputInfo,
    header_written: bool,
    /// Frames that refer to ones we don't have are left out.
    awaiting_key_frame: bool,
    clock: MediaClock,
}

impl FlvWriter {
    /// A writer for a run on this input. Tags of tracks that it doesn't have
    /// are left out: the run's FFmpeg has no output for them.
    pub fn new(input: &InputInfo) -> Self {
        Self {
            input: input.clone(),
            header_written: false,
            awaiting_key_frame: true,
            clock: MediaClock::default(),
        }
    }

    /// Whether a new connection that carries this can go on in the same run.
    /// Another picture size is fine. Other tracks or codecs are not, nor is
    /// sound in another format: FFmpeg would build its filters anew, and those
    /// know nothing of the gap before them, so that it would not be filled.
    pub fn can_continue_with(&self, input: &InputInfo) -> bool {
        let codec = |input: &InputInfo| input.video.as_ref().map(|video| video.codec.clone());
        codec(&self.input) == codec(input) && self.input.audio == input.audio
    }

    /// The tags that follow are of another connection than those before: its
    /// clock is another one, and its video begins at a key frame.
    pub fn begin_connection(&mut self) {
        self.clock.begin_connection();
        self.awaiting_key_frame = true;
    }

    /// Appends the tag to `output`, at `elapsed` of the run's wall time.
    ///
    /// Answers how long to wait before the next tag is read: zero unless the
    /// publisher is more than [`MAX_AHEAD`] faster than real time. Not reading
    /// is what slows it down.
    pub fn write(
        &mut self,
        tag: &Tag,
        elapsed: Duration,
        output: &mut BytesMut,
    ) -> Result<Duration, DriftBeyondBound> {
        let wanted = match tag.kind {
            TagKind::Audio => self.input.audio.is_some(),
            TagKind::Video => self.input.video.is_some(),
        };
        let body = body(tag);
        if !wanted || body == Body::Nothing {
            return Ok(Duration::ZERO);
        }
        if tag.kind == TagKind::Video {
            match body {
                Body::KeyFrame => self.awaiting_key_frame = false,
                Body::Frame if self.awaiting_key_frame => return Ok(Duration::ZERO),
                _ => {}
            }
        }
        let (timestamp, ahead) = match body {
            Body::Config => (self.clock.place_config(tag.kind), Duration::ZERO),
            _ => {
                let placed = self.clock.place(tag.kind, tag.timestamp, elapsed)?;
                (placed.timestamp, placed.ahead)
            }
        };
        if !self.header_written {
            self.header_written = true;
            write_header(&self.input, output);
        }
        write_tag(tag, timestamp, output);
        Ok(ahead.saturating_sub(MAX_AHEAD))
    }
}

/// The FLV header (E.2) and the empty "previous tag" (E.3).
fn write_header(input: &InputInfo, output: &mut BytesMut) {
    output.put_slice(b"FLV\x01");
    output.put_u8(u8::from(input.audio.is_some()) << 2 | u8::from(input.video.is_some()));
    output.put_u32(9);
    output.put_u32(0);
}

/// An FLV tag (E.4.1). The timestamp wraps at 2^32 ms, where FFmpeg goes on
/// counting.
fn write_tag(tag: &Tag, timestamp: u64, output: &mut BytesMut) {
    const HEADER: usize = 11;
    output.reserve(HEADER + tag.data.len() + 4);
    output.put_u8(match tag.kind {
        TagKind::Audio => 8,
        TagKind::Video => 9,
    });
    output.put_uint(tag.data.len() as u64, 3);
    let timestamp = timestamp as u32;
    output.put_uint(u64::from(timestamp & 0x00ff_ffff), 3);
    output.put_u8((timestamp >> 24) as u8);
    output.put_uint(0, 3);
    output.put_slice(&tag.data);
    output.put_u32((HEADER + tag.data.len()) as u32);
}

#[cfg(test)]
mod tests;
