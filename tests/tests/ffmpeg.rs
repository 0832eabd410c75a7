//! The worker's runs with the real FFmpeg: what comes out of it, and what
//! becomes of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::time::timeout;
use worker::ffmpeg::shim::Tie;
use worker::ffmpeg::{EndCause, Exit, FailureKind, Input, Run, RunConfig, RunEnd};
use worker::ingest::meter::Received;
use worker::mp4::{Fragment, Piece};
use worker::segment::{CutSegment, Media, TrackInit};
use worker::segmenter::{Cadence, Segmenter};

/// Nothing here takes this long unless it hangs.
const HANGS: Duration = Duration::from_secs(30);

/// No machine is so busy that FFmpeg at work says nothing for so long.
const STALL: Duration = Duration::from_secs(2);

const OUTPUT: &str = "-f mp4 -movflags +cmaf+frag_keyframe+separate_moof+skip_trailer pipe:1";

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

fn config(program: &str, argv: impl IntoIterator<Item = String>) -> RunConfig {
    RunConfig {
        program: program.into(),
        argv: argv.into_iter().collect(),
        input: Input::Opened(Received::default()),
        tie: Tie::through(env!("CARGO_BIN_EXE_tied")),
        stall: HANGS,
        first_frame: HANGS,
        http_proxy: None,
        secrets: Vec::new(),
    }
}

/// FFmpeg with the flags that every plan has.
fn ffmpeg(args: &str) -> RunConfig {
    let common = "-hide_banner -nostdin -loglevel warning -nostats -progress pipe:3";
    config(
        "ffmpeg",
        words(common)
            .chain(words("-stats_period 0.1"))
            .chain(words(args)),
    )
}

/// A picture that never ends, in real time.
fn endless() -> RunConfig {
    ffmpeg(&format!(
        "-re -f lavfi -i testsrc2=size=64x48:rate=25 -c:v libx264 -preset ultrafast \
         -tune zerolatency -g 5 {OUTPUT}"
    ))
}

fn shell(script: &str) -> RunConfig {
    config("sh", ["-c".to_owned(), script.to_owned()])
}

fn pid(run: &Run) -> Pid {
    Pid::from_raw(i32::try_from(run.pid().unwrap()).unwrap())
}

async fn all(pieces: &mut mpsc::Receiver<Piece>) -> Vec<Piece> {
    let mut taken = Vec::new();
    while let Some(piece) = timeout(HANGS, pieces.recv()).await.unwrap() {
        taken.push(piece);
    }
    taken
}

/// Everything that comes out, and the end.
async fn to_end(mut run: Run) -> (Vec<Piece>, RunEnd) {
    let pieces = all(&mut run.take_pieces().unwrap()).await;
    (pieces, timeout(HANGS, run.wait()).await.unwrap())
}

/// Waits until so many frames are out.
async fn frames(run: &Run, count: u64) {
    let mut progress = run.progress();
    let enough = progress.wait_for(|progress| progress.frames.unwrap_or(0) >= count);
    timeout(HANGS, enough).await.unwrap().unwrap();
}

/// Reaped, not even a zombie; and soon none lives that it may have started.
async fn assert_gone(pid: Pid) {
    assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    none_lives(|one| one.group == pid).await;
}

/// Waits until no such process lives. A zombie does not: it is for init to
/// reap.
async fn none_lives(such: impl Fn(&Process) -> bool) {
    let dead = async {
        while processes().iter().any(|one| such(one) && one.state != "Z") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(HANGS, dead).await.unwrap();
}

/// A process by proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Process {
    pid: Pid,
    state: String,
    group: Pid,
}

fn processes() -> Vec<Process> {
    let read = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before may hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.to_owned();
        let group = fields.nth(1)?.parse().ok()?;
        Some(Process {
            pid: Pid::from_raw(pid),
            state,
            group: Pid::from_raw(group),
        })
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(read)
        .collect()
}

/// The init, and the segments as they are cut.
fn segments(pieces: Vec<Piece>, cadence: Cadence) -> (Vec<TrackInit>, Vec<CutSegment>) {
    let mut pieces = pieces.into_iter();
    let Some(Piece::Init(inits)) = pieces.next() else {
        panic!("the init comes first")
    };
    let mut segmenter = Segmenter::new(cadence, &inits);
    let mut segments = Vec::new();
    for piece in pieces {
        let Piece::Fragment(fragment) = piece else {
            panic!("a second init")
        };
        segments.extend(segmenter.push(fragment).unwrap());
    }
    segments.extend(segmenter.finish().unwrap());
    (inits, segments)
}

