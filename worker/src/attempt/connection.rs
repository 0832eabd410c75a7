//! What is known of the connection that is on: enough to begin a run at its
//! start, and again in its midst when a run has ended before its time.

use std::time::Duration;

use domain::input::InputInfo;

use crate::ingest::flv::tag::{Body, body};
use crate::ingest::sniff::{Opening, SniffError, Sniffer};
use crate::ingest::{Metadata, Tag, TagKind};

/// After what comes in could not be used it is looked at again: publishers
/// change what they send.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A track that is silent for so long while the other goes on has stopped: by
/// the wall clock and by the publisher's.
const SILENT: Duration = Duration::from_secs(3);

/// A publisher, or an origin, that is on.
#[derive(Debug)]
pub struct Connection {
    metadata: Option<Metadata>,
    video: Track,
    audio: Track,
    state: State,
    /// What comes in can't be transcoded: nothing is tried before then, on
    /// the sniffer's clock.
    unusable_until: Duration,
}

/// Where the tags of a connection go.
#[derive(Debug)]
enum State {
    /// Nowhere.
    Held,
    /// To the sniffer, until it is clear what comes in.
    Sniffing(Box<Sniffer>),
    /// To the run.
    Open,
}

/// What was seen of one track.
#[derive(Debug, Default)]
struct Track {
    /// The newest decoder configuration: publishers send them but once.
    config: Option<Tag>,
    /// When the last frame came, and its timestamp.
    last: Option<(Duration, u32)>,
}

/// What comes in is no longer what the run was planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputChange {
    /// A track that the run's input did not have.
    Appeared(TagKind),
    /// A track of the run's input has stopped while the other goes on.
    Stopped(TagKind),
}

impl Connection {
    /// A connection that has just begun.
    pub fn new() -> Self {
        Self {
            metadata: None,
            video: Track::default(),
            audio: Track::default(),
            state: State::Sniffing(Box::default()),
            unusable_until: Duration::ZERO,
        }
    }

    /// Whether its tags still go to the sniffer.
    pub fn is_sniffing(&self) -> bool {
        matches!(self.state, State::Sniffing(_))
    }

    /// Whether it is clear what comes in, and tags are for the run.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// What the publisher says of its stream.
    pub fn metadata(&mut self, metadata: Metadata) {
        if let State::Sniffing(sniffer) = &mut self.state {
            sniffer.metadata(metadata.clone());
        }
        self.metadata = Some(metadata);
    }

    /// Notes a tag that goes past: its configuration may be needed again.
    pub fn note(&mut self, tag: &Tag, now: Duration) {
        let track = match tag.kind {
            TagKind::Video => &mut self.video,
            TagKind::Audio => &mut self.audio,
        };
        match body(tag) {
            Body::Config => track.config = Some(tag.clone()),
            Body::KeyFrame | Body::Frame => track.last = Some((now, tag.timestamp)),
            Body::Nothing => {}
        }
    }

    /// Whether this tag, noted already, shows that what comes in is no longer
    /// what a run on `input` was planned for. Told where another run can
    /// begin: for a picture, at a key frame.
    pub fn change(&self, tag: &Tag, input: &InputInfo, now: Duration) -> Option<InputChange> {
        if body(tag) != Body::KeyFrame {
            return None;
        }
        let (expected, other, other_expected) = match tag.kind {
            TagKind::Video => (input.video.is_some(), &self.audio, input.audio.is_some()),
            TagKind::Audio => (input.audio.is_some(), &self.video, input.video.is_some()),
        };
        if !expected && Sniffer::can_decode(tag, self.track(tag.kind).config.as_ref()) {
            return Some(InputChange::Appeared(tag.kind));
        }
        let (came, timestamp) = other.last?;
        let step = tag.timestamp.wrapping_sub(timestamp) as i32;
        let silent =
            now.saturating_sub(came) > SILENT && i128::from(step) > SILENT.as_millis() as i128;
        (other_expected && silent).then_some(InputChange::Stopped(match tag.kind {
            TagKind::Video => TagKind::Audio,
            TagKind::Audio => TagKind::Video,
        }))
    }

    /// Begins to find out anew what comes in, for the next run.
    pub fn sniff_again(&mut self) {
        let mut sniffer = Sniffer::midway();
        if let Some(metadata) = &self.metadata {
            sniffer.metadata(metadata.clone());
        }
        self.state = State::Sniffing(Box::new(sniffer));
    }

    /// Leaves off finding out: nothing is to run just now.
    pub fn hold(&mut self) {
        self.state = State::Held;
    }

    /// What comes in can't be used just now.
    pub fn give_up(&mut self, now: Duration) {
        self.state = State::Held;
        self.unusable_until = now + LOOK_AGAIN;
    }

    /// Whether it was given up a short while ago.
    pub fn is_unusable(&self, now: Duration) -> bool {
        now < self.unusable_until
    }

    /// Takes a tag into the sniffer; answers once with what it opens.
    ///
    /// # Errors
    /// [`SniffError`]: it can't be transcoded.
    pub fn sniff(&mut self, tag: Tag, now: Duration) -> Result<Option<Opening>, SniffError> {
        let configs = self.configs_before(&tag);
        let State::Sniffing(sniffer) = &mut self.state else {
            return Ok(None);
        };
        for config in configs {
            sniffer.tag(config, now)?;
        }
        let opening = sniffer.tag(tag, now)?;
        Ok(self.opened(opening))
    }

    /// Decides if it is time to, where no tag comes.
    ///
    /// # Errors
    /// [`SniffError`]: it can't be transcoded.
    pub fn poll(&mut self, now: Duration) -> Result<Option<Opening>, SniffError> {
        let State::Sniffing(sniffer) = &mut self.state else {
            return Ok(None);
        };
        let opening = sniffer.poll(now)?;
        Ok(self.opened(opening))
    }

    fn track(&self, kind: TagKind) -> &Track {
        match kind {
            TagKind::Video => &self.video,
            TagKind::Audio => &self.audio,
        }
    }

    /// The configurations seen earlier, to stand before the first tag of a
    /// sniff in the connection's midst, at its time. They are no sign of a
    /// track: the sniffer counts frames.
    fn configs_before(&self, tag: &Tag) -> Vec<Tag> {
        let is_first = matches!(&self.state, State::Sniffing(sniffer) if sniffer.is_empty());
        if !is_first {
            return Vec::new();
        }
        // A configuration that comes in stands for itself, not for the other
        // kind's.
        let is_config = body(tag) == Body::Config;
        [&self.video.config, &self.audio.config]
            .into_iter()
            .flatten()
            .filter(|config| !is_config || config.kind != tag.kind)
            .map(|config| Tag {
                timestamp: tag.timestamp,
                ..config.clone()
            })
            .collect()
    }

    fn opened(&mut self, opening: Option<Opening>) -> Option<Opening> {
        if opening.is_some() {
            self.state = State::Open;
        }
        opening
    }
}

#[cfg(test)]
mod tests;
