//! Runs: one FFmpeg process each, from start to exit.

use std::fmt;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::paths::is_reserved;
use super::window::micros;
use super::{MediaPlaylist, Timeline};
use crate::plan::{Track, TrackKind};

/// A run's name: unique within a job, and growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u32)", into = "(u64, u32)")]
pub struct RunId {
    /// The attempt it belongs to.
    pub attempt: u64,
    /// Its number within the attempt.
    pub number: u32,
}

impl From<(u64, u32)> for RunId {
    fn from((attempt, number): (u64, u32)) -> Self {
        Self { attempt, number }
    }
}

impl From<RunId> for (u64, u32) {
    fn from(id: RunId) -> Self {
        (id.attempt, id.number)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.attempt, self.number)
    }
}

/// A run that starts: what its segments will be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Its number within the attempt, greater than the last one's.
    pub number: u32,
    /// The wall-clock time of media time 0.
    pub start: Timestamp,
    /// What it carries, in the order of its tracks. The first is the one by
    /// which gaps of the others are measured.
    pub renditions: Vec<Rendition>,
}

/// One rendition as a run encodes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its name in paths and playlists.
    pub label: String,
    /// The codec (RFC 6381).
    pub codec: String,
    /// Ticks per second.
    pub timescale: u32,
    /// Its bit rates.
    pub bandwidth: Bandwidth,
    /// Picture or sound.
    pub media: Media,
}

/// Bit rates in bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// The peak segment bit rate (RFC 8216bis section 4.1): what the encoder
    /// may reach, raised where a segment was measured to exceed it.
    pub peak: u64,
    /// The mean.
    pub average: u64,
}

/// What a rendition carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// A picture.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per second.
        framerate: f64,
    },
    /// Sound.
    Audio {
        /// Hertz.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
}

impl Rendition {
    /// A track of the plan, with what its init segment says of it.
    pub fn new(track: &Track, codec: String, timescale: u32) -> Self {
        let (media, peak, average) = match track.kind {
            TrackKind::Video {
                width,
                height,
                framerate,
                max_bitrate,
                bitrate,
            } => (
                Media::Video {
                    width,
                    height,
                    framerate,
                },
                max_bitrate,
                bitrate,
            ),
            TrackKind::Audio {
                bitrate,
                sample_rate,
                channels,
            } => (
                Media::Audio {
                    sample_rate,
                    channels,
                },
                bitrate,
                bitrate,
            ),
        };
        let bandwidth = Bandwidth {
            peak: u64::from(peak.max(average)),
            average: u64::from(average),
        };
        Self {
            label: track.label.clone(),
            codec,
            timescale,
            bandwidth,
            media,
        }
    }

    /// Whether it carries a picture.
    pub fn is_video(&self) -> bool {
        matches!(self.media, Media::Video { .. })
    }
}

/// A run as the timeline keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub id: RunId,
    /// The wall-clock time of media time 0, in whole milliseconds.
    pub start: Timestamp,
    pub renditions: Vec<Rendition>,
    /// Where each track ends so far, in ticks.
    pub ends: Vec<u64>,
}

/// Why a run can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The playlists end; the channel must be reopened first.
    #[error("the channel has ended")]
    Ended,
    /// The number isn't greater than that of the attempt's last run.
    #[error("run {new} does not follow run {last}")]
    NotNext {
        /// The run refused.
        new: RunId,
        /// The last one there was.
        last: RunId,
    },
    /// No renditions, two of one label, a label that can't be a file's name
    /// or is one of ours, or a rendition without a timescale.
    #[error("these renditions can't be published: {0}")]
    Renditions(&'static str),
    /// The start is out of the calendar.
    #[error("a start time out of range")]
    Start,
}

impl Run {
    pub(super) fn is_sound(&self) -> bool {
        self.ends.len() == self.renditions.len() && check_renditions(&self.renditions).is_ok()
    }

    pub(super) fn position(&self, label: &str) -> Option<usize> {
        self.renditions
            .iter()
            .position(|rendition| rendition.label == label)
    }

