use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const VIDEO: u32 = 12_800;
const AUDIO: u32 = 48_000;
const AAC_FRAME: u64 = 1024;

fn track(media: Media) -> TrackInit {
    let timescale = if media == Media::Video { VIDEO } else { AUDIO };
    TrackInit {
        media,
        codec: String::new(),
        timescale,
        data: Bytes::new(),
    }
}

/// Two pictures and a sound.
fn ladder() -> Vec<TrackInit> {
    vec![
        track(Media::Video),
        track(Media::Video),
        track(Media::Audio),
    ]
}

fn cadence(segment: f64, gop: f64, parts: bool) -> Cadence {
    Cadence {
        segment: Duration::from_secs_f64(segment),
        gop: Duration::from_secs_f64(gop),
        parts,
    }
}

/// A fragment of 40 ms frames; its data tells track and start.
fn fragment(track: usize, timescale: u32, from: f64, to: f64, sync: bool) -> Fragment {
    let ticks = |seconds: f64| (seconds * f64::from(timescale)).round() as u64;
    Fragment {
        track,
        start: ticks(from),
        duration: ticks(to) - ticks(from),
        samples: ((to - from) / 0.04).round().max(1.0) as u32,
        starts_with_sync: sync,
        data: Bytes::from(format!("[{track} {from:.2}-{to:.2}]")),
    }
}

/// One round of the ladder, the audio in whole AAC frames up to `to`.
fn round(from: f64, to: f64, sync: bool) -> Vec<Fragment> {
    let aac = |seconds: f64| {
        let frame = AAC_FRAME as f64 / f64::from(AUDIO);
        (seconds / frame).floor() * frame
    };
    vec![
        fragment(0, VIDEO, from, to, sync),
        fragment(1, VIDEO, from, to, sync),
        fragment(2, AUDIO, aac(from), aac(to), true),
    ]
}

/// All segments of a stream, with the index of the fragment that completed
/// each; the last one may come from the end of the run.
fn segments(
    cadence: Cadence,
    tracks: &[TrackInit],
    fragments: impl IntoIterator<Item = Fragment>,
) -> Result<Vec<(usize, CutSegment)>, SegmentError> {
    let mut segmenter = Segmenter::new(cadence, tracks);
    let mut cut = Vec::new();
    let mut count = 0;
    for fragment in fragments {
        cut.extend(
            segmenter
                .push(fragment)?
                .into_iter()
                .map(|segment| (count, segment)),
        );
        count += 1;
    }
    cut.extend(segmenter.finish()?.map(|segment| (count, segment)));
    Ok(cut)
}

fn lengths(segments: &[(usize, CutSegment)]) -> Vec<f64> {
    let lead = |cut: &CutSegment| cut.tracks[0].duration as f64 / f64::from(VIDEO);
    segments
        .iter()
        .map(|(_, cut)| (lead(cut) * 1000.0).round() / 1000.0)
        .collect()
}

#[test]
fn a_segment_leaves_with_the_last_fragment_of_its_last_round() {
    let rounds = (0..4).flat_map(|i| round(2.0 * f64::from(i), 2.0 * f64::from(i + 1), true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), rounds).unwrap();
    assert_eq!(lengths(&cut), [4.0, 4.0]);
    assert_eq!(
        (cut[0].0, cut[1].0),
        (5, 11),
        "no waiting for the next key frame"
    );
    let data: Vec<_> = cut[1]
        .1
        .tracks
        .iter()
        .map(|t| std::str::from_utf8(&t.data).unwrap())
        .collect();
    assert_eq!(
        data,
        [
            "[0 4.00-6.00][0 6.00-8.00]",
            "[1 4.00-6.00][1 6.00-8.00]",
            "[2 3.99-5.99][2 5.99-8.00]"
        ]
    );
}

