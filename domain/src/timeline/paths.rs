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

/// Labels that no rendition may have: the names of the files above.
pub const RESERVED_LABELS: [&str; 3] = ["master", "manifest", "timeline"];

/// Whether it is one of [`RESERVED_LABELS`]; in any case, as stores and file
/// systems differ in theirs.
pub fn is_reserved(label: &str) -> bool {
    RESERVED_LABELS
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(label))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_s_own_files_are_reserved() {
        let stems = [MULTIVARIANT, MPD, TIMELINE].map(|name| name.split_once('.').unwrap().0);
        assert_eq!(stems, RESERVED_LABELS);
        assert!(is_reserved("Master") && !is_reserved("masters"));
    }
}
