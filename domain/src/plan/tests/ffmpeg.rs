//! The plan in the hands of a real FFmpeg (on the path): what comes out is
//! what the segmenter relies on.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use mp4_atom::{Any, Hdlr, Moof, Moov, ReadFrom, TrunEntry};

use super::*;

/// One fragment, in seconds.
#[derive(Debug, Clone, PartialEq)]
struct Fragment {
    track: usize,
    start: f64,
    length: f64,
    starts_with_key: bool,
    keys: usize,
}

/// A publisher's FLV: 320x180 at 30 frames per second, five seconds.
fn flv(picture: bool, sound: bool) -> Vec<u8> {
    flv_of(
        picture.then_some("testsrc2=s=320x180:r=30:d=5"),
        sound.then_some("sine=r=44100:d=5"),
    )
}

fn flv_of(picture: Option<&str>, sound: Option<&str>) -> Vec<u8> {
    let mut args = Vec::new();
    for source in picture.into_iter().chain(sound) {
        args.extend(["-f", "lavfi", "-i", source]);
    }
    args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-g", "30"]);
    args.extend(["-c:a", "aac", "-f", "flv", "pipe:1"]);
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is on the path");
    assert!(output.status.success());
    output.stdout
}

/// Runs a plan on a pipe that closes, as a worker does; FFmpeg must end.
fn run(plan: &Plan, input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("sh")
        .args(["-c", "exec ffmpeg \"$@\" 3>/dev/null", "sh"])
        .args(&plan.argv)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let mut stderr = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let mut media = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut media)
        .unwrap();
    let log = log.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success(), "{log}");
    writer.join().unwrap().expect("ffmpeg reads to the end");
    media
}

/// The fragments in their order; the tracks' handlers are checked on the way.
fn fragments(plan: &Plan, media: &[u8]) -> Vec<Fragment> {
    let mut rest = media;
    let mut moov = None;
    let mut fragments = Vec::new();
    while let Ok(atom) = Any::read_from(&mut rest) {
        match atom {
            Any::Moov(read) => moov = Some(read),
            Any::Moof(read) => fragments.push(fragment(moov.as_ref().unwrap(), &read)),
            _ => {}
        }
    }
    let handlers: Vec<_> = moov
        .unwrap()
        .trak
        .iter()
        .map(|t| t.mdia.hdlr.clone())
        .collect();
    assert_eq!(handlers.len(), plan.tracks.len());
    for (Hdlr { handler, .. }, track) in handlers.into_iter().zip(&plan.tracks) {
        let expected = match track.kind {
            TrackKind::Video { .. } => b"vide",
            TrackKind::Audio { .. } => b"soun",
        };
        assert_eq!(<[u8; 4]>::from(handler), *expected);
    }

    fragments
}

fn fragment(moov: &Moov, moof: &Moof) -> Fragment {
    const NON_SYNC: u32 = 0x0001_0000;
    let [traf] = moof.traf.as_slice() else {
        panic!("one track in each moof")
    };
    let id = traf.tfhd.track_id;
    let track = moov
        .trak
        .iter()
        .position(|t| t.tkhd.track_id == id)
        .unwrap();
    let timescale = f64::from(moov.trak[track].mdia.mdhd.timescale);
    let trex = moov
        .mvex
        .as_ref()
        .unwrap()
        .trex
        .iter()
        .find(|t| t.track_id == id)
        .unwrap();
    let duration = traf
        .tfhd
        .default_sample_duration
        .unwrap_or(trex.default_sample_duration);
    let flags = traf
        .tfhd
        .default_sample_flags
        .unwrap_or(trex.default_sample_flags);
    let samples: Vec<TrunEntry> = traf
        .trun
        .iter()
        .flat_map(|run| run.samples.iter())
        .collect();
    let is_key = |sample: &TrunEntry| sample.flags.unwrap_or(flags) & NON_SYNC == 0;
    let ticks: u32 = samples.iter().map(|s| s.duration.unwrap_or(duration)).sum();
    Fragment {
        track,
        start: traf.tfdt.as_ref().unwrap().base_media_decode_time as f64 / timescale,
        length: f64::from(ticks) / timescale,
        starts_with_key: is_key(&samples[0]),
        keys: samples.iter().filter(|s| is_key(s)).count(),
    }
}

