//! What an audio or video tag is, by its first bytes (annex E.4.2, E.4.3, and
//! Enhanced RTMP v1 for what FFmpeg 5.1 can't read).

use crate::ingest::{Tag, TagKind};

/// What a tag's body is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A sequence header: the decoder's configuration, no media.
    Config,
    /// Video that can be decoded without what came before; or any audio.
    KeyFrame,
    /// Video that refers to earlier video.
    Frame,
    /// No media: an end of sequence, a command frame, a torso.
    Nothing,
}

/// The video codec of a tag (E.4.3.1, `CodecID`).
pub const AVC: u8 = 7;
/// The audio codec of a tag (E.4.2.1, `SoundFormat`).
pub const AAC: u8 = 10;

/// What this tag is.
pub fn body(tag: &Tag) -> Body {
    match tag.kind {
        TagKind::Audio => audio(&tag.data),
        TagKind::Video => video(&tag.data),
    }
}

fn audio(data: &[u8]) -> Body {
    match data {
        [format, 0, _, ..] if format >> 4 == AAC => Body::Config,
        [format, 1, _, ..] if format >> 4 == AAC => Body::KeyFrame,
        [format, _, ..] if format >> 4 != AAC => Body::KeyFrame,
        _ => Body::Nothing,
    }
}

fn video(data: &[u8]) -> Body {
    let [first, rest @ ..] = data else {
        return Body::Nothing;
    };
    // Composition time follows the packet type: 3 bytes more.
    let frame = match (first & 0x0f, rest) {
        (AVC, [0, _, _, _, _, ..]) => return Body::Config,
        (AVC, [1, _, _, _, _, ..]) => true,
        (AVC, _) => false,
        (_, rest) => !rest.is_empty(),
    };
    match first >> 4 {
        1 | 4 if frame => Body::KeyFrame,
        2 | 3 if frame => Body::Frame,
        _ => Body::Nothing,
    }
}