#[test]
fn a_first_time_other_than_zero_is_the_origin_of_the_cuts() {
    let rounds =
        (0..4).flat_map(|i| round(9.5 + 2.0 * f64::from(i), 11.5 + 2.0 * f64::from(i), true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), rounds).unwrap();
    assert_eq!(lengths(&cut), [4.0, 4.0]);
    assert_eq!(cut[0].1.tracks[0].start, (9.5 * f64::from(VIDEO)) as u64);
}

#[test]
fn a_short_first_gop_does_not_delay_later_cuts() {
    let ends = [0.0, 1.5, 3.5, 5.5, 7.5];
    let rounds = ends.windows(2).flat_map(|w| round(w[0], w[1], true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), rounds).unwrap();
    assert_eq!(lengths(&cut), [3.5, 4.0]);
    assert_eq!((cut[0].0, cut[1].0), (5, 11));
}

#[test]
fn frame_rates_that_do_not_divide_a_second_do_not_drift() {
    // Key frames at the first frame at or after every second second.
    let frame = 1.001 / 30.0;
    let key = |n: u32| (2.0 * f64::from(n) / frame).ceil() * frame;
    let rounds = (0..2000).flat_map(|n| round(key(n), key(n + 1), true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), rounds).unwrap();
    assert_eq!(cut.len(), 1000);
    for (n, (_, segment)) in cut.iter().enumerate() {
        let start = segment.tracks[0].start as f64 / f64::from(VIDEO);
        assert!(
            (start - 4.0 * n as f64).abs() < 0.04,
            "segment {n} starts at {start}"
        );
    }
}

#[test]
fn parts_are_collected_up_to_the_end_of_the_gop() {
    let rounds = (0..20).flat_map(|i| {
        let from = 0.4 * f64::from(i);
        round(from, from + 0.4, i % 5 == 0)
    });
    let cut = segments(cadence(4.0, 2.0, true), &ladder(), rounds).unwrap();
    assert_eq!(lengths(&cut), [4.0, 4.0]);
    assert_eq!(cut[0].0, 29);
}

#[test]
fn late_key_frames_cut_early_rather_than_break_the_target() {
    let ends = [0.0, 2.0, 6.4, 8.0];
    let rounds = ends.windows(2).flat_map(|w| round(w[0], w[1], true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), rounds).unwrap();
    assert_eq!(lengths(&cut), [2.0, 4.4, 1.6]);
    let endless = segments(cadence(4.0, 2.0, false), &ladder(), round(0.0, 4.5, true));
    assert!(
        matches!(endless, Err(SegmentError::TooLong { target: 4, .. })),
        "{endless:?}"
    );
}

#[test]
fn a_round_without_audio_waits_for_the_next() {
    let mut fragments = round(0.0, 2.0, true);
    fragments.extend(round(2.0, 4.0, true).into_iter().take(2));
    fragments.extend(round(4.0, 6.0, true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), fragments).unwrap();
    assert_eq!(lengths(&cut), [4.0, 2.0]);
    assert_eq!(cut[0].0, 5, "cut by the key frame that follows");
    assert_eq!(cut[0].1.tracks[2].data, "[2 0.00-1.98]");
}

#[test]
fn a_silent_track_ends_the_run() {
    let videos = (0..3).flat_map(|i| {
        round(2.0 * f64::from(i), 2.0 * f64::from(i + 1), true)
            .into_iter()
            .take(2)
    });
    let result = segments(cadence(4.0, 2.0, false), &ladder(), videos);
    assert_eq!(result, Err(SegmentError::Starved { track: 2 }));

    let sound =
        (0..6).map(|i| fragment(2, AUDIO, 2.0 * f64::from(i), 2.0 * f64::from(i + 1), true));
    let result = segments(cadence(4.0, 2.0, false), &ladder(), sound);
    assert_eq!(
        result,
        Err(SegmentError::Starved { track: 0 }),
        "the memory stays bounded"
    );
}

