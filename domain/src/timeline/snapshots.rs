//! Every playlist of a channel at the turns of its life.

use super::testing::*;
use super::*;

/// All playlists, one under the other.
fn playlists(timeline: &Timeline) -> String {
    let mut text = format!(
        "== {MULTIVARIANT}\n{}",
        timeline.multivariant_playlist().unwrap_or_default()
    );
    for label in timeline.labels() {
        let body = timeline.media_playlist(label).unwrap();
        text += &format!("== {}\n{body}", media_playlist_name(label));
    }
    text + &format!("== {MPD}\n{}", timeline.mpd())
}

#[test]
fn one_run() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..3);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn a_run_begun_without_segments_has_empty_playlists() {
    let mut timeline = fresh();
    begin(&mut timeline, 1, 0, vec![sound("audio")]);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn the_next_run_follows_a_discontinuity_in_a_new_period() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    timeline.claim(2, at(20)).unwrap();
    let run = begin(&mut timeline, 1, 21, ladder());
    fill(&mut timeline, run, 0..2);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn the_window_slid_past_a_discontinuity() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    let run = begin(&mut timeline, 2, 21, ladder());
    fill(&mut timeline, run, 0..5);
    assert_eq!(timeline.discontinuity_sequence, 1);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn left_out_segments_are_a_discontinuity_within_the_run() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..1);
    fill(&mut timeline, run, 3..4);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn ended() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    timeline.end(at(9));
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn ended_after_a_second_run_with_a_shorter_sound() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..1);
    let run = begin(&mut timeline, 2, 20, ladder());
    fill(&mut timeline, run, 0..1);
    let mut last = spans(&ladder(), 1);
    // As a stop leaves it: the picture reaches to 6.28 s, the sound to 6.25 s.
    last[2].duration = 105 * 1024;
    for picture in &mut last[..2] {
        picture.duration = 57 * 512;
    }
    timeline.append(run, last, at(27)).unwrap();
    timeline.end(at(27));
    insta::assert_snapshot!(timeline.mpd());
}

#[test]
fn reopened_with_an_empty_window() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    timeline.end(at(9));
    timeline.claim(2, at(100)).unwrap();
    timeline.open(timeline.presentation, at(100));
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn reopened_with_another_ladder() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    timeline.end(at(9));
    timeline.claim(2, at(100)).unwrap();
    timeline.open(
        Presentation {
            target_duration: 5,
            dvr_window: 20,
        },
        at(100),
    );
    let renditions = ladder().split_off(1);
    let run = begin(&mut timeline, 1, 101, renditions);
    fill(&mut timeline, run, 0..1);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn a_run_of_sound_only_is_a_gap_of_the_pictures() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..1);
    let run = begin(&mut timeline, 2, 10, vec![sound("audio")]);
    fill(&mut timeline, run, 0..1);
    let run = begin(&mut timeline, 3, 20, ladder());
    fill(&mut timeline, run, 0..1);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn two_sounds_and_two_codecs() {
    let mut renditions = ladder();
    renditions[1].codec = "hvc1.1.6.L90.B0".to_owned();
    renditions.push(sound("audio-2"));
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, renditions);
    fill(&mut timeline, run, 0..1);
    insta::assert_snapshot!(playlists(&timeline));
}

#[test]
fn timeline_json_is_small_and_stable() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..4);
    let json: serde_json::Value = serde_json::from_slice(&timeline.to_json().unwrap()).unwrap();
    insta::assert_json_snapshot!(json);
}

#[test]
fn a_run_that_would_overlap_the_last_is_held_back() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    let early = begin(&mut timeline, 2, 5, ladder());
    let start = timeline.run(early).unwrap().start;
    assert!(start >= at(8), "{start}");
    assert_eq!(start.subsec_nanosecond() % 1_000_000, 0);
}

