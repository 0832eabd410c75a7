//! The DASH manifest (ISO/IEC 23009-1).
//!
//! Every run is a Period that starts at its wall-clock time. All but the last
//! are closed by their duration. A channel that has ended becomes static, with
//! the same Periods at the same times (ISO/IEC 23009-1 section 5.4.1 allows
//! the change): players that follow an explicit timeline take that, and not a
//! mediaPresentationDuration alone, for the end of a live channel.

use std::io;

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::Timeline;
use super::paths::MPD;
use super::run::{Media, Rendition, Run};
use super::window::Segment;

type Xml = Writer<Vec<u8>>;

const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019";
const ROLE: &str = "urn:mpeg:dash:role:2011";
const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
/// Players take the time from the `Date` of whoever serves the manifest:
/// their own clock may be off, and a third party's is none of our business.
const UTC_TIMING: &str = "urn:mpeg:dash:utc:http-head:2014";

/// How far a segment may exceed the target duration, which HLS compares with
/// durations that are rounded; [`Timeline::append`] takes none that is longer.
const LONGEST_OVER_MS: u64 = 500;

impl Timeline {
    /// The MPD. With nothing in the window it holds one Early Available
    /// Period (ISO/IEC 23009-1 section 5.3.2.1): a live channel that has not
    /// begun.
    pub fn mpd(&self) -> String {
        let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing into a Vec never fails, and what is written is UTF-8.
        let _ = self.write_mpd(&mut xml);
        let mut text = String::from_utf8(xml.into_inner()).unwrap_or_default();
        text.push('\n');
        text
    }

    fn write_mpd(&self, xml: &mut Xml) -> io::Result<()> {
        xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        xml.write_event(Event::Comment(BytesText::new(&format!(
            " {} ",
            self.stamp()
        ))))?;
        let periods = self.periods();
        xml.create_element("MPD")
            .with_attributes(
                self.mpd_attributes(&periods)
                    .iter()
                    .map(|(k, v)| (*k, v.as_str())),
            )
            .write_inner_content(|xml| {
                if periods.is_empty() {
                    xml.create_element("Period")
                        .with_attribute(("id", "next"))
                        .write_empty()?;
                }
                for (index, period) in periods.iter().enumerate() {
                    let is_last = index + 1 == periods.len();
                    self.write_period(xml, period, is_last)?;
                }
                if !self.ended {
                    xml.create_element("UTCTiming")
                        .with_attribute(("schemeIdUri", UTC_TIMING))
                        .with_attribute(("value", MPD))
                        .write_empty()?;
                }
                Ok(())
            })?;
        Ok(())
    }

    fn mpd_attributes(&self, periods: &[Period<'_>]) -> Vec<(&'static str, String)> {
        let target_ms = u64::from(self.presentation.target_duration) * 1000;
        let origin = self.availability_start.unwrap_or(self.updated_at);
        let kind = if self.ended { "static" } else { "dynamic" };
        let mut attributes = vec![
            ("xmlns", "urn:mpeg:dash:schema:mpd:2011".to_owned()),
            ("profiles", PROFILES.to_owned()),
            ("type", kind.to_owned()),
            ("availabilityStartTime", format!("{origin:.3}")),
            ("publishTime", format!("{:.3}", self.updated_at)),
            ("minBufferTime", seconds(target_ms)),
            ("maxSegmentDuration", seconds(LONGEST_OVER_MS + target_ms)),
        ];
        if self.ended {
            // What is listed stays, however late one comes.
            let end = periods.last().map_or(0, Period::presentation_end_ms);
            attributes.push(("mediaPresentationDuration", seconds(end)));
        } else {
            let dvr_ms = u64::from(self.presentation.dvr_window) * 1000;
            attributes.push(("suggestedPresentationDelay", seconds(3 * target_ms)));
            attributes.push(("minimumUpdatePeriod", seconds(target_ms / 2)));
            attributes.push(("timeShiftBufferDepth", seconds(dvr_ms.max(3 * target_ms))));
        }
        attributes
    }

    /// The runs that have segments in the window.
    fn periods(&self) -> Vec<Period<'_>> {
        let origin = self.availability_start.unwrap_or(self.updated_at);
        let mut periods: Vec<Period<'_>> = Vec::new();
        for segment in &self.window {
            match periods.last_mut() {
                Some(period) if period.run.id == segment.run => period.segments.push(segment),
                _ => {
                    let Some(run) = self.run(segment.run) else {
                        continue;
                    };
                    periods.push(Period {
                        run,
                        start_ms: since(origin, run.start),
                        segments: vec![segment],
                    });
                }
            }
        }
        periods
    }