#[test]
fn the_end_keeps_whole_rounds_only() {
    let mut fragments = round(0.0, 2.0, true);
    fragments.extend(round(2.0, 2.6, true));
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), fragments.clone()).unwrap();
    assert_eq!(lengths(&cut), [2.6]);

    fragments.pop();
    let cut = segments(cadence(4.0, 2.0, false), &ladder(), fragments).unwrap();
    assert_eq!(
        lengths(&cut),
        [2.0],
        "the second picture's sound is missing"
    );
    assert!(
        segments(cadence(4.0, 2.0, false), &ladder(), [])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn streams_that_break_the_plan_are_errors() {
    let plan = cadence(4.0, 2.0, false);
    let no_sync = segments(plan, &ladder(), round(0.0, 2.0, false));
    assert_eq!(
        no_sync,
        Err(SegmentError::NoKeyFrame {
            track: 0,
            at_seconds: 0.0
        })
    );

    let mut second_without = round(0.0, 4.0, true);
    second_without[1].starts_with_sync = false;
    let no_sync = segments(plan, &ladder(), second_without);
    assert_eq!(
        no_sync,
        Err(SegmentError::NoKeyFrame {
            track: 1,
            at_seconds: 0.0
        })
    );

    let back = [round(2.0, 4.0, true), round(0.0, 2.0, true)].concat();
    let back = segments(plan, &ladder(), back);
    assert!(
        matches!(back, Err(SegmentError::TimeWentBack { track: 0, .. })),
        "{back:?}"
    );

    let stranger = segments(plan, &ladder(), [fragment(7, VIDEO, 0.0, 1.0, true)]);
    assert_eq!(stranger, Err(SegmentError::UnknownTrack(7)));
}

#[test]
fn audio_alone_is_cut_at_its_own_fragments() {
    // FFmpeg ends a fragment at the first frame past 2 s.
    let frame = AAC_FRAME as f64 / f64::from(AUDIO);
    let end = |n: u32| f64::from(n) * 94.0 * frame;
    let sounds = (0..8).map(|n| fragment(0, AUDIO, end(n), end(n + 1), true));
    let cut = segments(cadence(4.0, 2.0, false), &[track(Media::Audio)], sounds).unwrap();
    let seconds: Vec<_> = cut
        .iter()
        .map(|(_, cut)| cut.tracks[0].duration as f64 / f64::from(AUDIO))
        .collect();
    assert_eq!(seconds.len(), 4);
    assert!(
        seconds.iter().all(|length| (length - 4.0).abs() < 0.02),
        "{seconds:?}"
    );
}

/// What FFmpeg's muxer makes of a picture and a sound: packets in the order of
/// their times, and a fragment of each track wherever the picture comes to a
/// key frame or a track has as much as a part is long.
fn muxed(fps: u32, gop: u32, part: f64, seconds: u32) -> Vec<Fragment> {
    let ticks = u64::from(VIDEO / fps);
    let pictures = (0..u64::from(fps * seconds)).map(|n| (0, n * ticks, n));
    let sounds = (0..u64::from(AUDIO * seconds) / AAC_FRAME).map(|n| (2, n * AAC_FRAME, n));
    let of = |track: usize| if track == 2 { AUDIO } else { VIDEO };
    let at = |track: usize, start: u64| start as f64 / f64::from(of(track));
    let mut packets: Vec<_> = pictures
        .flat_map(|(_, start, n)| [(0, start, n), (1, start, n)])
        .chain(sounds)
        .collect();
    packets.sort_by(|a, b| at(a.0, a.1).total_cmp(&at(b.0, b.1)));
    let mut open: [Option<Fragment>; 3] = [None, None, None];
    let mut fragments = Vec::new();
    for (track, start, n) in packets {
        let is_key = track != 2 && n % u64::from(fps * gop) == 0;
        let full = |f: &Fragment| at(track, start) - at(track, f.start) >= part;
        if (track == 0 && is_key) || open[track].as_ref().is_some_and(full) {
            fragments.extend(open.iter_mut().filter_map(Option::take));
        }
        let duration = if track == 2 { AAC_FRAME } else { ticks };
        let fragment = open[track].get_or_insert_with(|| Fragment {
            track,
            start,
            duration: 0,
            samples: 0,
            starts_with_sync: is_key || track == 2,
            data: Bytes::new(),
        });
        fragment.duration += duration;
        fragment.samples += 1;
    }
    fragments
}

/// A segment length, GOPs a segment, and the frames of every GOP: whole ones,
/// with a few short (an encoder's own key frames).
fn streams() -> impl Strategy<Value = (f64, u32, Vec<f64>, f64)> {
    (1u32..=6, 1u32..=3).prop_flat_map(|(segment, per)| {
        let gop = f64::from(segment) / f64::from(per);
        let gops = prop::collection::vec(
            prop_oneof![9 => Just(1.0), 1 => 0.2f64..1.0]
                .prop_map(move |part| (gop * part / 0.04).round().max(1.0) * 0.04),
            1..60,
        );
        (Just(f64::from(segment)), Just(per), gops, 0.0f64..20.0)
    })
}

proptest! {
    #[test]
    fn parts_of_any_length_are_cut_where_their_gop_ends(
        fps in prop::sample::select(vec![20_u32, 25, 32, 40, 50, 64]),
        part in (4_u32..40).prop_map(|hundredths| f64::from(hundredths) / 40.0),
        gop in 1_u32..=2,
    ) {
        let cut = segments(cadence(4.0, gop.into(), true), &ladder(), muxed(fps, gop, part, 17));
        let cut = cut.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(lengths(&cut)[..3].to_vec(), vec![4.0; 3]);
    }

    #[test]
    fn segments_are_contiguous_whole_and_within_the_target((segment, per, gops, origin) in streams()) {
        let plan = cadence(segment, segment / f64::from(per), false);
        let origin = (origin / 0.04).round() * 0.04;
        let mut ends = vec![origin];
        ends.extend(gops.iter().scan(origin, |end, gop| { *end += gop; Some(*end) }));
        let fragments: Vec<_> =
            ends.windows(2).flat_map(|w| round(w[0], w[1], true)).filter(|f| f.duration > 0).collect();
        let whole = fragments.iter().filter(|f| f.track == 0).map(|f| f.duration).sum::<u64>();
        let cut = match segments(plan, &ladder(), fragments.clone()) {
            Ok(cut) => cut,
            // GOPs shorter than an audio frame may leave a segment without sound.
            Err(SegmentError::Starved { track: 2 }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        for track in 0..3 {
            for pair in cut.windows(2) {
                let (before, after) = (&pair[0].1.tracks[track], &pair[1].1.tracks[track]);
                prop_assert_eq!(before.start + before.duration, after.start);
            }
        }
        let total: u64 = cut.iter().map(|(_, cut)| cut.tracks[0].duration).sum();
        let dropped = fragments.iter().rev().take(2).any(|f| f.track == 1);
        prop_assert!(total == whole || dropped, "{} of {}", total, whole);
        for (_, cut) in &cut {
            let seconds = cut.tracks[0].duration as f64 / f64::from(VIDEO);
            prop_assert!(seconds.round() as u64 <= plan.target_duration(), "{}", seconds);
            prop_assert_eq!(cut.tracks[0].start, cut.tracks[1].start);
            let video = cut.tracks[0].start as f64 / f64::from(VIDEO);
            let audio = cut.tracks[2].start as f64 / f64::from(AUDIO);
            prop_assert!((video - audio).abs() <= 0.0214, "sound at {}, picture at {}", audio, video);
        }
    }

    #[test]
    fn any_order_of_fragments_gives_errors_at_most(
        wild in prop::collection::vec((0usize..4, any::<u64>(), 0u64..1_000_000, any::<bool>()), 0..60),
    ) {
        let fragments = wild.into_iter().map(|(track, start, duration, sync)| Fragment {
            track,
            start: start.min(u64::MAX - duration),
            duration,
            samples: 1,
            starts_with_sync: sync,
            data: Bytes::new(),
        });
        let _ = segments(cadence(4.0, 2.0, false), &ladder(), fragments);
    }
}