    /// The wall-clock time of a media time in µs.
    pub(super) fn at(&self, media_us: u64) -> Timestamp {
        let offset = SignedDuration::from_micros(i64::try_from(media_us).unwrap_or(i64::MAX));
        self.start.saturating_add(offset).unwrap_or(self.start)
    }

    /// Media time, in µs, that every track has reached.
    pub(super) fn shortest_us(&self) -> u64 {
        self.ends_us().min().unwrap_or(0)
    }

    /// Media time, in µs, that the longest track has reached.
    pub(super) fn longest_us(&self) -> u64 {
        self.ends_us().max().unwrap_or(0)
    }

    fn ends_us(&self) -> impl Iterator<Item = u64> {
        self.renditions
            .iter()
            .zip(&self.ends)
            .map(|(track, end)| micros(*end, track.timescale))
    }
}

fn check_renditions(renditions: &[Rendition]) -> Result<(), &'static str> {
    if renditions.is_empty() {
        return Err("there are none");
    }
    for (i, rendition) in renditions.iter().enumerate() {
        let label = rendition.label.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if label.is_empty() || label.starts_with('.') || !label.chars().all(plain) {
            return Err("a label that can't be a file's name");
        }
        if is_reserved(label) {
            return Err("a label that is the name of one of the channel's own files");
        }
        if renditions[..i]
            .iter()
            .any(|other| other.label.eq_ignore_ascii_case(label))
        {
            return Err("two of one label");
        }
        if rendition.timescale == 0 {
            return Err("a timescale of 0");
        }
    }
    Ok(())
}

impl Timeline {
    /// Begins a run: the segments that follow belong to it. Its start is held
    /// back where the last run's media reaches beyond it, so that playlists'
    /// dates and DASH Periods never overlap.
    ///
    /// # Errors
    /// [`RunError`]; nothing has changed then.
    pub fn begin_run(&mut self, new: NewRun, now: Timestamp) -> Result<RunId, RunError> {
        if self.ended {
            return Err(RunError::Ended);
        }
        check_renditions(&new.renditions).map_err(RunError::Renditions)?;
        let id = RunId {
            attempt: self.attempt,
            number: new.number,
        };
        if let Some(last) = self.runs.last().map(|run| run.id)
            && last >= id
        {
            return Err(RunError::NotNext { new: id, last });
        }
        let round = |mode| TimestampRound::new().smallest(Unit::Millisecond).mode(mode);
        let mut start = new
            .start
            .round(round(jiff::RoundMode::Floor))
            .map_err(|_| RunError::Start)?;
        if let Some(last) = self.runs.last() {
            let end = last.at(last.longest_us());
            start = start.max(
                end.round(round(jiff::RoundMode::Ceil))
                    .map_err(|_| RunError::Start)?,
            );
        }

        self.forget_unused_run();
        self.availability_start.get_or_insert(start);
        self.open_playlists(&new.renditions);
        let ends = vec![0; new.renditions.len()];
        self.runs.push(Run {
            id,
            start,
            renditions: new.renditions,
            ends,
        });
        self.open_run = Some(id);
        self.touch(now);
        Ok(id)
    }

    /// A run that never had a segment leaves nothing behind.
    fn forget_unused_run(&mut self) {
        if let Some(last) = self.runs.last()
            && last.longest_us() == 0
        {
            self.runs.pop();
        }
    }

    /// Playlists of this run's renditions are open. Others stay open as long
    /// as the window still has segments; after a reopening they have none and
    /// are retired.
    fn open_playlists(&mut self, renditions: &[Rendition]) {
        if self.window.is_empty() {
            for playlist in &mut self.playlists {
                playlist.retired = true;
            }
        }
        for rendition in renditions {
            match self
                .playlists
                .iter_mut()
                .find(|p| p.label == rendition.label)
            {
                Some(playlist) => playlist.retired = false,
                None => self.playlists.push(MediaPlaylist {
                    label: rendition.label.clone(),
                    retired: false,
                }),
            }
        }
    }
}