fn of_track(pieces: &[Piece], track: usize) -> Vec<&Fragment> {
    let fragments = pieces.iter().filter_map(|piece| match piece {
        Piece::Fragment(fragment) if fragment.track == track => Some(fragment),
        _ => None,
    });
    fragments.collect()
}

/// What ffprobe finds in init and segments of each track, after decoding all
/// of it: `codec,width,height,frames` or `codec,sample_rate,channels,frames`.
fn probe(folder: &Path, inits: &[TrackInit], segments: &[CutSegment]) -> Vec<String> {
    let decode = |track: usize| {
        let init = &inits[track];
        let mut bytes = init.data.to_vec();
        for segment in segments {
            bytes.extend_from_slice(&segment.tracks[track].data);
        }
        let path: PathBuf = folder.join(format!("{track}.mp4"));
        std::fs::write(&path, bytes).unwrap();
        let entries = match init.media {
            Media::Video => "stream=codec_name,width,height,nb_read_frames",
            Media::Audio => "stream=codec_name,sample_rate,channels,nb_read_frames",
        };
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "warning",
                "-count_frames",
                "-of",
                "csv=p=0",
                "-show_entries",
                entries,
            ])
            .arg(path)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "",
            "track {track} decodes"
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    (0..inits.len()).map(decode).collect()
}

#[tokio::test]
async fn the_sample_ladder_becomes_segments_of_four_seconds() {
    let run = Run::start(ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=640x360:rate=25:duration=10 \
         -f lavfi -i sine=sample_rate=48000:duration=10 \
         -filter_complex [0:v]split=2[s0][s1];[s0]scale=768:432,setsar=1,format=yuv420p[v0];\
         [s1]scale=640:360,setsar=1,format=yuv420p[v1];[1:a]aresample=48000:async=1[a0] \
         -map [v0] -map [v1] -map [a0] -c:v libx264 -preset superfast -profile:v high \
         -sc_threshold 0 -g 50 -keyint_min 50 -force_key_frames expr:gte(t,n_forced*2) \
         -b:v:0 550k -b:v:1 365k -c:a aac -b:a 128k -ac 2 {OUTPUT}"
    )))
    .unwrap();
    let (pieces, end) = to_end(run).await;
    assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
    for (v0, v1) in of_track(&pieces, 0).into_iter().zip(of_track(&pieces, 1)) {
        assert_eq!((v0.start, v0.samples), (v1.start, v1.samples));
        assert!(v0.starts_with_sync && v1.starts_with_sync);
    }

    let cadence = Cadence {
        segment: Duration::from_secs(4),
        gop: Duration::from_secs(2),
        parts: false,
    };
    let (inits, segments) = segments(pieces, cadence);
    let codecs: Vec<_> = inits.iter().map(|init| init.codec.as_str()).collect();
    assert_eq!(codecs, ["avc1.64001e", "avc1.64001e", "mp4a.40.2"]);
    for track in [0, 1] {
        let second = u64::from(inits[track].timescale);
        let times: Vec<_> = segments
            .iter()
            .map(|cut| (cut.tracks[track].start, cut.tracks[track].duration))
            .collect();
        assert_eq!(
            times,
            [
                (0, 4 * second),
                (4 * second, 4 * second),
                (8 * second, 2 * second)
            ],
            "track {track}"
        );
    }
    for cut in &segments {
        let video = cut.tracks[0].start as f64 / f64::from(inits[0].timescale);
        let audio = cut.tracks[2].start as f64 / f64::from(inits[2].timescale);
        // A frame, and what the encoder holds back.
        assert!(
            (video - audio).abs() < 0.1,
            "picture at {video}, sound at {audio}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let found = probe(folder.path(), &inits, &segments);
    assert_eq!(found[..2], ["h264,768,432,250", "h264,640,360,250"]);
    assert!(found[2].starts_with("aac,48000,2,4"), "{}", found[2]);
}

/// Parts of 0.4 s, and the times of all tracks from one origin.
#[tokio::test]
async fn parts_become_the_same_segments_and_sound_keeps_its_time() {
    let run = Run::start(ffmpeg(
        "-f lavfi -i testsrc2=size=64x48:rate=25:duration=6 \
         -f lavfi -i sine=sample_rate=48000:duration=6 -c:v libx264 -preset ultrafast \
         -tune zerolatency -g 50 -c:a aac -output_ts_offset 10 -f mp4 -frag_duration 400000 \
         -movflags +cmaf+frag_keyframe+separate_moof+skip_trailer+frag_discont pipe:1",
    ));
    let (pieces, end) = to_end(run.unwrap()).await;
    assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
    assert_eq!(of_track(&pieces, 0).len(), 15);
    let cadence = Cadence {
        segment: Duration::from_secs(4),
        gop: Duration::from_secs(2),
        parts: true,
    };
    let (inits, segments) = segments(pieces, cadence);
    let second = u64::from(inits[0].timescale);
    let times: Vec<_> = segments
        .iter()
        .map(|cut| (cut.tracks[0].start, cut.tracks[0].duration))
        .collect();
    assert_eq!(
        times,
        [(10 * second, 4 * second), (14 * second, 2 * second)]
    );
    // The encoder's priming comes before the picture, not instead of it.
    assert_eq!(segments[0].tracks[1].start, 480_000 - 1024);
}

#[tokio::test]
async fn hevc_and_av1_have_their_codec_strings() {
    let folder = tempfile::tempdir().unwrap();
    let cadence = Cadence {
        segment: Duration::from_secs(1),
        gop: Duration::from_secs(1),
        parts: false,
    };
    for (encoder, prefix, found) in [
        (
            "libx265 -preset ultrafast -tag:v hvc1",
            "hvc1.1.6.L",
            "hevc,192,108,50",
        ),
        (
            "libx265 -preset ultrafast -tag:v hev1",
            "hev1.1.6.L",
            "hevc,192,108,50",
        ),
        ("libsvtav1 -preset 12", "av01.0.0", "av1,192,108,50"),
    ] {
        let run = Run::start(ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=192x108:rate=25:duration=2 -pix_fmt yuv420p \
             -c:v {encoder} -x265-params scenecut=0:open-gop=0:log-level=none -g 25 {OUTPUT}"
        )));
        let (pieces, end) = to_end(run.unwrap()).await;
        assert!(matches!(end.cause, EndCause::InputEnded), "{end:?}");
        let (inits, segments) = segments(pieces, cadence);
        assert!(inits[0].codec.starts_with(prefix), "{}", inits[0].codec);
        assert_eq!(segments.len(), 2, "{encoder}");
        assert_eq!(probe(folder.path(), &inits, &segments), [found]);
    }
}

