//! Finds out what an RTMP input carries, from its first tags.

mod audio;
mod video;

use std::time::Duration;

use domain::input::{InputAudio, InputInfo, InputVideo};
use thiserror::Error;

use super::flv::tag::{Body, body};
use super::{Metadata, Tag, TagKind};

/// How long a track that has not shown itself is waited for: in wall time,
/// and in the media time of what came meanwhile.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// The same for a track that the publisher's metadata names, or of which the
/// configuration has come, at the beginning of a connection.
pub const PATIENCE_WITH_ANNOUNCED: Duration = Duration::from_secs(4);
/// Without a track that can be decoded: there is none.
pub const GIVE_UP: Duration = Duration::from_secs(10);
/// With pictures that come and a decoder configuration, but no key frame yet:
/// from one to the next it may well be 10 s and more.
pub const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(60);
/// Tags held meanwhile, bytes: more than any second and a half of media.
const MAX_HELD: usize = 32 * 1024 * 1024;

/// Timestamps further apart than this are of different clocks, milliseconds.
const MAX_STEP_MS: i32 = 1000;

/// The input can't be transcoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SniffError {
    /// A codec that FFmpeg can't read from FLV.
    #[error("the input's codec {codec} is not supported over RTMP: publish H.264 and AAC")]
    Unsupported {
        /// Its FourCC or name.
        codec: String,
    },
    /// Nothing to decode for too long.
    #[error("the input carries no audio or video that can be decoded: publish H.264 and AAC")]
    Nothing,
}

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The tracks.
    pub input: InputInfo,
    /// The tags so far: the sequence headers, then all from the first key
    /// frame on (from the start where there is no video).
    pub tags: Vec<Tag>,
}

/// Holds the first tags of a connection until it is clear what it carries.
///
/// A track is what frames have come of: a configuration alone, or metadata,
/// only promises one, and FFmpeg would wait for it and put out nothing.
#[derive(Debug, Default)]
pub struct Sniffer {
    /// The connection goes on already: what was promised has had its time.
    midway: bool,
    metadata: Option<Metadata>,
    video: Option<InputVideo>,
    audio: Option<InputAudio>,
    held: Vec<Tag>,
    held_bytes: usize,
    has_key_frame: bool,
    /// Pictures have come, if only ones that follow others.
    has_pictures: bool,
    /// Sound has come.
    has_sound: bool,
    /// When the first tag came.
    began: Option<Duration>,
    /// The furthest timestamp of a frame.
    furthest: Option<u32>,
    /// The media time of the frames so far, milliseconds.
    media_ms: u32,
}

impl Sniffer {
    /// A sniffer for a connection that has been on for a while.
    pub fn midway() -> Self {
        Self {
            midway: true,
            ..Self::default()
        }
    }

    /// Whether a frame tells its track, given the configuration that came
    /// before it.
    pub fn can_decode(frame: &Tag, config: Option<&Tag>) -> bool {
        let mut sniffer = Self::default();
        let tags = config.into_iter().chain([frame]);
        let seen: Result<Vec<()>, _> = tags.map(|tag| sniffer.look(tag)).collect();
        seen.is_ok() && sniffer.is_decodable()
    }

    /// Whether no tag has come yet.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What the publisher says of its stream.
    pub fn metadata(&mut self, metadata: Metadata) {
        self.metadata = Some(metadata);
    }

    /// Takes a tag in that came at `now`, on any clock that only goes forward.
    /// The opening comes once: after it, tags go to the run directly.
    pub fn tag(&mut self, tag: Tag, now: Duration) -> Result<Option<Opening>, SniffError> {
        self.began.get_or_insert(now);
        self.look(&tag)?;
        self.hold(tag);
        self.poll(now)
    }

    /// Notes what a tag tells of its track.
    fn look(&mut self, tag: &Tag) -> Result<(), SniffError> {
        match tag.kind {
            TagKind::Video => {
                if let Some(found) = video::read(&tag.data, self.metadata.as_ref())? {
                    self.video = Some(found);
                }
            }
            TagKind::Audio => {
                if let Some(found) = audio::read(&tag.data)? {
                    self.audio = Some(found);
                }
            }
        }
        match (tag.kind, body(tag)) {
            (TagKind::Audio, Body::KeyFrame) => self.has_sound = true,
            (TagKind::Video, Body::KeyFrame) => {
                self.has_pictures = true;
                self.has_key_frame = true;
            }
            (TagKind::Video, Body::Frame) => self.has_pictures = true,
            _ => {}
        }
        Ok(())
    }

