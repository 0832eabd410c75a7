//! Random histories of a channel, judged by what its playlists say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::testing::*;
use super::*;

#[derive(Debug, Clone)]
enum Op {
    Wait(u8),
    BeginRun { sound_only: bool, starts_early: u8 },
    Append { skip: u8, deciseconds: u8 },
    Write,
    Delete,
    Claim { ahead: i8 },
    End,
    Open { target: u32, dvr: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..60u8).prop_map(Op::Wait),
        2 => (any::<bool>(), 0..30u8).prop_map(|(sound_only, starts_early)| Op::BeginRun { sound_only, starts_early }),
        12 => (prop_oneof![9 => Just(0u8), 1 => 1..4u8], prop_oneof![6 => Just(40u8), 1 => 1..70u8])
            .prop_map(|(skip, deciseconds)| Op::Append { skip, deciseconds }),
        8 => Just(Op::Write),
        2 => Just(Op::Delete),
        1 => (-1..3i8).prop_map(|ahead| Op::Claim { ahead }),
        1 => Just(Op::End),
        1 => (4..6u32, prop_oneof![Just(0u32), Just(12), Just(40)]).prop_map(|(target, dvr)| Op::Open { target, dvr }),
    ]
}

/// A channel and what a store full of its playlists would have shown.
struct World {
    timeline: Timeline,
    now: Timestamp,
    run: Option<(RunId, Vec<Rendition>)>,
    next_run: u32,
    /// Media time in deciseconds.
    media: u64,
    last: View,
    /// Of every object that a written playlist named: its own length, the
    /// longest playlist, and since when none names it.
    named: BTreeMap<String, Named>,
}

#[derive(Clone)]
struct Named {
    own_us: u64,
    longest_us: u64,
    left: Option<Timestamp>,
}

/// What all open media playlists say alike.
#[derive(Debug, Default, Clone, PartialEq)]
struct View {
    media_sequence: u64,
    discontinuity_sequence: u64,
    discontinuities: Vec<bool>,
    ended: bool,
}

/// One media playlist, read.
#[derive(Debug, Default)]
struct Parsed {
    view: View,
    target: f64,
    segments: Vec<(String, f64)>,
    maps: BTreeSet<String>,
    total: f64,
}

fn parse(playlist: &str) -> Parsed {
    let mut out = Parsed::default();
    let (mut discontinuity, mut gap, mut duration) = (false, false, 0.0);
    for line in playlist.lines() {
        let value = line.split_once(':').map_or("", |(_, value)| value);
        if line.starts_with("#EXT-X-TARGETDURATION") {
            out.target = value.parse().unwrap();
        } else if line.starts_with("#EXT-X-MEDIA-SEQUENCE") {
            out.view.media_sequence = value.parse().unwrap();
        } else if line.starts_with("#EXT-X-DISCONTINUITY-SEQUENCE") {
            out.view.discontinuity_sequence = value.parse().unwrap();
        } else if line == "#EXT-X-DISCONTINUITY" {
            discontinuity = true;
        } else if line == "#EXT-X-GAP" {
            gap = true;
        } else if line.starts_with("#EXT-X-MAP") {
            out.maps.insert(
                value
                    .trim_start_matches("URI=\"")
                    .trim_end_matches('"')
                    .to_owned(),
            );
        } else if line.starts_with("#EXTINF") {
            duration = value.trim_end_matches(',').parse().unwrap();
        } else if line == "#EXT-X-ENDLIST" {
            out.view.ended = true;
        } else if !line.starts_with('#') {
            out.view
                .discontinuities
                .push(std::mem::take(&mut discontinuity));
            out.total += duration;
            if !std::mem::take(&mut gap) {
                out.segments.push((line.to_owned(), duration));
            }
        }
    }
    out
}

/// What an MPD says, in seconds since availabilityStartTime.
#[derive(Debug, Default)]
struct ParsedMpd {
    uris: BTreeSet<String>,
    /// `mediaPresentationDuration`.
    end: Option<f64>,
    /// `maxSegmentDuration`.
    longest: f64,
    periods: Vec<ParsedPeriod>,
}

