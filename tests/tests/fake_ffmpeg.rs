//! `fake-ffmpeg` behaves to a run as FFmpeg does, and fails as it is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tests::fake::{self, Fault, Script};
use tokio::time::timeout;
use worker::ffmpeg::shim::Tie;
use worker::ffmpeg::{EndCause, Exit, FailureKind, Input, Run, RunConfig, RunEnd, check, encoders};
use worker::ingest::meter::Received;
use worker::mp4::Piece;
use worker::segment::CutSegment;
use worker::segmenter::{Cadence, SegmentError, Segmenter};

const HANGS: Duration = Duration::from_secs(30);
const FAKE: &str = env!("CARGO_BIN_EXE_fake-ffmpeg");

/// The sample's ladder, in seconds of real time a thousandth.
fn fast(fault: Option<(Fault, u64)>) -> Script {
    Script {
        speed: 1000.0,
        fault,
        ..Script::default()
    }
}

/// A run of the sample's ladder with this script. It is handed over through
/// `env`, since the variables of this process are those of all tests.
fn start(script: &Script, input: &str, stall: Duration) -> Run {
    let plan = format!(
        "-nostats -progress pipe:3 -i {input} -filter_complex \
         [0:v]fps=25,split=2[s0][s1];[s0]scale=768:432[v0];[s1]scale=640:360[v1];[0:a]anull[a0] \
         -map [v0] -map [v1] -map [a0] -c:v libx264 -g 50 \
         -force_key_frames expr:gte(t,n_forced*2) -c:a aac -f mp4 pipe:1"
    );
    let argv = [format!("{}={script}", fake::SCRIPT), FAKE.to_owned()];
    Run::start(RunConfig {
        program: "env".into(),
        argv: argv
            .into_iter()
            .chain(plan.split_whitespace().map(str::to_owned))
            .collect(),
        input: match input {
            "pipe:0" => Input::Fed,
            _ => Input::Opened(Received::default()),
        },
        tie: Tie::through(FAKE),
        stall,
        first_frame: stall,
        http_proxy: None,
        secrets: Vec::new(),
    })
    .unwrap()
}

/// The segments up to the run's end, and why either ended.
async fn segments(mut run: Run) -> (Vec<CutSegment>, Option<SegmentError>, RunEnd) {
    let mut pieces = run.take_pieces().unwrap();
    let mut segmenter = None;
    let mut segments = Vec::new();
    let mut error = None;
    while let Some(piece) = timeout(HANGS, pieces.recv()).await.unwrap() {
        let cut = match (piece, &mut segmenter) {
            (Piece::Init(inits), none) => {
                let gop = Duration::from_secs(2);
                let cadence = Cadence {
                    segment: 2 * gop,
                    gop,
                    parts: false,
                };
                *none = Some(Segmenter::new(cadence, &inits));
                continue;
            }
            (Piece::Fragment(fragment), Some(segmenter)) => segmenter.push(fragment),
            (Piece::Fragment(_), None) => panic!("a fragment before the init"),
        };
        match cut {
            Ok(cut) => segments.extend(cut),
            Err(wrong) => {
                error = Some(wrong);
                run.kill();
                break;
            }
        }
    }
    drop(pieces);
    if let (None, Some(segmenter)) = (&error, segmenter) {
        segments.extend(segmenter.finish().unwrap());
    }
    let end = timeout(HANGS, run.wait()).await.unwrap();
    (segments, error, end)
}

#[tokio::test]
async fn it_passes_the_check() {
    check(FAKE).await.unwrap();
    assert!(encoders(FAKE).await.unwrap().contains("libx265"));
}

#[tokio::test]
async fn its_ladder_is_cut_into_segments_of_four_seconds() {
    let (segments, error, end) = segments(start(&fast(Some((Fault::End, 20))), "x", HANGS)).await;
    assert_eq!(error, None);
    assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
    let lengths: Vec<_> = segments.iter().map(|cut| cut.tracks[0].duration).collect();
    assert_eq!(lengths, [4 * 25_000; 10]);
    let (again, ..) = self::segments(start(&fast(Some((Fault::End, 20))), "y", HANGS)).await;
    assert_eq!(segments, again, "the same bytes every time");
}

#[tokio::test]
async fn it_ends_in_order_when_told_to() {
    let run = start(&fast(None), "x", HANGS);
    let mut progress = run.progress();
    progress
        .wait_for(|progress| progress.frames >= Some(300))
        .await
        .unwrap();
    run.finish(HANGS);
    let (segments, _, end) = segments(run).await;
    assert!(
        matches!(end.cause, EndCause::Finished { forced: false }),
        "{end:?}"
    );
    assert_eq!(end.exit, Some(Exit::Code(255)));
    assert!(segments.len() >= 3);
}

