//! What is known of the connection that is on: enough to begin a run at its
//! start, and again in its midst when a run has ended before its time.

use std::time::Duration;

use crate::ingest::flv::tag::{Body, body};
use crate::ingest::sniff::{Opening, SniffError, Sniffer};
use crate::ingest::{Metadata, Tag, TagKind};

/// A publisher, or an origin, that is on.
#[derive(Debug, Default)]
pub struct Connection {
    metadata: Option<Metadata>,
    /// The newest decoder configurations: publishers send them but once.
    video_config: Option<Tag>,
    audio_config: Option<Tag>,
    /// There until it is clear what comes in.
    sniffer: Option<Sniffer>,
    /// What comes in can't be transcoded: nothing is tried until the next one.
    unusable: bool,
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

    /// What comes in can't be used.
    pub fn give_up(&mut self) {
        self.sniffer = None;
        self.unusable = true;
    }

    /// Whether it was given up.
    pub fn is_unusable(&self) -> bool {
        self.unusable
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
        // A new configuration takes the place of the one of its kind only.
        let replaced = (body(tag) == Body::Config).then_some(tag.kind);
        [&self.video_config, &self.audio_config]
            .into_iter()
            .flatten()
            .filter(|config| Some(config.kind) != replaced)
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
mod tests;