#[derive(Debug, Default)]
struct ParsedPeriod {
    start: f64,
    /// Only where it has a duration.
    end: Option<f64>,
    /// Where the media of each Representation ends.
    media_ends: Vec<f64>,
}

fn parse_mpd(mpd: &str) -> ParsedMpd {
    let attribute = |e: &BytesStart<'_>, key: &str| {
        let found = e.try_get_attribute(key).unwrap()?;
        Some(found.value.into_owned())
    };
    let seconds = |text: String| -> f64 {
        text.trim_start_matches("PT")
            .trim_end_matches('S')
            .parse()
            .unwrap()
    };
    let mut out = ParsedMpd::default();
    let (mut id, mut media, mut number, mut scale) = (String::new(), String::new(), 0u64, 1.0);
    let mut reader = Reader::from_str(mpd);
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return out,
            Event::Start(e) | Event::Empty(e) => match e.name().as_ref() {
                "MPD" => {
                    out.end = attribute(&e, "mediaPresentationDuration").map(seconds);
                    out.longest = attribute(&e, "maxSegmentDuration").map(seconds).unwrap();
                }
                "Period" => {
                    if let Some(start) = attribute(&e, "start") {
                        let start = seconds(start);
                        out.periods.push(ParsedPeriod {
                            start,
                            end: attribute(&e, "duration").map(|d| start + seconds(d)),
                            media_ends: Vec::new(),
                        });
                    }
                }
                "Representation" => {
                    id = attribute(&e, "id").unwrap();
                    out.periods.last_mut().unwrap().media_ends.push(0.0);
                }
                "SegmentTemplate" => {
                    media = attribute(&e, "media").unwrap();
                    scale = attribute(&e, "timescale").unwrap().parse().unwrap();
                    number = attribute(&e, "startNumber").unwrap().parse().unwrap();
                    let init = attribute(&e, "initialization").unwrap();
                    out.uris.insert(init.replace("$RepresentationID$", &id));
                }
                "S" => {
                    let more: u64 = attribute(&e, "r").map_or(0, |r| r.parse().unwrap());
                    for _ in 0..=more {
                        let uri = media.replace("$RepresentationID$", &id);
                        out.uris
                            .insert(uri.replace("$Number$", &number.to_string()));
                        number += 1;
                    }
                    let ticks = |key| attribute(&e, key).unwrap().parse::<u64>().unwrap();
                    assert!(ticks("d") as f64 / scale <= out.longest, "{mpd}");
                    let end = (ticks("t") + ticks("d") * (more + 1)) as f64 / scale;
                    let period = out.periods.last_mut().unwrap();
                    *period.media_ends.last_mut().unwrap() = period.start + end;
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// The objects of the segments in the window.
fn named(timeline: &Timeline) -> BTreeSet<String> {
    let objects = timeline.window.iter().flat_map(|segment| {
        let of = |object| Retired {
            run: segment.run,
            object,
            keep_us: 0,
            left: None,
        };
        [
            of(RetiredObject::Inits),
            of(RetiredObject::Segment(segment.sequence)),
        ]
    });
    objects
        .flat_map(|object| timeline.retired_paths(&object))
        .collect()
}

impl World {
    fn new() -> Self {
        Self {
            timeline: fresh(),
            now: at(0),
            run: None,
            next_run: 1,
            media: 0,
            last: View::default(),
            named: BTreeMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Wait(seconds) => self.now += SignedDuration::from_secs(i64::from(seconds)),
            Op::BeginRun {
                sound_only,
                starts_early,
            } => {
                let renditions = if sound_only {
                    vec![sound("audio")]
                } else {
                    ladder()
                };
                let start = self.now - SignedDuration::from_secs(i64::from(starts_early));
                let new = NewRun {
                    number: self.next_run,
                    start,
                    renditions: renditions.clone(),
                };
                self.next_run += 1;
                match self.timeline.begin_run(new, self.now) {
                    Ok(id) => (self.run, self.media) = (Some((id, renditions)), 0),
                    Err(error) => assert!(self.timeline.ended(), "{error}"),
                }
            }
            Op::Append { skip, deciseconds } => self.append(skip, deciseconds),
            Op::Write => self.write(),
            Op::Delete => self.delete(),
            Op::Claim { ahead } => {
                let held = self.timeline.stamp().attempt;
                let attempt = held.saturating_add_signed(i64::from(ahead));
                match self.timeline.claim(attempt, self.now) {
                    Ok(()) => assert!(attempt >= held),
                    Err(ClaimError::Fenced { holder }) => {
                        assert!(holder == held && attempt < held);
                    }
                    Err(ClaimError::Deleted) => unreachable!("nobody deletes"),
                }
            }
            Op::End => self.timeline.end(self.now),
            Op::Open { target, dvr } => {
                let presentation = Presentation {
                    target_duration: target,
                    dvr_window: dvr,
                };
                self.timeline.open(presentation, self.now);
            }
        }
    }

    fn append(&mut self, skip: u8, deciseconds: u8) {
        let Some((id, renditions)) = self.run.clone() else {
            return;
        };
        let span = |rendition: &Rendition| {
            // Sounds end up to a frame later than pictures.
            let frame = if rendition.is_video() { 1 } else { 1024 };
            let ticks =
                |at: u64| (at * u64::from(rendition.timescale) / 10).next_multiple_of(frame);
            let start = self.media + 40 * u64::from(skip);
            let end = start + u64::from(deciseconds);
            Span {
                start: ticks(start),
                duration: ticks(end) - ticks(start),
                bytes: 1000,
            }
        };
        let spans = renditions.iter().map(span).collect();
        let before = self.timeline.clone();
        let target = self.timeline.presentation.target_duration;
        match self.timeline.append(id, spans, self.now) {
            Ok(sequence) => {
                assert_eq!(sequence, before.next_sequence());
                let first = before.window.back().is_none_or(|last| last.run != id);
                let tag = self.timeline.window.back().unwrap().discontinuity;
                assert_eq!(tag, sequence > 0 && (first || skip > 0));
                self.media += 40 * u64::from(skip) + u64::from(deciseconds);
            }
            Err(error) => {
                assert_eq!(self.timeline, before, "a refusal changes nothing");
                let too_long = f64::from(deciseconds) / 10.0 >= f64::from(target) + 0.5;
                assert!(
                    too_long || matches!(error, AppendError::Ended | AppendError::NoRun),
                    "{error}"
                );
            }
        }
    }

    /// All playlists reach the store.
    fn write(&mut self) {
        self.timeline.playlists_written(self.now);
        let mut present = BTreeSet::new();
        for label in self.timeline.labels() {
            let playlist = parse(&self.timeline.media_playlist(label).unwrap());
            let total_us = (playlist.total * 1e6) as u64;
            let inits = playlist.maps.into_iter().map(|uri| (uri, 0.0));
            for (uri, duration) in playlist.segments.into_iter().chain(inits) {
                let named = self.named.entry(uri.clone()).or_insert(Named {
                    own_us: (duration * 1e6) as u64,
                    longest_us: 0,
                    left: None,
                });
                named.longest_us = named.longest_us.max(total_us);
                present.insert(uri);
            }
        }
        for (uri, named) in &mut self.named {
            if !present.contains(uri) {
                named.left.get_or_insert(self.now);
            }
        }
    }

    fn delete(&mut self) {
        let due = self.timeline.due(self.now);
        for uri in due
            .iter()
            .flat_map(|gone| self.timeline.retired_paths(gone))
        {
            let Some(named) = self.named.get(&uri) else {
                continue;
            };
            let left = named.left.expect("deleted while a playlist names it");
            let kept_us = self.now.duration_since(left).as_micros();
            let must = i128::from(named.own_us + named.longest_us);
            assert!(kept_us >= must, "{uri} went after {kept_us} of {must} µs");
        }
        self.timeline.deleted(&due, self.now);
        for gone in &due {
            assert!(!self.timeline.due(at(1_000_000_000)).contains(gone));
        }
    }

    fn check(&mut self, op: &Op) {
        let json = self.timeline.to_json().unwrap();
        assert_eq!(
            Timeline::from_json(&json).unwrap(),
            self.timeline,
            "serde round trip"
        );

        let named = named(&self.timeline);
        for uri in self
            .timeline
            .retired
            .iter()
            .flat_map(|gone| self.timeline.retired_paths(gone))
        {
            assert!(!named.contains(&uri), "{uri} is named and to be deleted");
        }
        let mpd = parse_mpd(&self.timeline.mpd());
        let mut in_hls = BTreeSet::new();
        let mut view: Option<View> = None;
        for playlist in self
            .timeline
            .playlists
            .iter()
            .filter(|playlist| !playlist.retired)
        {
            let parsed = parse(&self.timeline.media_playlist(&playlist.label).unwrap());
            for (uri, duration) in &parsed.segments {
                assert!(duration.round() <= parsed.target, "{uri}: {duration}");
            }
            in_hls.extend(parsed.maps);
            in_hls.extend(parsed.segments.into_iter().map(|(uri, _)| uri));
            let view = view.get_or_insert_with(|| parsed.view.clone());
            assert_eq!(*view, parsed.view, "all renditions number alike");
        }
        assert_eq!(in_hls, named, "HLS names what the timeline says");
        assert_eq!(mpd.uris, named, "DASH names the same");
        self.check_periods(&mpd);
        if let Some(view) = view {
            self.check_numbers(&view, matches!(op, Op::Open { .. }));
            self.last = view;
        }
    }

    fn check_periods(&self, mpd: &ParsedMpd) {
        for pair in mpd.periods.windows(2) {
            let end = pair[0].end.expect("only the last Period is open");
            assert!(end <= pair[1].start + 1e-6, "Periods overlap: {mpd:?}");
            let filled = pair[0].media_ends.iter().all(|media| end <= media + 1e-6);
            assert!(filled, "a Period without media at its end: {mpd:?}");
        }
        assert_eq!(mpd.end.is_some(), self.timeline.ended());
        if let (Some(end), Some(last)) = (mpd.end, mpd.periods.last()) {
            assert_eq!(last.end, None, "the presentation's end is its end");
            let longest = last.media_ends.iter().copied().fold(0.0, f64::max);
            let beyond = end - longest;
            assert!((0.001 - 1e-6..0.0025).contains(&beyond), "{mpd:?}");
        }
    }

    fn check_numbers(&self, new: &View, reopened: bool) {
        let old = &self.last;
        assert_eq!(
            new.media_sequence + new.discontinuities.len() as u64,
            self.timeline.next_sequence(),
            "numbers without a gap"
        );
        let removed = new
            .media_sequence
            .checked_sub(old.media_sequence)
            .expect("goes up") as usize;
        let removed = removed.min(old.discontinuities.len());
        let gone = old.discontinuities[..removed]
            .iter()
            .filter(|tag| **tag)
            .count() as u64;
        assert_eq!(
            new.discontinuity_sequence,
            old.discontinuity_sequence + gone
        );
        let kept = &old.discontinuities[removed..];
        assert_eq!(
            &new.discontinuities[..kept.len()],
            kept,
            "what stays is as it was"
        );
        if removed > 0 && !reopened {
            let left: u64 = self
                .timeline
                .window
                .iter()
                .map(|segment| {
                    let spans = segment.tracks.iter();
                    let run = self.timeline.run(segment.run).unwrap();
                    let us = spans
                        .zip(&run.renditions)
                        .map(|(s, r)| window::micros(s.duration, r.timescale));
                    us.min().unwrap()
                })
                .sum();
            let target_us = u64::from(self.timeline.presentation.target_duration) * 1_000_000;
            assert!(left >= 3 * target_us, "only {left} µs left");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn playlists_keep_every_rule_through_any_history(ops in prop::collection::vec(op(), 1..90)) {
        let mut world = World::new();
        for op in &ops {
            let revision = world.timeline.revision;
            world.apply(op);
            prop_assert!(world.timeline.revision >= revision);
            world.check(op);
        }
    }
}