/// FLV with a tag every 40 ms.
fn flv(millis: std::ops::Range<u32>, header: bool) -> Bytes {
    let mut out = if header {
        b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec()
    } else {
        Vec::new()
    };
    for time in millis.step_by(40) {
        let [high, a, b, c] = time.to_be_bytes();
        out.extend([9, 0, 0, 5, a, b, c, high, 0, 0, 0]);
        out.extend([0; 5]);
        out.extend(16u32.to_be_bytes());
    }
    out.into()
}

#[tokio::test]
async fn fed_media_goes_by_its_timestamps() {
    let mut run = start(&fast(None), "pipe:0", HANGS);
    let feed = run.take_feed().unwrap();
    let mut progress = run.progress();
    feed.write(flv(5000..9200, true)).await.unwrap();
    progress
        .wait_for(|progress| progress.frames == Some(100))
        .await
        .unwrap();
    feed.write(flv(9200..11_000, false)).await.unwrap();
    drop(feed);
    let (segments, _, end) = segments(run).await;
    assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
    let lengths: Vec<_> = segments.iter().map(|cut| cut.tracks[0].duration).collect();
    assert_eq!(lengths, [100_000, 49_000]);
}

#[tokio::test]
async fn every_fault_is_seen_for_what_it_is() {
    let mut seen = BTreeMap::new();
    for (name, fault) in fake::FAULTS {
        // Faults after five rounds of 2 s. What then goes on for ever is ended
        // by the stall time; on a busy machine the others may take longer.
        let stall = match fault {
            Fault::Hang | Fault::NoProgress => Duration::from_secs(2),
            _ => HANGS,
        };
        let (segments, error, end) = segments(start(&fast(Some((fault, 5))), "x", stall)).await;
        let cause = match (error, end.cause) {
            (Some(error), _) => format!("{error}"),
            (None, EndCause::Failed { kind, message }) => format!("{kind:?}: {message}"),
            (None, cause) => format!("{cause:?}"),
        };
        seen.insert(name, (segments.len(), cause));
    }
    let expected = [
        ("crash", 3, "Crash: killed by signal 6"),
        ("end", 3, "InputEnded"),
        ("error", 3, "Input: rtmp://fake/***: Input/output error"),
        ("garbage", 3, "BadOutput("),
        // Nothing is counted as coming in here.
        ("hang", 3, "Silent"),
        ("no-progress", 0, "Silent"),
        ("silence", 3, "track 2 gave no media for a segment"),
        ("spec", 3, "Spec: Unknown encoder 'libfake'"),
        (
            "time-back",
            2,
            "track 0: time went back from 8.000 s to 0.000 s",
        ),
        ("truncate", 3, "InputEnded"),
    ];
    assert_eq!(seen.len(), expected.len());
    for (name, segments, cause) in expected {
        let (cut, why) = &seen[name];
        // Without progress it goes on until the watchdog's time is over.
        assert!(
            *cut == segments || name == "no-progress",
            "{name}: {cut} segments"
        );
        assert!(why.starts_with(cause), "{name}: {why}");
    }
}

#[tokio::test]
async fn a_deaf_one_is_killed() {
    let run = start(
        &Script {
            deaf: true,
            ..fast(None)
        },
        "x",
        HANGS,
    );
    let mut progress = run.progress();
    progress
        .wait_for(|progress| progress.frames > Some(0))
        .await
        .unwrap();
    run.finish(Duration::from_millis(50));
    let (_, _, end) = segments(run).await;
    assert!(
        matches!(end.cause, EndCause::Finished { forced: true }),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_finish_under_way() {
    let run = start(
        &Script {
            deaf: true,
            ..fast(None)
        },
        "x",
        HANGS,
    );
    run.finish(HANGS);
    run.kill();
    let end = timeout(HANGS, run.wait()).await.unwrap();
    assert!(matches!(end.cause, EndCause::Killed), "{end:?}");
}

#[tokio::test]
async fn nothing_at_all_is_an_input_that_ended() {
    let (segments, _, end) = segments(start(&fast(Some((Fault::End, 0))), "x", HANGS)).await;
    assert!(segments.is_empty());
    assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
    let (_, _, end) = self::segments(start(&fast(Some((Fault::Spec, 0))), "x", HANGS)).await;
    assert!(
        matches!(
            end.cause,
            EndCause::Failed {
                kind: FailureKind::Spec,
                ..
            }
        ),
        "{end:?}"
    );
}
