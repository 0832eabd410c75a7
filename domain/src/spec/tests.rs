//! Specs as they are read. Helpers for the tests of each topic are here too.

mod faults;
mod properties;
mod source;
mod values;

use serde_json::{Value, json};

use super::*;

const SAMPLE: &str = include_str!("../../../live_job.json");

fn sample() -> Value {
    serde_json::from_str(SAMPLE).unwrap()
}

fn parse(body: &Value) -> Result<Spec, Faults> {
    Spec::parse(body.to_string().as_bytes(), &OperatorPolicy::default())
}

/// The sample with one place of it changed; the pointer may name a new member.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = sample();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(members) => {
            members.insert(key.to_owned(), value);
        }
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
    body
}

fn faults(body: &Value) -> Vec<(String, String)> {
    let Faults(faults) = parse(body).unwrap_err();
    faults.into_iter().map(|f| (f.pointer, f.detail)).collect()
}

/// The one fault of this body, which must be at this pointer.
fn fault_at(pointer: &str, body: &Value) -> String {
    let faults = faults(body);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].0, pointer, "{faults:?}");
    faults[0].1.clone()
}

const VIDEO: &str = "/Output/Video_outputs/0";

#[test]
fn the_sample_is_a_valid_job_without_warnings() {
    let spec = Spec::parse(SAMPLE.as_bytes(), &OperatorPolicy::default()).unwrap();
    assert_eq!(spec.warnings(), []);
    assert_eq!(spec.worker_size(), WorkerSize::Small);
    insta::assert_json_snapshot!("sample", spec);
}

#[test]
fn little_needs_to_be_said() {
    let spec = parse(&json!({
        "output": {"video_outputs": [
            {"width": 640, "height": 360, "bitrate": "400k"},
            {"width": 640, "height": 360, "bitrate": 800_000, "codec": "HEVC"},
        ], "audio_outputs": [{}, {"bitrate": "64k", "channels": 1}]}
    }))
    .unwrap();
    insta::assert_json_snapshot!(
        "defaults",
        json!({"spec": spec, "warnings": spec.warnings()})
    );
}

#[test]
fn keys_and_words_are_matched_in_any_case() {
    let shout = SAMPLE
        .replace("Video_outputs", "VIDEO_OUTPUTS")
        .replace("\"Url\"", "\"uRL\"")
        .replace("h264", "H264")
        .replace("faster", "Faster")
        .replace("both", "BOTH");
    let spec = Spec::parse(shout.as_bytes(), &OperatorPolicy::default()).unwrap();
    assert_eq!(spec, parse(&sample()).unwrap());
}

#[test]
fn later_fields_of_the_family_are_accepted() {
    let mut body = with("/Output/Fragment_duration", json!(2));
    body["Output"]["Time_shift_buffer_depth"] = json!(3600);
    body["Output"]["Low_latency_mode"] = json!(1);
    body["Output"]["S3_output"] = json!({"Bucket": "my-bucket"});
    body["Output"]["Video_outputs"][0]["Crf"] = json!(23);
    let policy = OperatorPolicy::default().allow_buckets("other, my-bucket");
    let spec = Spec::from_value(&body, &policy).unwrap();
    assert_eq!(spec.output.time_shift_buffer_depth, 3600);
    assert!(spec.output.low_latency_mode);
    assert_eq!(spec.output.video_outputs[0].crf, Some(23));
    assert_eq!(spec.output.s3_output.unwrap().bucket, "my-bucket");

    let detail = fault_at("/Output/S3_output/Bucket", &body);
    assert!(detail.contains("listed"), "{detail}");
    for name in [
        "My-Bucket",
        "ab",
        "a..b",
        "-ab",
        "192.168.0.1",
        "a_b",
        "../x",
        "a/b",
    ] {
        let body = with("/Output/S3_output", json!({"Bucket": name}));
        let detail = fault_at("/Output/S3_output/Bucket", &body);
        assert!(detail.contains("no bucket name"), "{name}: {detail}");
    }
}

