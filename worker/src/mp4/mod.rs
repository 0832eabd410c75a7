//! Splits FFmpeg's one fragmented MP4 by track (ISO/IEC 14496-12, CMAF).
//!
//! FFmpeg is run with `separate_moof`, so its output is `ftyp`, `moov`, and
//! then one `moof` and `mdat` per track and fragment. [`Splitter`] takes that
//! stream in pieces of any size and gives an init segment per track and whole
//! fragments. It never holds more than the one box it waits for, and refuses
//! boxes over a limit, so that a broken stream cannot fill the memory.

mod boxes;
mod codec;
mod fragment;
mod init;

use bytes::{Buf, Bytes, BytesMut};
use domain::spec::FRAGMENT_BYTES;
use mp4_atom::{DecodeMaybe, FourCC, Header};

use crate::segment::TrackInit;
use fragment::{FragmentHead, TrackDefaults};

/// The largest `moov`, bytes. FFmpeg's takes 0.5 to 3 KB per track.
pub const MAX_MOOV: usize = 1 << 20;
/// The largest `moof`, bytes. A sample takes at most 16.
pub const MAX_MOOF: usize = 4 << 20;
/// The largest `mdat`, bytes: what a spec allows an encoder, and a quarter more
/// for one that doesn't quite keep to it.
pub const MAX_MDAT: usize = FRAGMENT_BYTES as usize / 4 * 5;
/// The largest box of any other kind, bytes.
const MAX_OTHER: usize = 1 << 20;

/// What the splitter found.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The init segment of every track, in the order of the `moov`. Comes
    /// once, first.
    Init(Vec<TrackInit>),
    /// One fragment of one track.
    Fragment(Fragment),
}

/// A `moof` and its `mdat`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// The track: an index into [`Piece::Init`].
    pub track: usize,
    /// Decode time of the first sample, ticks (`tfdt`).
    pub start: u64,
    /// The sum of the sample durations, ticks.
    pub duration: u64,
    /// How many samples there are; never 0.
    pub samples: u32,
    /// A player can start at the first sample.
    pub starts_with_sync: bool,
    /// `moof` and `mdat`, as FFmpeg wrote them.
    pub data: Bytes,
}

/// Why a stream is not the fragmented MP4 that was ordered. The splitter is of
/// no more use after one; the run should end.
#[derive(Debug, thiserror::Error)]
pub enum Mp4Error {
    /// A box that has no place where it stands, or isn't one at all.
    #[error("unexpected box {0:?}")]
    UnexpectedBox(FourCC),
    /// A box over its limit, or without a length.
    #[error("box {kind:?} of {size:?} bytes: at most {limit} are taken")]
    TooLarge {
        /// The box.
        kind: FourCC,
        /// The size of its body, bytes; `None` for "up to the end".
        size: Option<usize>,
        /// The most that is taken, bytes.
        limit: usize,
    },
    /// A box that could not be read.
    #[error("malformed box: {0}")]
    Malformed(#[from] mp4_atom::Error),
    /// A box whose contents contradict each other or the stream.
    #[error("inconsistent stream: {0}")]
    Inconsistent(&'static str),
    /// A codec that no rendition uses.
    #[error("sample entry {0:?} is not one of avc1, hvc1, hev1, av01, mp4a")]
    UnsupportedCodec(FourCC),
}

/// The state of one stream.
///
/// ```no_run
/// # fn main() -> Result<(), worker::mp4::Mp4Error> {
/// let mut splitter = worker::mp4::Splitter::new();
/// for chunk in [b"\0\0\0\x08free".as_slice()] {
///     splitter.push(chunk);
///     while let Some(_piece) = splitter.next_piece()? {}
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
    /// Empty until the `moov` was read.
    tracks: Vec<TrackDefaults>,
    /// A `moof` that waits for its `mdat`, and its length: it stays at the
    /// front of the buffer, so that both leave it as one slice, uncopied.
    head: Option<(FragmentHead, usize)>,
}

impl Splitter {
    /// A splitter at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. Call [`Self::next_piece`] until it
    /// gives none before pushing more, or the bytes pile up here.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next piece, or `None` where more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Mp4Error> {
        while let Some((kind, size)) = self.next_box()? {
            if let Some(piece) = self.take_box(kind, size)? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Kind and size (with its header) of the next box, once all of it is
    /// there.
    fn next_box(&mut self) -> Result<Option<(FourCC, usize)>, Mp4Error> {
        let waiting = self.head.as_ref().map_or(0, |(_, size)| *size);
        let present = &self.buffer[waiting..];
        let mut body = present;
        let Some(header) = Header::decode_maybe(&mut body)? else {
            return Ok(None);
        };
        let limit = self.limit(header.kind)?;
        let size = match header.size {
            Some(size) if size <= limit => size + present.len() - body.len(),
            size => {
                return Err(Mp4Error::TooLarge {
                    kind: header.kind,
                    size,
                    limit,
                });
            }
        };
        if present.len() < size {
            // One allocation for the whole box instead of doubling up to it.
            let missing = size - present.len();
            self.buffer.reserve(missing);
            return Ok(None);
        }
        Ok(Some((header.kind, size)))
    }

    /// The largest body that a box may have here; an error for a box that has
    /// no place here, before any of it is kept.
    fn limit(&self, kind: FourCC) -> Result<usize, Mp4Error> {
        let before_moov = self.tracks.is_empty();
        match kind.as_ref() {
            b"mdat" if self.head.is_some() => Ok(MAX_MDAT),
            _ if self.head.is_some() => Err(Mp4Error::UnexpectedBox(kind)),
            b"ftyp" | b"moov" if !before_moov => Err(Mp4Error::UnexpectedBox(kind)),
            b"moov" => Ok(MAX_MOOV),
            b"moof" if !before_moov => Ok(MAX_MOOF),
            // Nothing in these concerns a player of the published segments.
            b"ftyp" | b"styp" | b"sidx" | b"prft" | b"emsg" | b"mfra" | b"free" | b"skip"
            | b"uuid" | b"pdin" => Ok(MAX_OTHER),
            _ => Err(Mp4Error::UnexpectedBox(kind)),
        }
    }

    fn take_box(&mut self, kind: FourCC, size: usize) -> Result<Option<Piece>, Mp4Error> {
        match (kind.as_ref(), self.head.take()) {
            (b"moof", _) => {
                let head = fragment::read_moof(&self.buffer[..size], &self.tracks)?;
                self.head = Some((head, size));
                Ok(None)
            }
            (_, Some((head, moof))) => {
                let data = self.buffer.split_to(moof + size).freeze();
                head.finish(size, data)
                    .map(|fragment| Some(Piece::Fragment(fragment)))
            }
            (b"moov", None) => {
                let (inits, defaults) = init::split_moov(&self.buffer.split_to(size))?;
                self.tracks = defaults;
                Ok(Some(Piece::Init(inits)))
            }
            (_, None) => {
                self.buffer.advance(size);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