/// Two seconds of FLV as a publisher sends it.
fn flv() -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(words(
            "-v error -f lavfi -i testsrc2=size=64x48:rate=25:duration=2",
        ))
        .args(words("-f lavfi -i sine=sample_rate=44100:duration=2"))
        .args(words(
            "-c:v libx264 -preset ultrafast -g 25 -c:a aac -f flv -",
        ))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Reads FLV that the worker feeds.
fn fed() -> RunConfig {
    let config = ffmpeg(&format!(
        "-f flv -i pipe:0 -fps_mode passthrough -c:v libx264 -preset ultrafast -g 25 -c:a aac {OUTPUT}"
    ));
    RunConfig {
        input: Input::Fed,
        ..config
    }
}

#[tokio::test]
async fn a_fed_run_ends_with_its_input_and_loses_nothing() {
    let input = Bytes::from(flv());
    for by_finish in [false, true] {
        let mut run = Run::start(fed()).unwrap();
        let feed = run.take_feed().unwrap();
        for at in (0..input.len()).step_by(1000) {
            feed.write(input.slice(at..input.len().min(at + 1000)))
                .await
                .unwrap();
        }
        let kept = if by_finish {
            run.finish(HANGS);
            Some(feed)
        } else {
            drop(feed);
            None
        };
        let pid = pid(&run);
        let (pieces, end) = to_end(run).await;
        match end.cause {
            EndCause::Finished { forced: false } if by_finish => {}
            EndCause::InputEnded if !by_finish => {}
            _ => panic!("{end:?}"),
        }
        assert_eq!(end.exit, Some(Exit::Code(0)));
        let samples: u32 = of_track(&pieces, 0)
            .iter()
            .map(|fragment| fragment.samples)
            .sum();
        assert_eq!(samples, 50);
        if let Some(feed) = kept {
            assert!(feed.write(input.clone()).await.is_err(), "it takes no more");
        }
        assert_gone(pid).await;
    }
}