#[test]
fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    let before = timeline.clone();

    let mut long = spans(&ladder(), 2);
    long[1].duration = 12_800 * 9 / 2;
    let refused = timeline.append(run, long.clone(), at(12));
    assert!(
        matches!(refused, Err(AppendError::TooLong { target: 4, .. })),
        "{refused:?}"
    );
    let again = timeline.append(run, spans(&ladder(), 1), at(12));
    assert!(
        matches!(again, Err(AppendError::Backwards { .. })),
        "{again:?}"
    );
    let mut hollow = spans(&ladder(), 2);
    hollow[2].duration = 0;
    let empty = timeline.append(run, hollow, at(12));
    assert!(matches!(empty, Err(AppendError::Empty { .. })), "{empty:?}");
    let other = RunId {
        attempt: 1,
        number: 9,
    };
    assert_eq!(
        timeline.append(other, Vec::new(), at(12)),
        Err(AppendError::NoRun)
    );
    assert_eq!(
        timeline.claim(0, at(12)),
        Err(ClaimError::Fenced { holder: 1 })
    );
    let same = NewRun {
        number: 1,
        start: at(12),
        renditions: ladder(),
    };
    assert!(matches!(
        timeline.begin_run(same, at(12)),
        Err(RunError::NotNext { .. })
    ));
    for label in ["", "a/b", "..", "a\"b", "master", "AUDIO", "ä"] {
        let mut renditions = ladder();
        renditions[0].label = label.to_owned();
        let bad = timeline.begin_run(
            NewRun {
                number: 2,
                start: at(12),
                renditions,
            },
            at(12),
        );
        assert!(
            matches!(bad, Err(RunError::Renditions(_))),
            "{label}: {bad:?}"
        );
    }
    assert_eq!(timeline, before);

    // Rounded to the nearest integer it is just within the target duration.
    long[1].duration -= 1;
    assert_eq!(timeline.append(run, long, at(12)), Ok(2));
}

#[test]
fn a_measured_bit_rate_above_the_declared_one_is_declared() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    let mut heavy = spans(&ladder(), 0);
    heavy[0].bytes = 260_000; // 520 kbit/s over 4 s, 572 with a tenth to spare
    timeline.append(run, heavy, at(4)).unwrap();
    // A short last segment of one key frame says nothing.
    let mut short = spans(&ladder(), 1);
    short[1] = Span {
        duration: 12_800,
        bytes: 1_000_000,
        ..short[1]
    };
    timeline.append(run, short, at(8)).unwrap();
    let master = timeline.multivariant_playlist().unwrap();
    assert!(
        master.contains("BANDWIDTH=700000,AVERAGE-BANDWIDTH=478000"),
        "{master}"
    );
    assert!(
        master.contains("BANDWIDTH=878000,AVERAGE-BANDWIDTH=728000"),
        "{master}"
    );
}

#[test]
fn a_corrupt_timeline_is_told_from_a_sound_one() {
    let mut timeline = fresh();
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..2);
    let json = String::from_utf8(timeline.to_json().unwrap()).unwrap();
    assert_eq!(Timeline::from_json(json.as_bytes()).unwrap(), timeline);
    for (from, to) in [
        ("\"seq\":1", "\"seq\":7"),
        ("\"runs\":[{\"id\":[1,1]", "\"runs\":[{\"id\":[1,2]"),
        ("\"target_duration\":4", "\"target_duration\":0"),
        ("\"timescale\":12800", "\"timescale\":0"),
        ("\"open_run\":[1,1]", "\"open_run\":[1,3]"),
        ("\"next_sequence\":2", "\"next_sequence\":1"),
        ("{", "["),
    ] {
        assert!(json.contains(from), "{from}");
        assert!(
            Timeline::from_json(json.replacen(from, to, 1).as_bytes()).is_err(),
            "{from}"
        );
    }
}

#[test]
fn a_listed_segment_takes_about_as_much_as_is_said() {
    let mut timeline = fresh();
    timeline.presentation.dvr_window = 14_400;
    let run = begin(&mut timeline, 1, 0, ladder());
    fill(&mut timeline, run, 0..3_600);
    let playlists: usize = timeline
        .labels()
        .map(|label| timeline.media_playlist(label).unwrap().len())
        .sum();
    let all = playlists + timeline.mpd().len() + timeline.to_json().unwrap().len();
    let each = all as f64 / 3_600.0 / 3.0;
    let off = each / LISTED_BYTES as f64;
    assert!((0.75..1.33).contains(&off), "{each} bytes");
}
