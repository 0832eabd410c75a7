//! Reads playlists as a player would.

use jiff::{SignedDuration, Timestamp};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// What a manifest says.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// An HLS media playlist.
    Media(MediaPlaylist),
    /// An HLS multivariant playlist: the media playlists it names.
    Multivariant(Vec<String>),
    /// A DASH MPD: the init and media segments it names.
    Mpd(Vec<String>),
}

/// An HLS media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MediaPlaylist {
    /// `EXT-X-TARGETDURATION`, seconds.
    pub target_duration: f64,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// The segments, in their order.
    pub segments: Vec<PlaylistSegment>,
    /// `EXT-X-ENDLIST` is there.
    pub ended: bool,
}

/// A segment of a media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaylistSegment {
    /// Its URI.
    pub uri: String,
    /// The init segment in force.
    pub map: Option<String>,
    /// `EXTINF`, seconds.
    pub duration: f64,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// `EXT-X-GAP`: there is nothing to fetch.
    pub gap: bool,
    /// `EXT-X-PROGRAM-DATE-TIME`, or where the segment before ends.
    pub begins: Option<Timestamp>,
}

impl PlaylistSegment {
    /// When its media end, by the wall clock.
    pub fn ends(&self) -> Option<Timestamp> {
        let duration = SignedDuration::try_from_secs_f64(self.duration).ok()?;
        self.begins?.checked_add(duration).ok()
    }

    /// Whether two versions of a playlist mean the same segment. The init
    /// segment of a gap is that of whatever precedes it, which may have left;
    /// a time that is derived depends on where the window begins.
    pub fn same_as(&self, other: &Self) -> bool {
        let mapless = |segment: &Self| Self {
            map: None,
            begins: None,
            ..segment.clone()
        };
        mapless(self) == mapless(other) && (self.gap || self.map == other.map)
    }
}

impl MediaPlaylist {
    /// The number after the last segment's.
    pub fn next_sequence(&self) -> u64 {
        self.media_sequence + self.segments.len() as u64
    }

    /// Its length in seconds.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// All URIs to be fetched, each with its own length in seconds.
    pub fn named(&self) -> Vec<(String, f64)> {
        let present = self.segments.iter().filter(|segment| !segment.gap);
        present
            .flat_map(|segment| {
                let map = segment.map.clone().map(|map| (map, 0.0));
                map.into_iter()
                    .chain([(segment.uri.clone(), segment.duration)])
            })
            .collect()
    }
}

impl Manifest {
    /// Reads a manifest by its name.
    ///
    /// # Errors
    /// What can't be read, in words.
    pub fn parse(name: &str, body: &str) -> Result<Self, String> {
        if name.ends_with(".mpd") {
            return mpd(body).map(Self::Mpd).map_err(|error| error.to_string());
        }
        if body.lines().next() != Some("#EXTM3U") {
            return Err("no #EXTM3U".to_owned());
        }
        if body.contains("#EXT-X-STREAM-INF") {
            return Ok(Self::Multivariant(multivariant(body)));
        }
        media(body).map(Self::Media)
    }
}

fn multivariant(body: &str) -> Vec<String> {
    let quoted = |line: &str| {
        let (_, rest) = line.split_once("URI=\"")?;
        rest.split_once('"').map(|(uri, _)| uri.to_owned())
    };
    body.lines()
        .filter_map(|line| match line.starts_with('#') {
            true => quoted(line),
            false => Some(line.to_owned()),
        })
        .collect()
}

fn media(body: &str) -> Result<MediaPlaylist, String> {
    let mut playlist = MediaPlaylist::default();
    let mut next = PlaylistSegment::default();
    let mut map = None;
    for line in body.lines() {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let number = || {
            value
                .parse::<u64>()
                .map_err(|error| format!("{line}: {error}"))
        };
        match tag {
            "#EXT-X-TARGETDURATION" => playlist.target_duration = number()? as f64,
            "#EXT-X-MEDIA-SEQUENCE" => playlist.media_sequence = number()?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => playlist.discontinuity_sequence = number()?,
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-GAP" => next.gap = true,
            "#EXT-X-MAP" => map = value.split('"').nth(1).map(str::to_owned),
            "#EXTINF" => {
                let seconds = value.trim_end_matches(',');
                next.duration = seconds
                    .parse()
                    .map_err(|error| format!("{line}: {error}"))?;
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let begins = value.parse().map_err(|error| format!("{line}: {error}"))?;
                next.begins = Some(begins);
            }
            "#EXT-X-ENDLIST" => playlist.ended = true,
            _ if line.starts_with('#') => {}
            _ => {
                next.uri = line.to_owned();
                next.map.clone_from(&map);
                let before = playlist.segments.last();
                next.begins = next
                    .begins
                    .or_else(|| before.and_then(PlaylistSegment::ends));
                playlist.segments.push(std::mem::take(&mut next));
            }
        }
    }
    match playlist.target_duration > 0.0 {
        true => Ok(playlist),
        false => Err("no target duration".to_owned()),
    }
}

fn mpd(body: &str) -> Result<Vec<String>, quick_xml::Error> {
    let attribute = |element: &BytesStart<'_>, key: &str| -> Option<String> {
        let found = element.try_get_attribute(key).ok()??;
        Some(found.value.into_owned())
    };
    let mut uris = Vec::new();
    let (mut id, mut media, mut number) = (String::new(), String::new(), 0u64);
    let mut reader = Reader::from_str(body);
    loop {
        let element = match reader.read_event()? {
            Event::Eof => return Ok(uris),
            Event::Start(element) | Event::Empty(element) => element,
            _ => continue,
        };
        match element.name().as_ref() {
            "Representation" => id = attribute(&element, "id").unwrap_or_default(),
            "SegmentTemplate" => {
                media = attribute(&element, "media").unwrap_or_default();
                let start = attribute(&element, "startNumber");
                number = start.and_then(|start| start.parse().ok()).unwrap_or(1);
                let init = attribute(&element, "initialization").unwrap_or_default();
                uris.push(init.replace("$RepresentationID$", &id));
            }
            "S" => {
                let more = attribute(&element, "r")
                    .and_then(|r| r.parse().ok())
                    .unwrap_or(0u64);
                for _ in 0..=more {
                    let uri = media.replace("$RepresentationID$", &id);
                    uris.push(uri.replace("$Number$", &number.to_string()));
                    number += 1;
                }
            }
            _ => {}
        }
    }
}