    /// Decides if it is time to. To be called when no tag has come for a
    /// while: every [`PATIENCE`] will do.
    pub fn poll(&mut self, now: Duration) -> Result<Option<Opening>, SniffError> {
        let Some(began) = self.began else {
            return Ok(None);
        };
        let waited = now.saturating_sub(began);
        if self.is_complete() || (self.is_out_of_patience(waited) && self.is_decodable()) {
            return Ok(Some(self.open()));
        }
        let patience = match self.has_video() {
            true => KEY_FRAME_PATIENCE,
            false => GIVE_UP,
        };
        match waited >= patience {
            true => Err(SniffError::Nothing),
            false => Ok(None),
        }
    }

    fn is_out_of_patience(&self, waited: Duration) -> bool {
        let media = Duration::from_millis(u64::from(self.media_ms));
        let patience = match self.awaits_announced() {
            true => PATIENCE_WITH_ANNOUNCED,
            false => PATIENCE,
        };
        waited >= patience || media >= patience || self.held_bytes >= MAX_HELD
    }

    /// Whether a track was announced that has not come.
    fn awaits_announced(&self) -> bool {
        let named = self.metadata.as_ref();
        let video = self.video.is_some() || named.is_some_and(|metadata| metadata.has_video);
        let audio = self.audio.is_some() || named.is_some_and(|metadata| metadata.has_audio);
        !self.midway && ((video && !self.has_video()) || (audio && !self.has_audio()))
    }

    /// Whether all tracks that can be expected are there.
    fn is_complete(&self) -> bool {
        let (video, audio) = match &self.metadata {
            Some(metadata) if metadata.has_video || metadata.has_audio => {
                (metadata.has_video, metadata.has_audio)
            }
            _ => (true, true),
        };
        self.is_decodable() && (self.has_video() || !video) && (self.has_audio() || !audio)
    }

    fn has_video(&self) -> bool {
        self.video.is_some() && self.has_pictures
    }

    fn has_audio(&self) -> bool {
        self.audio.is_some() && self.has_sound
    }

    /// Whether what is there would give a picture or sound.
    fn is_decodable(&self) -> bool {
        match self.has_video() {
            true => self.has_key_frame,
            false => self.has_audio(),
        }
    }

    /// Counts media time by its steps: a sequence header is often stamped 0
    /// where the frames are hours into the stream.
    fn measure(&mut self, timestamp: u32) {
        let step = timestamp.wrapping_sub(*self.furthest.get_or_insert(timestamp)) as i32;
        if !(-MAX_STEP_MS..=0).contains(&step) {
            self.furthest = Some(timestamp);
        }
        if (0..=MAX_STEP_MS).contains(&step) {
            self.media_ms = self.media_ms.saturating_add(step.unsigned_abs());
        }
    }

    fn hold(&mut self, tag: Tag) {
        let kind = body(&tag);
        if matches!(kind, Body::KeyFrame | Body::Frame) {
            self.measure(tag.timestamp);
        }
        let is_lost = tag.kind == TagKind::Video && kind == Body::Frame && !self.has_key_frame;
        if kind == Body::Nothing || is_lost {
            return;
        }
        if kind == Body::Config && !self.supersede(&tag) {
            return;
        }
        // Beyond the bound only sequence headers are of use.
        if self.held_bytes < MAX_HELD || kind == Body::Config {
            self.held_bytes += held_size(&tag);
            self.held.push(tag);
        }
    }

    /// A sequence header counts in its newest form only: before another one,
    /// all of its kind is of another coding. Says whether this one is new.
    fn supersede(&mut self, config: &Tag) -> bool {
        let is_older = |held: &Tag| held.kind == config.kind && body(held) == Body::Config;
        if self
            .held
            .iter()
            .any(|held| is_older(held) && held.data == config.data)
        {
            return false;
        }
        self.held.retain(|held| held.kind != config.kind);
        self.held_bytes = self.held.iter().map(held_size).sum();
        if config.kind == TagKind::Video {
            self.has_key_frame = false;
        }
        true
    }

    fn open(&mut self) -> Opening {
        let mut tags = std::mem::take(&mut self.held);
        let (video, audio) = (self.has_video(), self.has_audio());
        tags.retain(|tag| match tag.kind {
            TagKind::Video => video,
            TagKind::Audio => audio,
        });
        if video {
            let is_key = |tag: &Tag| tag.kind == TagKind::Video && body(tag) == Body::KeyFrame;
            let start = tags.iter().position(is_key).unwrap_or(0);
            let mut index = 0;
            tags.retain(|tag| {
                index += 1;
                index > start || body(tag) == Body::Config
            });
        }
        Opening {
            input: InputInfo {
                video: self.video.clone().filter(|_| video),
                audio: self.audio.clone().filter(|_| audio),
            },
            tags,
        }
    }
}

/// What a held tag takes, bytes.
fn held_size(tag: &Tag) -> usize {
    size_of::<Tag>() + tag.data.len()
}

#[cfg(test)]
pub(crate) mod tests;