#[test]
fn every_fault_is_listed_at_once() {
    let listed = faults(&json!({
        "Input": {"URL": "file:///etc/passwd", "reconnect": 5},
        "output": {
            "Stream_type": "smooth",
            "Segment_duraton": 4,
            "Segment_duration": 0.5,
            "Time_shift_buffer_depth": -1,
            "Low_latency_mode": "yes",
            "a~b/c": 1,
            "Video_outputs": [
                {"Width": 641, "Height": 4320, "Bitrate": 365, "Preset": "-i", "Label": "-x"},
                {"Codec": "h266", "width": "640", "WIDTH": 640, "Height": 360, "Bitrate": [],
                 "Framerate": 120, "Threads": 1e300},
                7,
            ],
            "Audio_outputs": [{"Codec": "mp3", "Sample_rate": 8000, "Bitrate": 128}],
            "DRM": {"Protection_system": "FairPlay"},
        },
        "Extra": null
    }));
    let text: Vec<_> = listed
        .iter()
        .map(|(at, what)| format!("{at}: {what}"))
        .collect();
    insta::assert_snapshot!("faults", text.join("\n"));
}

#[test]
fn doubtful_jobs_are_warned_about() {
    let mut body = sample();
    body["Output"]["Audio_outputs"] = json!([]);
    body["Output"]["Low_latency_mode"] = json!(1);
    body["Output"]["Fragment_duration"] = json!(4);
    body["Output"]["Video_outputs"] = json!([
        {"Width": 1280, "Height": 720, "Bitrate": "1M", "Max_bitrate": "3M", "Buf_size": "4M", "Preset": "veryslow", "Threads": 1},
        {"Width": 1280, "Height": 720, "Bitrate": "1M", "Buf_size": "300k", "Codec": "av1", "Preset": "8"},
        {"Width": 3840, "Height": 2160, "Framerate": 60, "Bitrate": "20M", "Preset": "medium"},
    ]);
    let warnings = parse(&body).unwrap().warnings();
    let text: Vec<_> = warnings
        .iter()
        .map(|w| format!("{}: {}", w.pointer, w.detail))
        .collect();
    insta::assert_snapshot!("warnings", text.join("\n"));
}

#[test]
fn a_long_window_of_short_segments_is_warned_about() {
    let warning = |window: u32, segment: u32| {
        let mut body = with("/Output/Time_shift_buffer_depth", json!(window));
        body["Output"]["Segment_duration"] = json!(segment);
        for video in body["Output"]["Video_outputs"].as_array_mut().unwrap() {
            video["Gop_size"] = json!(1);
        }
        let mut warnings = parse(&body).unwrap().warnings();
        assert!(warnings.len() <= 1, "{warnings:?}");
        warnings.pop()
    };
    assert_eq!(warning(14_400, 4), None);
    assert_eq!(warning(1_800, 1), None);
    let warning = warning(14_400, 1).unwrap();
    assert_eq!(warning.pointer, "/output/time_shift_buffer_depth");
    assert!(
        warning.detail.contains("14400 segments"),
        "{}",
        warning.detail
    );
    assert!(
        warning.detail.contains("6.5 MB a second"),
        "{}",
        warning.detail
    );
}

#[test]
fn weight_picks_the_worker() {
    let weigh = |outputs: Value| {
        let spec = parse(&with("/Output/Video_outputs", outputs)).unwrap();
        (spec.worker_size(), spec.weight())
    };
    let rung = |width: u32, height: u32, codec: &str| json!({"Codec": codec, "Width": width, "Height": height, "Framerate": 30, "Bitrate": "3M"});
    let (size, weight) = weigh(sample()["Output"]["Video_outputs"].clone());
    assert_eq!(size, WorkerSize::Small);
    // Measured: 0.40 CPU-seconds for a second of media.
    assert!((weight - 0.40).abs() < 0.03, "{weight}");
    let hd = json!([
        rung(640, 360, "h264"),
        rung(1280, 720, "h264"),
        rung(1920, 1080, "h264")
    ]);
    assert_eq!(weigh(hd).0, WorkerSize::Medium);
    let uhd = json!([rung(1920, 1080, "h265"), rung(3840, 2160, "h265")]);
    assert_eq!(weigh(uhd).0, WorkerSize::Large);
}