fn of_track(fragments: &[Fragment], track: usize) -> Vec<Fragment> {
    fragments
        .iter()
        .filter(|f| f.track == track)
        .cloned()
        .collect()
}

/// A small ladder: two renditions changed as given, GOPs of a second.
fn ladder(first: Value, second: Value) -> Value {
    let mut body = sample();
    body["Output"]["Segment_duration"] = json!(2);
    let small = json!({"Width": 160, "Height": 90, "Framerate": 25, "Bitrate": "100k", "Gop_size": 1, "Preset": "superfast"});
    body["Output"]["Video_outputs"] = [first, second]
        .into_iter()
        .map(|changes| {
            let mut video = small.clone();
            for (key, value) in changes.as_object().unwrap() {
                video[key] = value.clone();
            }
            video
        })
        .collect();
    body
}

/// Every round has one fragment of each track, in their order; video fragments
/// are GOPs that begin at 0 and with a key frame, at the same times.
fn assert_rounds(plan: &Plan, fragments: &[Fragment]) {
    let tracks = plan.tracks.len();
    let gop = plan.gop.as_secs_f64();
    for (index, round) in fragments.chunks_exact(tracks).enumerate() {
        for (track, fragment) in round.iter().enumerate() {
            assert_eq!(fragment.track, track, "{round:?}");
            let starts = gop * index as f64;
            if matches!(plan.tracks[track].kind, TrackKind::Video { .. }) {
                assert!((fragment.start - starts).abs() < 1e-3, "{fragment:?}");
                assert!(fragment.starts_with_key, "{fragment:?}");
                assert_eq!(fragment.keys, 1, "{fragment:?}");
            } else {
                // Within what a live encoder holds back.
                assert!((fragment.start - starts).abs() < 0.3, "{fragment:?}");
            }
        }
    }
    for track in 0..tracks {
        let fragments = of_track(fragments, track);
        let whole = &fragments[..fragments.len() - 1];
        if matches!(plan.tracks[track].kind, TrackKind::Video { .. }) {
            assert!(
                whole.iter().all(|f| (f.length - gop).abs() < 1e-3),
                "{whole:?}"
            );
        }
        assert!(fragments[0].start < 0.05, "{fragments:?}");
        let end = fragments.last().map(|f| f.start + f.length).unwrap();
        assert!((4.6..5.5).contains(&end), "track {track} ends at {end}");
        for pair in fragments.windows(2) {
            let gap = pair[1].start - pair[0].start - pair[0].length;
            assert!(gap.abs() < 1e-3, "{pair:?}");
        }
    }
}

#[test]
fn every_mix_of_encoders_and_rates_gives_aligned_gops() {
    let input = flv(true, true);
    let same = json!({});
    for (first, second) in [
        (same.clone(), json!({"Width": 192, "Height": 108})),
        (same.clone(), json!({"Preset": "ultrafast"})),
        (same.clone(), json!({"Framerate": 50})),
        (json!({"Framerate": 24}), json!({"Framerate": 30})),
        (json!({"Framerate": 29.97}), json!({"Framerate": 59.94})),
        (
            same.clone(),
            json!({"Codec": "h265", "Preset": "ultrafast"}),
        ),
        (same, json!({"Codec": "av1", "Preset": 12})),
    ] {
        let body = ladder(first, second);
        let plan = plan(&spec(&body), &both(), &Feed::FlvPipe);
        assert_rounds(&plan, &fragments(&plan, &run(&plan, input.clone())));
    }
}

#[test]
fn encoders_start_with_the_extremes_that_are_accepted() {
    let input = flv(true, false);
    let mut rates = Vec::new();
    for codec in ["h264", "h265", "av1"] {
        for crf in [json!(null), json!(30)] {
            for (bitrate, max, buffer) in [
                ("10k", "10k", "10k"),
                ("10k", "10k", "100k"),
                ("365k", "365k", "3650k"),
                ("5M", "5M", "100k"),
                ("50M", "100M", "400M"),
                ("100M", "100M", "2M"),
            ] {
                let preset = if codec == "av1" { "12" } else { "ultrafast" };
                rates.push(json!({"Codec": codec, "Preset": preset, "Crf": crf,
                    "Bitrate": bitrate, "Max_bitrate": max, "Buf_size": buffer}));
            }
        }
    }
    for video in rates {
        let mut body = ladder(video.clone(), json!({}));
        body["Output"]["Audio_outputs"] = json!([]);
        body["Output"]["Video_outputs"]
            .as_array_mut()
            .unwrap()
            .truncate(1);
        let plan = plan(&spec(&body), &super::video(), &Feed::FlvPipe);
        let fragments = fragments(&plan, &run(&plan, input.clone()));
        assert!(!fragments.is_empty(), "{video}");
    }
}