#[tokio::test]
async fn a_run_that_opens_its_input_itself_finishes_whole() {
    let run = Run::start(endless()).unwrap();
    frames(&run, 12).await;
    run.finish(HANGS);
    let (pieces, end) = to_end(run).await;
    assert!(
        matches!(end.cause, EndCause::Finished { forced: false }),
        "{end:?}"
    );
    let fragments = of_track(&pieces, 0);
    let samples: u32 = fragments.iter().map(|fragment| fragment.samples).sum();
    assert!(samples >= 12, "{samples}");
    assert!(
        fragments.last().unwrap().samples <= 5,
        "the fragment under way came out too"
    );
}

#[tokio::test]
async fn a_silent_network_does_not_hold_up_the_finish() {
    // Accepts, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let run = Run::start(ffmpeg(&format!("-f flv -i {url} -c copy {OUTPUT}"))).unwrap();
    let (_connection, _) = silent.accept().unwrap();
    run.finish(Duration::from_millis(500));
    let (_, end) = to_end(run).await;
    assert!(matches!(end.cause, EndCause::Finished { .. }), "{end:?}");
}

#[tokio::test]
async fn what_ignores_its_end_is_killed_with_its_whole_group() {
    let script = "trap '' INT TERM; echo frame=1 >&3; echo progress=continue >&3; \
                  while :; do sleep 100; done";
    let run = Run::start(shell(script)).unwrap();
    let pid = pid(&run);
    frames(&run, 1).await;
    run.finish(Duration::from_millis(100));
    let (_, end) = to_end(run).await;
    assert!(
        matches!(end.cause, EndCause::Finished { forced: true }),
        "{end:?}"
    );
    assert_eq!(end.exit, Some(Exit::Signal(9)));
    assert_gone(pid).await;
}

#[tokio::test]
async fn a_stopped_ffmpeg_is_a_stall_and_a_silent_input_is_told_from_it() {
    for input_goes_on in [true, false] {
        let received = Received::default();
        let mut config = endless();
        config.stall = STALL;
        config.input = Input::Opened(received.clone());
        let run = Run::start(config).unwrap();
        let pid = pid(&run);
        received.add(1000);
        frames(&run, 5).await;
        kill(pid, Signal::SIGSTOP).unwrap();
        let came = async {
            let mut often = tokio::time::interval(STALL / 20);
            loop {
                often.tick().await;
                received.add(usize::from(input_goes_on));
            }
        };
        let (pieces, end) = tokio::select! {
            ended = to_end(run) => ended,
            ended = came => ended,
        };
        match end.cause {
            EndCause::Stalled { .. } if input_goes_on => {}
            EndCause::Silent { .. } if !input_goes_on => {}
            _ => panic!("{end:?}"),
        }
        assert!(pieces.len() > 1);
        assert_gone(pid).await;
    }
}

#[tokio::test]
async fn a_pause_of_the_input_is_no_stall_but_a_stop_under_input_is() {
    let input = Bytes::from(flv());
    let config = RunConfig {
        stall: STALL,
        ..fed()
    };
    let mut run = Run::start(config).unwrap();
    let pid = pid(&run);
    let _pieces = run.take_pieces().unwrap();
    let feed = run.take_feed().unwrap();
    feed.write(input.clone()).await.unwrap();
    frames(&run, 1).await;
    let paused = timeout(2 * STALL, run.wait()).await;
    assert!(paused.is_err(), "{paused:?}");
    kill(pid, Signal::SIGSTOP).unwrap();
    let input_goes_on = async { while feed.write(input.clone()).await.is_ok() {} };
    let (end, ()) = tokio::join!(timeout(HANGS, run.wait()), input_goes_on);
    assert!(matches!(end.unwrap().cause, EndCause::Stalled { .. }));
    assert_gone(pid).await;
}

#[tokio::test]
async fn a_slow_taker_is_no_stall() {
    // More fragments than fit between FFmpeg and taker.
    let mut config = ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=128x96:rate=25:duration=20 -c:v libx264 -preset ultrafast \
         -g 1 {OUTPUT}"
    ));
    config.stall = STALL;
    let mut run = Run::start(config).unwrap();
    let mut pieces = run.take_pieces().unwrap();
    let waiting = timeout(2 * STALL, run.wait()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    assert_eq!(all(&mut pieces).await.len(), 1 + 500);
    assert!(matches!(run.wait().await.cause, EndCause::InputEnded));
}

#[tokio::test]
async fn output_that_is_no_mp4_ends_the_run() {
    let run = Run::start(shell("echo this is no fragmented mp4; sleep 100")).unwrap();
    let pid = pid(&run);
    let (pieces, end) = to_end(run).await;
    assert!(pieces.is_empty());
    assert!(matches!(end.cause, EndCause::BadOutput(_)), "{end:?}");
    assert_gone(pid).await;
}

