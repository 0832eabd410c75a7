//! The HLS playlists (RFC 8216bis).

use std::fmt::{self, Write};

use super::paths::media_playlist_name;
use super::run::{Media, Rendition, Run, RunId};
use super::window::{Segment, micros};
use super::{MediaPlaylist, Timeline};

/// `EXT-X-MAP` in a playlist of whole segments (RFC 8216bis section 8).
const VERSION: u32 = 6;
/// `EXT-X-GAP` came with version 8.
const VERSION_OF_GAPS: u32 = 8;
/// The group of all audio renditions.
const AUDIO_GROUP: &str = "audio";

impl Timeline {
    /// The media playlist of a rendition; `None` where the job never had it.
    ///
    /// All media playlists number the same segments and discontinuities. What
    /// a run does not have of this rendition is a gap (`EXT-X-GAP`).
    pub fn media_playlist(&self, label: &str) -> Option<String> {
        let playlist = self.playlist(label)?;
        let mut text = String::new();
        // Writing into a String never fails.
        let _ = self.write_media_playlist(&mut text, playlist);
        Some(text)
    }

    fn write_media_playlist(&self, out: &mut String, playlist: &MediaPlaylist) -> fmt::Result {
        let label = &playlist.label;
        let gaps = self
            .window
            .iter()
            .any(|segment| self.track(segment, label).is_none());
        let version = if gaps && !playlist.retired {
            VERSION_OF_GAPS
        } else {
            VERSION
        };
        writeln!(out, "#EXTM3U")?;
        writeln!(out, "#EXT-X-VERSION:{version}")?;
        writeln!(out, "# {}", self.stamp())?;
        writeln!(
            out,
            "#EXT-X-TARGETDURATION:{}",
            self.presentation.target_duration
        )?;
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence())?;
        writeln!(
            out,
            "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
            self.discontinuity_sequence
        )?;
        writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        if !playlist.retired {
            let mut map = None;
            for segment in &self.window {
                self.write_segment(out, segment, label, &mut map)?;
            }
        }
        if self.ended || playlist.retired {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }

    /// `map` is the run whose init segment is in force.
    fn write_segment(
        &self,
        out: &mut String,
        segment: &Segment,
        label: &str,
        map: &mut Option<RunId>,
    ) -> fmt::Result {
        let Some(run) = self.run(segment.run) else {
            return Ok(());
        };
        let own = run.position(label);
        if segment.discontinuity {
            writeln!(out, "#EXT-X-DISCONTINUITY")?;
        }
        if own.is_some() && *map != Some(run.id) {
            writeln!(out, "#EXT-X-MAP:URI=\"{}\"", run.id.init_path(label))?;
            *map = Some(run.id);
        }
        let index = own.unwrap_or(0);
        if let (Some(rendition), Some(span)) =
            (run.renditions.get(index), segment.tracks.get(index))
        {
            let start = run.at(micros(span.start, rendition.timescale));
            let duration_us = micros(span.duration, rendition.timescale);
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{start:.3}")?;
            if own.is_none() {
                writeln!(out, "#EXT-X-GAP")?;
            }
            writeln!(
                out,
                "#EXTINF:{}.{:06},",
                duration_us / 1_000_000,
                duration_us % 1_000_000
            )?;
        }
        writeln!(out, "{}", run.id.segment_path(label, segment.sequence))
    }

    fn track<'a>(&'a self, segment: &Segment, label: &str) -> Option<&'a Rendition> {
        self.run(segment.run)?
            .renditions
            .iter()
            .find(|rendition| rendition.label == label)
    }

    /// The multivariant playlist: the renditions of the newest run. `None`
    /// where no run ever began.
    ///
    /// Every picture is a variant with the group of all sounds; without
    /// pictures every sound is a variant.
    pub fn multivariant_playlist(&self) -> Option<String> {
        let mut text = String::new();
        let _ = self.write_multivariant(&mut text, self.newest_run()?);
        Some(text)
    }

    fn write_multivariant(&self, out: &mut String, run: &Run) -> fmt::Result {
        writeln!(out, "#EXTM3U")?;
        writeln!(out, "#EXT-X-VERSION:{VERSION}")?;
        writeln!(out, "# {}", self.stamp())?;
        writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
        let (pictures, sounds): (Vec<_>, Vec<_>) = run
            .renditions
            .iter()
            .partition(|rendition| rendition.is_video());
        if pictures.is_empty() {
            return sounds
                .iter()
                .try_for_each(|sound| write_variant(out, sound, &[]));
        }
        for (i, sound) in sounds.iter().enumerate() {
            write_sound(out, sound, i == 0)?;
        }
        pictures
            .iter()
            .try_for_each(|picture| write_variant(out, picture, &sounds))
    }

    /// The newest run that has a segment, else the newest there is.
    pub(super) fn newest_run(&self) -> Option<&Run> {
        let with_media = self.window.back().and_then(|segment| self.run(segment.run));
        with_media.or(self.runs.last())
    }
}

fn write_sound(out: &mut String, sound: &Rendition, default: bool) -> fmt::Result {
    let yes_no = if default { "YES" } else { "NO" };
    let label = &sound.label;
    write!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"{label}\""
    )?;
    write!(out, ",DEFAULT={yes_no},AUTOSELECT={yes_no}")?;
    if let Media::Audio { channels, .. } = sound.media {
        write!(out, ",CHANNELS=\"{channels}\"")?;
    }
    writeln!(out, ",URI=\"{}\"", media_playlist_name(label))
}

/// Bit rates are those of the rendition with the greatest of its sounds, the
/// codecs those of all of them (RFC 8216bis section 4.4.6.2).
fn write_variant(out: &mut String, rendition: &Rendition, sounds: &[&Rendition]) -> fmt::Result {
    let greatest = |rate: fn(&Rendition) -> u64| {
        rate(rendition) + sounds.iter().map(|sound| rate(sound)).max().unwrap_or(0)
    };
    write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}",
        greatest(|r| r.bandwidth.peak),
        greatest(|r| r.bandwidth.average),
    )?;
    let mut codecs = vec![rendition.codec.as_str()];
    for sound in sounds {
        if !codecs.contains(&sound.codec.as_str()) {
            codecs.push(&sound.codec);
        }
    }
    write!(out, ",CODECS=\"{}\"", codecs.join(","))?;
    if let Media::Video {
        width,
        height,
        framerate,
    } = rendition.media
    {
        write!(
            out,
            ",RESOLUTION={width}x{height},FRAME-RATE={framerate:.3}"
        )?;
    }
    if !sounds.is_empty() {
        write!(out, ",AUDIO=\"{AUDIO_GROUP}\"")?;
    }
    writeln!(out, "\n{}", media_playlist_name(&rendition.label))
}