    /// The same in every Period, whatever else a run has or lacks.
    fn set_id(&self, set: &[Indexed<'_>]) -> usize {
        let first = set.first().map(|(_, rendition)| rendition.label.as_str());
        self.labels()
            .position(|label| Some(label) == first)
            .unwrap_or_default()
    }

    fn write_period(&self, xml: &mut Xml, period: &Period<'_>, is_last: bool) -> io::Result<()> {
        let run = period.run;
        let id = format!("{}-{}", run.id.attempt, run.id.number);
        let mut element = xml
            .create_element("Period")
            .with_attribute(("id", id.as_str()))
            .with_attribute(("start", seconds(period.start_ms).as_str()));
        // The last one of a channel that has ended ends with the presentation.
        // With a duration there too, dash.js takes the sum of all for that of
        // the presentation, although there was nothing between the runs.
        if !is_last {
            element = element.with_attribute(("duration", seconds(period.duration_ms()).as_str()));
        }
        element.write_inner_content(|xml| {
            let sets = adaptation_sets(&run.renditions);
            let mut sounds = 0;
            for set in &sets {
                let is_main = set.iter().any(|(_, r)| r.is_video()) || sounds == 0;
                sounds += usize::from(set.iter().any(|(_, r)| !r.is_video()));
                write_adaptation_set(xml, period, self.set_id(set), set, is_main)?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

struct Period<'a> {
    run: &'a Run,
    /// Since availabilityStartTime.
    start_ms: u64,
    segments: Vec<&'a Segment>,
}

impl Period<'_> {
    /// To where all tracks reach, so that a player finds each complete.
    fn duration_ms(&self) -> u64 {
        self.run.shortest_us() / 1000
    }

    /// Where the presentation ends that ends with this Period: at the first
    /// whole millisecond that is later, by one at least, than the end of its
    /// longest track. Browsers play to there, whatever the manifest says, and
    /// dash.js stops a player that is seen at the manifest's end before the
    /// browser has said that it is through: it goes back by half a second,
    /// pauses, and no `ended` ever comes.
    fn presentation_end_ms(&self) -> u64 {
        self.start_ms + self.run.longest_us().div_ceil(1000) + 1
    }
}

/// A rendition and its place among the tracks of its run.
type Indexed<'a> = (usize, &'a Rendition);

/// The pictures of one codec can be switched between: one set. Every sound is
/// one by itself: a choice of the listener's.
fn adaptation_sets(renditions: &[Rendition]) -> Vec<Vec<Indexed<'_>>> {
    let family = |r: &Rendition| r.codec.split('.').next().unwrap_or_default().to_owned();
    let mut sets: Vec<Vec<Indexed<'_>>> = Vec::new();
    for (index, rendition) in renditions.iter().enumerate() {
        let same = sets.iter_mut().find(|set| {
            rendition.is_video()
                && set
                    .iter()
                    .all(|(_, r)| r.is_video() && family(r) == family(rendition))
        });
        match same {
            Some(set) => set.push((index, rendition)),
            None => sets.push(vec![(index, rendition)]),
        }
    }
    sets
}

fn write_adaptation_set(
    xml: &mut Xml,
    period: &Period<'_>,
    id: usize,
    set: &[Indexed<'_>],
    is_main: bool,
) -> io::Result<()> {
    let kind = if set.iter().all(|(_, r)| r.is_video()) {
        "video"
    } else {
        "audio"
    };
    xml.create_element("AdaptationSet")
        .with_attribute(("id", id.to_string().as_str()))
        .with_attribute(("contentType", kind))
        .with_attribute(("mimeType", format!("{kind}/mp4").as_str()))
        .with_attribute(("segmentAlignment", "true"))
        .with_attribute(("startWithSAP", "1"))
        .write_inner_content(|xml| {
            let role = if is_main { "main" } else { "alternate" };
            xml.create_element("Role")
                .with_attribute(("schemeIdUri", ROLE))
                .with_attribute(("value", role))
                .write_empty()?;
            for (index, rendition) in set {
                write_representation(xml, period, *index, rendition)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn write_representation(
    xml: &mut Xml,
    period: &Period<'_>,
    index: usize,
    rendition: &Rendition,
) -> io::Result<()> {
    let element = xml
        .create_element("Representation")
        .with_attribute(("id", rendition.label.as_str()))
        .with_attribute(("codecs", rendition.codec.as_str()))
        .with_attribute(("bandwidth", rendition.bandwidth.peak.to_string().as_str()));
    let element = match rendition.media {
        Media::Video {
            width,
            height,
            framerate,
        } => element
            .with_attribute(("width", width.to_string().as_str()))
            .with_attribute(("height", height.to_string().as_str()))
            .with_attribute(("frameRate", frame_rate(framerate).as_str())),
        Media::Audio { sample_rate, .. } => {
            element.with_attribute(("audioSamplingRate", sample_rate.to_string().as_str()))
        }
    };
    element.write_inner_content(|xml| {
        if let Media::Audio { channels, .. } = rendition.media {
            xml.create_element("AudioChannelConfiguration")
                .with_attribute(("schemeIdUri", CHANNELS))
                .with_attribute(("value", channels.to_string().as_str()))
                .write_empty()?;
        }
        write_template(xml, period, index, rendition)
    })?;
    Ok(())
}

fn write_template(
    xml: &mut Xml,
    period: &Period<'_>,
    index: usize,
    rendition: &Rendition,
) -> io::Result<()> {
    let first = period
        .segments
        .first()
        .map_or(0, |segment| segment.sequence);
    let run = period.run.id;
    xml.create_element("SegmentTemplate")
        .with_attribute(("timescale", rendition.timescale.to_string().as_str()))
        .with_attribute((
            "initialization",
            run.init_path("$RepresentationID$").as_str(),
        ))
        .with_attribute((
            "media",
            format!("{run}/$RepresentationID$-$Number$.m4s").as_str(),
        ))
        .with_attribute(("startNumber", first.to_string().as_str()))
        .write_inner_content(|xml| {
            xml.create_element("SegmentTimeline")
                .write_inner_content(|xml| {
                    for entry in entries(&period.segments, index) {
                        entry.write(xml)?;
                    }
                    Ok(())
                })?;
            Ok(())
        })?;
    Ok(())
}

/// An `S` element: equal segments that follow one another.
struct Entry {
    start: u64,
    duration: u64,
    more: u64,
}

impl Entry {
    fn end(&self) -> u64 {
        self.start
            .saturating_add(self.duration.saturating_mul(self.more + 1))
    }

    fn write(&self, xml: &mut Xml) -> io::Result<()> {
        let mut element = xml
            .create_element("S")
            .with_attribute(("t", self.start.to_string().as_str()))
            .with_attribute(("d", self.duration.to_string().as_str()));
        if self.more > 0 {
            element = element.with_attribute(("r", self.more.to_string().as_str()));
        }
        element.write_empty().map(drop)
    }
}

fn entries(segments: &[&Segment], track: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for span in segments
        .iter()
        .filter_map(|segment| segment.tracks.get(track))
    {
        match entries.last_mut() {
            Some(last) if last.end() == span.start && last.duration == span.duration => {
                last.more += 1;
            }
            _ => entries.push(Entry {
                start: span.start,
                duration: span.duration,
                more: 0,
            }),
        }
    }
    entries
}

/// An xs:duration of milliseconds.
fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("PT{}S", ms / 1000)
    } else {
        format!("PT{}.{:03}S", ms / 1000, ms % 1000)
    }
}

fn since(origin: Timestamp, time: Timestamp) -> u64 {
    u64::try_from(time.duration_since(origin).as_millis()).unwrap_or(0)
}

/// `25`, `30000/1001` (ISO/IEC 23009-1 FrameRateType: a ratio of integers).
fn frame_rate(fps: f64) -> String {
    let near = |x: f64| (x - x.round()).abs() < 0.002 * x.max(1.0) / 60.0;
    if near(fps) {
        format!("{fps:.0}")
    } else if near(fps * 1.001) {
        format!("{:.0}/1001", (fps * 1.001).round() * 1000.0)
    } else {
        format!("{:.0}/1000", fps * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_ratios_of_integers() {
        for (fps, text) in [
            (25.0, "25"),
            (60.0, "60"),
            (29.97, "30000/1001"),
            (30000.0 / 1001.0, "30000/1001"),
            (23.976, "24000/1001"),
            (59.94, "60000/1001"),
            (12.5, "12500/1000"),
        ] {
            assert_eq!(frame_rate(fps), text, "{fps}");
        }
    }

    #[test]
    fn durations_are_in_milliseconds_at_most() {
        assert_eq!(seconds(4000), "PT4S");
        assert_eq!(seconds(12_040), "PT12.040S");
    }
}
