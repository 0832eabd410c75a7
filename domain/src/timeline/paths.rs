//! The names of a channel's objects, relative to `{job}/`.
//!
//! Segments lie under attempt and run, where a late write of a dead attempt
//! harms nobody; playlists keep their names for the life of the job.

use super::run::{Run, RunId};
use super::{Retired, RetiredObject, Timeline};

/// The timeline itself.
pub const TIMELINE: &str = "timeline.json";
/// The HLS multivariant playlist.
pub const MULTIVARIANT: &str = "master.m3u8";
/// The DASH manifest.
pub const MPD: &str = "manifest.mpd";

/// The HLS media playlist of a rendition.
pub fn media_playlist_name(label: &str) -> String {
    format!("{label}.m3u8")
}

impl RunId {
    /// The init segment of a rendition in this run.
    pub fn init_path(self, label: &str) -> String {
        format!("{self}/{label}-init.mp4")
    }

    /// A media segment of a rendition in this run.
    pub fn segment_path(self, label: &str, sequence: u64) -> String {
        format!("{self}/{label}-{sequence}.m4s")
    }
}

impl Run {
    fn paths(&self, object: RetiredObject) -> impl Iterator<Item = String> {
        self.renditions.iter().map(move |rendition| match object {
            RetiredObject::Segment(sequence) => self.id.segment_path(&rendition.label, sequence),
            RetiredObject::Inits => self.id.init_path(&rendition.label),
        })
    }
}

impl Timeline {
    /// The objects that a pending deletion stands for.
    pub fn retired_paths(&self, retired: &Retired) -> Vec<String> {
        self.run(retired.run)
            .map(|run| run.paths(retired.object).collect())
            .unwrap_or_default()
    }
}