#[test]
fn what_the_input_lacks_is_made_up_and_ends_with_it() {
    let body = ladder(json!({}), json!({}));
    for (input, media) in [(video(), flv(true, false)), (audio(), flv(false, true))] {
        let plan = plan(&spec(&body), &input, &Feed::FlvPipe);
        assert_rounds(&plan, &fragments(&plan, &run(&plan, media)));
    }
    let mut silent = body;
    silent["Output"]["Audio_outputs"] = json!([]);
    let plan = plan(&spec(&silent), &audio(), &Feed::FlvPipe);
    assert_rounds(&plan, &fragments(&plan, &run(&plan, flv(false, true))));
}

#[test]
fn low_latency_gops_come_in_parts() {
    let mut body = ladder(json!({}), json!({"Codec": "av1", "Preset": 12}));
    body["Output"]["Low_latency_mode"] = json!(true);
    body["Output"]["Fragment_duration"] = json!(0.2);
    let plan = plan(&spec(&body), &both(), &Feed::FlvPipe);
    assert!(plan.parts);
    let fragments = fragments(&plan, &run(&plan, flv(true, true)));
    for track in 0..2 {
        let parts = of_track(&fragments, track);
        for part in &parts[..parts.len() - 1] {
            assert!((part.length - 0.2).abs() < 1e-3, "{part:?}");
            let begins_gop = part.start.fract() < 1e-3;
            assert_eq!(part.starts_with_key, begins_gop, "{part:?}");
        }
    }
    let sound = of_track(&fragments, 2);
    assert!(sound.iter().all(|part| part.length < 0.5), "{sound:?}");
}

/// The tags of a second FLV after the first's, with their times shifted: a
/// publisher that came back.
fn followed_by(first: Vec<u8>, second: &[u8], shift_ms: u32) -> Vec<u8> {
    const HEADER: usize = 13;
    const TAG_HEADER: usize = 11;
    let mut joined = first;
    let mut rest = &second[HEADER..];
    while !rest.is_empty() {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let (tag, after) = rest.split_at(TAG_HEADER + size + 4);
        let [high, low @ ..] =
            (u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]) + shift_ms).to_be_bytes();
        let mut tag = tag.to_vec();
        tag[4..7].copy_from_slice(&low);
        tag[7] = high;
        joined.extend(tag);
        rest = after;
    }
    joined
}

/// The last picture of the first track: its luma, row by row.
fn last_picture(media: Vec<u8>, pixels: usize) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-i", "pipe:0"])
        .args([
            "-map", "0:v:0", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&media));
    let mut luma = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut luma).unwrap();
    assert!(child.wait().unwrap().success());
    writer.join().unwrap().unwrap();
    luma.split_off(luma.len() - pixels)
}

#[test]
fn a_publisher_comes_back_with_another_shape() {
    const BLACK: std::ops::RangeInclusive<u8> = 0..=20;
    let (width, height) = (160, 90);
    let plan = plan(
        &spec(&ladder(json!({}), json!({}))),
        &both(),
        &Feed::FlvPipe,
    );
    let first = flv_of(
        Some("testsrc2=s=320x180:r=30:d=2"),
        Some("sine=r=44100:d=2"),
    );
    let portrait = flv_of(
        Some("testsrc2=s=180x320:r=25:d=2"),
        Some("sine=r=44100:d=2"),
    );
    let media = run(&plan, followed_by(first, &portrait, 3_000));
    assert_rounds(&plan, &fragments(&plan, &media));
    let luma = last_picture(media, width * height);
    let row = &luma[width * height / 2..][..width];
    assert!(
        BLACK.contains(&row[2]) && BLACK.contains(&row[width - 3]),
        "{row:?}"
    );
    assert!(
        row[width / 2 - 10..width / 2 + 10]
            .iter()
            .any(|y| !BLACK.contains(y))
    );
}