#[tokio::test]
async fn killed_or_dropped_nothing_is_left() {
    let run = Run::start(endless()).unwrap();
    let killed = pid(&run);
    run.kill();
    let end = timeout(HANGS, run.wait()).await.unwrap();
    assert!(matches!(end.cause, EndCause::Killed), "{end:?}");
    assert_gone(killed).await;

    let mut run = Run::start(endless()).unwrap();
    let abandoned = pid(&run);
    drop(run.take_pieces());
    let end = timeout(HANGS, run.wait()).await.unwrap();
    assert!(matches!(end.cause, EndCause::Killed), "{end:?}");
    assert_gone(abandoned).await;

    let mut run = Run::start(endless()).unwrap();
    let dropped = pid(&run);
    let mut pieces = run.take_pieces().unwrap();
    drop(run);
    all(&mut pieces).await;
    none_lives(|one| one.pid == dropped).await;
}

#[tokio::test]
async fn failures_say_what_to_do_next() {
    let source = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=1";
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (args, expected) in [
        (format!("{source} -c:v libnope {OUTPUT}"), FailureKind::Spec),
        (
            format!("{source} -c:v libx264 -preset nope {OUTPUT}"),
            FailureKind::Spec,
        ),
        (format!("{source} -nosuch 1 {OUTPUT}"), FailureKind::Spec),
        (
            format!("{source} -map 0:a {OUTPUT}"),
            FailureKind::InputData,
        ),
        (
            "-f flv -i /dev/null -f null -".to_owned(),
            FailureKind::InputData,
        ),
        (
            format!("-i rtmp://me:geheim@{closed}/live/key -f null -"),
            FailureKind::Input,
        ),
        (
            format!("-protocol_whitelist tcp -i http://{closed}/ -f null -"),
            FailureKind::InputForbidden,
        ),
    ] {
        let (_, end) = to_end(Run::start(ffmpeg(&args)).unwrap()).await;
        let EndCause::Failed { kind, message } = &end.cause else {
            panic!("{args}: {end:?}")
        };
        assert_eq!(*kind, expected, "{args}: {end:?}");
        assert!(!message.is_empty());
        let told = end.stderr.join("\n");
        assert!(
            !told.contains("geheim") && !told.contains("/live/key"),
            "{told}"
        );
    }
    let (_, end) = to_end(Run::start(shell("kill -SEGV $$")).unwrap()).await;
    assert!(
        matches!(
            end.cause,
            EndCause::Failed {
                kind: FailureKind::Crash,
                ..
            }
        ),
        "{end:?}"
    );
    let (_, end) = to_end(Run::start(config("no-such-program", [])).unwrap()).await;
    assert!(
        matches!(
            end.cause,
            EndCause::Failed {
                kind: FailureKind::Program,
                ..
            }
        ),
        "{end:?}"
    );
    assert_eq!(end.exit, Some(Exit::Code(127)));
}

#[tokio::test]
async fn a_child_does_not_outlive_its_killed_parent() {
    for as_ffmpeg in [false, true] {
        let mut parent = Command::new(env!("CARGO_BIN_EXE_tied"))
            .arg("ffmpeg")
            .args(words(
                "-nostdin -v error -re -f lavfi -i testsrc2=size=64x48:rate=25",
            ))
            .args(words("-c:v libx264 -preset ultrafast"))
            .args(words(OUTPUT))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let child: i32 = line.trim().parse().unwrap();
        // At first it is the shim: killed then or later, it has to go.
        let name = || std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap();
        while as_ffmpeg && name() != "ffmpeg\n" {
            tokio::task::yield_now().await;
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        none_lives(|one| one.pid == Pid::from_raw(child)).await;
    }
}

#[test]
fn ffmpeg_gets_none_of_our_credentials() {
    let output = Command::new(env!("CARGO_BIN_EXE_tied"))
        .args([
            "sh",
            "-c",
            "test -z \"$AWS_SECRET_ACCESS_KEY$EZLIVE_TOKEN\" && test -n \"$LC_TIME\"",
        ])
        .env("AWS_SECRET_ACCESS_KEY", "geheim")
        .env("EZLIVE_TOKEN", "geheim")
        .env("LC_TIME", "C")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.ends_with("Some(Code(0))\n"), "{told}");
}
