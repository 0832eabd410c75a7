//! What is known of the connection that is on: enough to begin a run at its
//! start, and again in its midst when a run has ended before its time.

use std::time::Duration;

use crate::ingest::flv::tag::{Body, body};
use crate::ingest::sniff::{Opening, SniffError, Sniffer};
use crate::ingest::{Metadata, Tag, TagKind};

/// After what comes in could not be used it is looked at again: publishers
/// change what they send.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A publisher, or an origin, that is on.
#[derive(Debug, Default)]
pub struct Connection {
    metadata: Option<Metadata>,
    /// The newest decoder configurations: publishers send them but once.
    video_config: Option<Tag>,
    audio_config: Option<Tag>,
    /// There until it is clear what comes in.
    sniffer: Option<Sniffer>,
    /// What comes in can't be transcoded: nothing is tried before then, on
    /// the sniffer's clock.
    unusable_until: Duration,
}

impl Connection {
    /// A connection that has just begun.
    pub fn new() -> Self {
        Self {
            sniffer: Some(Sniffer::default()),
            ..Self::default()
        }
    }

    /// Whether its tags still go to the sniffer.
    pub fn is_sniffing(&self) -> bool {
        self.sniffer.is_some()
    }

    /// What the publisher says of its stream.
    pub fn metadata(&mut self, metadata: Metadata) {
        if let Some(sniffer) = &mut self.sniffer {
            sniffer.metadata(metadata.clone());
        }
        self.metadata = Some(metadata);
    }

    /// Notes a tag that goes past: its configuration may be needed again.
    pub fn note(&mut self, tag: &Tag) {
        if body(tag) == Body::Config {
            match tag.kind {
                TagKind::Video => self.video_config = Some(tag.clone()),
                TagKind::Audio => self.audio_config = Some(tag.clone()),
            }
        }
    }

    /// Begins to find out anew what comes in, for the next run.
    pub fn sniff_again(&mut self) {
        let mut sniffer = Sniffer::default();
        if let Some(metadata) = &self.metadata {
            sniffer.metadata(metadata.clone());
        }
        self.sniffer = Some(sniffer);
    }

    /// Leaves off finding out: nothing is to run just now.
    pub fn stop_sniffing(&mut self) {
        self.sniffer = None;
    }

    /// What comes in can't be used just now.
    pub fn give_up(&mut self, now: Duration) {
        self.sniffer = None;
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
        let Some(sniffer) = &mut self.sniffer else {
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
        let Some(sniffer) = &mut self.sniffer else {
            return Ok(None);
        };
        let opening = sniffer.poll(now)?;
        Ok(self.opened(opening))
    }

    /// The configurations seen earlier, to stand before the first tag of a
    /// sniff in the connection's midst, at its time.
    fn configs_before(&mut self, tag: &Tag) -> Vec<Tag> {
        let is_first = self.sniffer.as_ref().is_some_and(Sniffer::is_empty);
        if !is_first {
            return Vec::new();
        }
        // A configuration that comes in stands for itself, not for the other
        // kind's.
        let is_config = body(tag) == Body::Config;
        [&self.video_config, &self.audio_config]
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
            self.sniffer = None;
        }
        opening
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn tag(kind: TagKind, data: &'static [u8]) -> Tag {
        Tag {
            kind,
            timestamp: 7,
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn the_other_kinds_configuration_stands_before_one_that_comes_in() {
        let video = tag(TagKind::Video, &[0x17, 0, 0, 0, 0, 1]);
        let audio = tag(TagKind::Audio, &[0xAF, 0, 0x12, 0x10]);
        let mut connection = Connection::new();
        connection.note(&video);
        connection.note(&audio);
        connection.sniff_again();
        assert_eq!(
            connection.configs_before(&audio),
            std::slice::from_ref(&video)
        );
        assert_eq!(
            connection.configs_before(&video),
            std::slice::from_ref(&audio)
        );
        let frame = tag(TagKind::Video, &[0x27, 1, 0, 0, 0, 1]);
        assert_eq!(connection.configs_before(&frame), [video, audio]);
    }

    #[test]
    fn what_was_given_up_is_looked_at_again() {
        let mut connection = Connection::new();
        let now = Duration::from_secs(30);
        connection.give_up(now);
        assert!(!connection.is_sniffing());
        assert!(connection.is_unusable(now));
        assert!(!connection.is_unusable(now + LOOK_AGAIN));
    }
}
