use proptest::prelude::*;
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
fn malformed_json_is_one_fault_with_its_place() {
    for (body, place) in [
        (&b""[..], "line 1 column 0"),
        (b"{", "line 1 column 1"),
        (b"{\n  \"Input\": nope}", "line 2 column 13"),
        (b"{} {}", "line 1 column 4"),
        (b"\xff\xfe", "line 1 column 1"),
        (b"{\"a\": 1e999}", "line 1 column"),
    ] {
        let Faults(faults) = Spec::parse(body, &OperatorPolicy::default()).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, "");
        assert!(faults[0].detail.contains(place), "{:?}", faults[0]);
    }
    let deep = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
    assert_eq!(
        Spec::parse(&deep, &OperatorPolicy::default())
            .unwrap_err()
            .0
            .len(),
        1
    );
    for body in [json!(null), json!([]), json!("x"), json!(1)] {
        fault_at("", &body);
    }
}

#[test]
fn a_thousand_of_anything_is_not_a_thousand_faults() {
    let detail = fault_at(
        "/Output/Video_outputs",
        &with("/Output/Video_outputs", json!(vec![1; 1000])),
    );
    assert!(detail.contains("1000") && detail.contains("10"), "{detail}");
    fault_at(
        "/Output/Audio_outputs",
        &with("/Output/Audio_outputs", json!(vec![1; 6])),
    );
    let many: serde_json::Map<_, _> = (0..1000).map(|i| (format!("k{i}"), json!(1))).collect();
    assert_eq!(faults(&Value::Object(many)).len(), 51);
    let long = "x".repeat(60_000);
    let Faults(faults) = parse(&json!({"Output": {(long.clone()): 1}})).unwrap_err();
    assert!(
        faults
            .iter()
            .all(|f| f.pointer.len() + f.detail.len() < 200)
    );
}

#[test]
fn one_key_in_two_spellings_is_a_fault() {
    let twice = SAMPLE.replace(
        "\"Stream_type\": \"both\",",
        "\"Stream_type\": \"both\", \"stream_type\": \"hls\",",
    );
    let Faults(faults) = Spec::parse(twice.as_bytes(), &OperatorPolicy::default()).unwrap_err();
    assert_eq!(faults[0].pointer, "/Output/stream_type");
    assert!(faults[0].detail.contains("Stream_type"));
    let same = SAMPLE.replace("\"Input\": {", "\"Input\": {}, \"Input\": {");
    let Faults(faults) = Spec::parse(same.as_bytes(), &OperatorPolicy::default()).unwrap_err();
    assert_eq!(faults[0].pointer, "/Input");
}

#[test]
fn values_out_of_range_name_their_field() {
    for (key, hostile) in [
        (
            "Framerate",
            vec![
                json!(-1),
                json!(0.5),
                json!(60.1),
                json!(1e308),
                json!("25"),
                json!(25.00001),
            ],
        ),
        (
            "Width",
            vec![
                json!(0),
                json!(30),
                json!(641),
                json!(3842),
                json!(-640),
                json!(640.5),
                json!(null),
            ],
        ),
        (
            "Height",
            vec![json!(2162), json!(1e20), json!("360"), json!(true)],
        ),
        (
            "Bitrate",
            vec![
                json!(-1),
                json!(0),
                json!(365),
                json!("365"),
                json!("1e6"),
                json!("k"),
                json!("999999M"),
                json!("365k\u{0}"),
                json!({}),
            ],
        ),
        ("Max_bitrate", vec![json!("300k"), json!("201M")]),
        ("Buf_size", vec![json!(1), json!("1G"), json!(-5)]),
        (
            "Preset",
            vec![
                json!("warp"),
                json!("13"),
                json!(5),
                json!("-i"),
                json!("faster;ls"),
                json!("faster\u{0}"),
                json!("%0a"),
            ],
        ),
        ("Threads", vec![json!(0), json!(17), json!(1.5), json!(-2)]),
        ("Crf", vec![json!(0), json!(52), json!(-1), json!("x")]),
        (
            "Gop_size",
            vec![
                json!(0),
                json!(3),
                json!(8),
                json!(-2),
                json!(1.0001),
                json!("2"),
            ],
        ),
        (
            "Label",
            vec![
                json!(""),
                json!("a b"),
                json!("-i"),
                json!("../x"),
                json!("Master"),
                json!("manifest"),
                json!("timeline"),
                json!("a\nb"),
                json!("é"),
                json!("x".repeat(65)),
                json!("VIDEO550K"),
            ],
        ),
        ("Codec", vec![json!("vp9"), json!(""), json!(264)]),
    ] {
        for value in hostile {
            let body = with(&format!("{VIDEO}/{key}"), value.clone());
            let listed = faults(&body);
            let named = listed.iter().any(|(at, _)| {
                at == &format!("{VIDEO}/{key}")
                    // What is fine by itself but not beside the others is
                    // reported where the difference shows.
                    || at == &format!("/Output/Video_outputs/1/{key}")
                    || (key == "Label" && at == "/Output/Video_outputs/1/Label")
            });
            assert!(named, "{key} {value}: {listed:?}");
        }
    }
}

#[test]
fn packaging_out_of_range_names_its_field() {
    for (key, hostile) in [
        (
            "Segment_duration",
            vec![json!(0.9), json!(10.5), json!("4"), json!(-4)],
        ),
        (
            "Fragment_duration",
            vec![json!(0), json!(3), json!(8), json!(0.05)],
        ),
        (
            "Time_shift_buffer_depth",
            vec![json!(11), json!(14_401), json!(-1), json!(1.5)],
        ),
        ("Stream_type", vec![json!("-i"), json!(1)]),
        ("Segment_format", vec![json!("ts")]),
        ("Low_latency_mode", vec![json!(2), json!("true")]),
        ("S3_output", vec![json!("bucket"), json!([])]),
        ("Video_outputs", vec![json!([]), json!(null), json!({})]),
        ("Drm", vec![json!({}), json!(1)]),
    ] {
        for value in hostile {
            let body = with(&format!("/Output/{key}"), value.clone());
            fault_at(&format!("/Output/{key}"), &body);
        }
    }
    for (key, value) in [
        ("Bitrate", json!(128)),
        ("Bitrate", json!("8k")),
        ("Bitrate", json!("600k")),
        ("Sample_rate", json!(22_050)),
        ("Channels", json!(6)),
        ("Codec", json!("mp3")),
    ] {
        let pointer = format!("/Output/Audio_outputs/0/{key}");
        fault_at(&pointer, &with(&pointer, value));
    }
    for (key, value) in [
        ("Reconnect_window", json!(3601)),
        ("Idle_stop_minutes", json!(-1)),
    ] {
        let pointer = format!("/Input/{key}");
        fault_at(&pointer, &with(&pointer, value));
    }
}

#[test]
fn the_first_version_s_kbit_are_explained() {
    let detail = fault_at(
        &format!("{VIDEO}/Bitrate"),
        &with(&format!("{VIDEO}/Bitrate"), json!(365)),
    );
    assert_eq!(detail, "365 bit/s is too little; for kbit/s write \"365k\"");
}

#[test]
fn key_frames_must_fall_together() {
    let second = "/Output/Video_outputs/1";
    fault_at(
        &format!("{second}/Gop_size"),
        &with(&format!("{second}/Gop_size"), json!(1)),
    );
    // 50 frames in 2 s here, 59.94 frames in 2.002 s there.
    fault_at(
        &format!("{second}/Gop_size"),
        &with(&format!("{second}/Framerate"), json!(29.97)),
    );
    for framerate in [24, 30, 50, 60] {
        parse(&with(&format!("{second}/Framerate"), json!(framerate))).unwrap();
    }
    let spec = parse(&with(&format!("{second}/Framerate"), json!(0))).unwrap();
    assert_eq!(spec.output.video_outputs[1].framerate, None);
    assert_eq!(
        spec.warnings()[0].pointer,
        "/output/video_outputs/1/framerate"
    );
}

#[test]
fn the_default_gop_suits_the_segment() {
    for (segment, framerate, gop) in [
        (4.0, 25.0, 2000),
        (10.0, 25.0, 2000),
        (5.0, 25.0, 1000),
        (3.0, 25.0, 1000),
        (3.0, 30.0, 1500),
        (1.0, 25.0, 1000),
        (3.84, 25.0, 1920),
        (4.0, 29.97, 2000),
        (1.009, 25.0, 1009),
    ] {
        let spec = parse(
            &json!({"output": {"segment_duration": segment, "video_outputs": [
            {"width": 640, "height": 360, "bitrate": "400k", "framerate": framerate}]}}),
        );
        let spec = spec.unwrap();
        assert_eq!(
            spec.output.video_outputs[0].gop_size.millis, gop,
            "{segment} {framerate}"
        );
        assert_eq!(spec.output.fragment_duration.millis, gop);
    }
    let low = parse(&with("/Output/Low_latency_mode", json!(true))).unwrap();
    assert_eq!(low.output.fragment_duration.millis, 400);
}

#[test]
fn presets_are_those_of_the_encoder() {
    for preset in [json!(10), json!("10"), json!(0)] {
        let mut body = with(&format!("{VIDEO}/Codec"), json!("av1"));
        body["Output"]["Video_outputs"][0]["Preset"] = preset.clone();
        parse(&body).unwrap_or_else(|faults| panic!("{preset}: {faults}"));
    }
    let detail = fault_at(
        &format!("{VIDEO}/Preset"),
        &with(&format!("{VIDEO}/Codec"), json!("av1")),
    );
    assert!(detail.contains("libsvtav1"), "{detail}");
}

fn source(url: &str, policy: &OperatorPolicy) -> Result<Source, String> {
    let body = with("/Input/Url", json!(url));
    match Spec::from_value(&body, policy) {
        Ok(spec) => Ok(spec.input.source),
        Err(Faults(faults)) => {
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].pointer, "/Input/Url");
            Err(faults[0].detail.clone())
        }
    }
}

#[test]
fn rtmp_to_this_machine_is_a_push() {
    let policy = OperatorPolicy::default();
    for (url, port, app, stream) in [
        ("", 1935, "live", None),
        ("rtmp://127.0.0.1:1935/live/app", 1935, "live", Some("app")),
        ("rtmp://127.9.9.9/live", 1935, "live", None),
        (
            "rtmp://0.0.0.0:1940/show/one/two",
            1940,
            "show",
            Some("one/two"),
        ),
        ("rtmp://[::1]/", 1935, "live", None),
        ("rtmp://[::]:2000", 2000, "live", None),
        ("RTMP://LocalHost/x/y", 1935, "x", Some("y")),
    ] {
        let Ok(Source::Push { url: push }) = source(url, &policy) else {
            panic!("{url} is no push");
        };
        assert_eq!(
            (push.port, push.app.as_str(), push.stream.as_deref()),
            (port, app, stream)
        );
    }
    for url in [
        "rtmp://127.0.0.1:0/live",
        "rtmp://127.0.0.1/live/%0a",
        "rtmp://127.0.0.1/-i/x",
        "rtmp://127.0.0.1/live/../x y",
        "rtmp://u:p@127.0.0.1/live",
        "rtmp://127.0.0.1/live?k=v",
        "rtmp://127.0.0.1:99999/live",
    ] {
        source(url, &policy).unwrap_err();
    }
}

#[test]
fn pulled_urls_lead_to_the_public_internet_only() {
    let policy = OperatorPolicy::default();
    for url in [
        "http://127.0.0.1/a",
        "http://2130706433/a",
        "http://0177.0.0.1/a",
        "http://0x7f.1/a",
        "http://127.1/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[::127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://[2002:7f00:1::]/a",
        "http://localhost/a",
        "http://LOCALHOST./a",
        "http://a.localhost/a",
        "http://127.0.0.1./a",
        "http://１２７.0.0.1/a",
        "http://%31%32%37.0.0.1/a",
        "http://0/a",
        "http://169.254.170.2/v2/credentials",
        "https://169.254.169.254/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[ff02::1]/",
        "http://user@127.0.0.1/",
        "http://example.com\\@127.0.0.1:x/",
        "rtmp://2130706433/live/x",
        "rtmp://0177.0.0.1/live/x",
        "rtmp://0x7f000001/live/x",
        "rtmp://[::ffff:127.0.0.1]/live/x",
        "rtmp://127.0.0.1./live/x",
        "rtmp://127.1/live/x",
        "rtmp://%31%32%37.0.0.1/live",
        "rtmps://127.0.0.1/live/x",
        "rtmp://10.0.0.1/live/x",
        "rtmp://169.254.169.254/live/x",
        "rtsp://127.0.0.1/x",
        "srt://127.0.0.1:9000",
        "srt://localhost:9000",
        "file:///etc/passwd",
        "concat:a|b",
        "data:text/plain,x",
        "ftp://example.com/",
        "udp://239.0.0.1:1234",
        "gopher://example.com/",
        "pipe:0",
        "-i",
        "--help",
        "/etc/passwd",
        "example.com/live",
        "http://",
        "rtmp:///live",
        "srt://:9000",
        "http://exa mple.com/",
        "http://example.com/\n",
        "http://example.com:0/",
        "rtmp://example.com:99999/x",
        "subfile,,start,0,end,9,,:http://example.com",
    ] {
        source(url, &policy).unwrap_err();
    }
    source(&format!("http://example.com/{}", "x".repeat(2048)), &policy).unwrap_err();
    for url in [
        "rtmp://example.com/live/x",
        "rtmps://example.com:443/live/x",
        "rtsp://cam:pw@example.com/s?channel=1",
        "https://example.com/live/index.m3u8?token=a",
        "http://1.1.1.1/a.ts",
        "srt://example.com:9000?mode=caller&streamid=a&passphrase=0123456789&latency=120000&pbkeylen=16",
    ] {
        assert!(
            matches!(source(url, &policy), Ok(Source::Pull { .. })),
            "{url}"
        );
    }
}

#[test]
fn the_operator_may_allow_private_sources() {
    let policy = OperatorPolicy::default()
        .allow_networks("127.0.0.0/8,10.0.0.0/8")
        .unwrap();
    for url in [
        "http://127.0.0.1:8080/a.m3u8",
        "srt://localhost:9000",
        "rtmp://10.1.2.3/live/x",
    ] {
        assert!(
            matches!(source(url, &policy), Ok(Source::Pull { .. })),
            "{url}"
        );
    }
    assert!(matches!(
        source("rtmp://127.0.0.1/live", &policy),
        Ok(Source::Push { .. })
    ));
    source("http://169.254.169.254/", &policy).unwrap_err();
}

#[test]
fn srt_takes_few_parameters() {
    let policy = OperatorPolicy::default();
    for query in [
        "mode=listener",
        "mode=rendezvous",
        "passphrase=short",
        "pbkeylen=7",
        "latency=-1",
        "latency=x",
        "localport=1",
        "transtype=file",
        "linger=9",
        "mode=caller&mode=listener",
        "streamid=a&streamid=b",
        "Mode=listener",
    ] {
        source(&format!("srt://example.com:9000?{query}"), &policy).unwrap_err();
    }
    source("srt://example.com", &policy).unwrap_err();
    let body = with("/Input/Url", json!("srt://example.com:9000?latency=200"));
    assert!(
        parse(&body).unwrap().warnings()[0]
            .detail
            .contains("microseconds")
    );
}

#[test]
fn secrets_of_a_url_are_not_shown() {
    let policy = OperatorPolicy::default();
    for (url, redacted) in [
        ("rtsp://cam:pw@example.com/s?key=1", "rtsp://example.com/s"),
        (
            "rtmp://u:p@example.com:1936/live/streamkey",
            "rtmp://example.com:1936/live/…",
        ),
        (
            "https://example.com/a.m3u8?token=1#x",
            "https://example.com/a.m3u8",
        ),
        (
            "https://example.com/live/0123456789abcdef/a.m3u8",
            "https://example.com/live/…",
        ),
        (
            "srt://example.com:9000?passphrase=0123456789",
            "srt://example.com:9000",
        ),
    ] {
        let Ok(Source::Pull { url }) = source(url, &policy) else {
            panic!("{url}")
        };
        assert_eq!(url.redacted(), redacted);
        assert_eq!(format!("{url}"), redacted);
        assert_eq!(format!("{url:?}"), format!("PullUrl({redacted})"));
    }
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

fn rendition() -> impl Strategy<Value = Value> {
    (
        prop::sample::select(vec!["h264", "H265", "av1"]),
        prop::sample::select(vec![json!(25), json!(50), json!(0), json!(null)]),
        (32_u32..=1920, 32_u32..=1080),
        prop_oneof![
            (10_000_u32..=100_000_000).prop_map(|b| json!(b)),
            (100_u32..9999).prop_map(|b| json!(format!("{b}k")))
        ],
        prop::option::of(1_u32..=51),
        1_u32..=16,
        prop::option::of("[a-z0-9_]{1,12}"),
    )
        .prop_map(|(codec, framerate, (w, h), bitrate, crf, threads, label)| {
            json!({"Codec": codec, "Framerate": framerate, "Width": w * 2, "Height": h * 2,
                   "Bitrate": bitrate, "crf": crf, "Threads": threads, "Label": label})
        })
}

fn body() -> impl Strategy<Value = Value> {
    let url = prop::sample::select(vec![
        json!(null),
        json!("rtmp://0.0.0.0:1940/live"),
        json!("rtmp://127.0.0.1/a/b/c"),
        json!("rtsp://user:p%40ss@example.com/s?x=1&y=2"),
        json!("https://bücher.example/ü.m3u8"),
        json!("rtmp://bücher.example/live/x"),
        json!("srt://example.com:9000?streamid=a%20b"),
        json!("rtmp://[2606:4700::1]:1936/live"),
    ]);
    let segment = prop::sample::select(vec![
        json!(1),
        json!(2.4),
        json!(3.84),
        json!(4),
        json!(6),
        json!(10),
    ]);
    (
        (url, 0_u32..=3600, 0_u32..=60),
        (segment, any::<bool>(), 30_u32..=14_400),
        prop::collection::vec(rendition(), 1..=10),
        prop::collection::vec((16_000_u32..=256_000, 1_u32..=2, prop::sample::select(vec![44_100, 48_000])), 0..=5),
    )
        .prop_map(|((url, window, idle), (segment, low, depth), videos, audios)| {
            let audios: Vec<_> = audios
                .into_iter()
                .map(|(bitrate, channels, rate)| json!({"Bitrate": bitrate, "Channels": channels, "Sample_rate": rate}))
                .collect();
            json!({
                "Input": {"Url": url, "Reconnect_window": window, "Idle_stop_minutes": idle},
                "Output": {"Segment_duration": segment, "Low_latency_mode": u8::from(low),
                           "Time_shift_buffer_depth": depth, "Video_outputs": videos,
                           "Audio_outputs": audios},
            })
        })
}

/// JSON made of this crate's own keys and of values that hurt.
fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(rtmp|http|srt|file|rtsp)://[a-z0-9.:@\\[\\]/?#%-]{0,30}".prop_map(Value::from),
        "-?[0-9.]{0,12}[kKmMgG]?".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "Input",
            "output",
            "URL",
            "Video_outputs",
            "audio_outputs",
            "Label",
            "Codec",
            "width",
            "Height",
            "Bitrate",
            "Max_bitrate",
            "Gop_size",
            "Segment_duration",
            "Framerate",
            "drm",
            "Fragment_duration",
            "S3_output",
            "bucket",
            "Preset",
            "crf",
            "threads",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(5, 64, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_spec_reads_back_as_itself(body in body()) {
        match parse(&body) {
            // Labels that happen to be equal, derived GOPs that don't fit.
            Err(Faults(faults)) => prop_assert!(
                faults.iter().all(|f| f.pointer.ends_with("Label") || f.pointer.ends_with("Gop_size")
                    || f.detail.contains("at least")),
                "{faults:?}"
            ),
            Ok(spec) => {
                let text = serde_json::to_vec(&spec).unwrap();
                let again = Spec::parse(&text, &OperatorPolicy::default());
                prop_assert_eq!(again.as_ref(), Ok(&spec));
                prop_assert_eq!(serde_json::from_slice::<Spec>(&text).unwrap(), spec.clone());
                prop_assert!(spec.weight() > 0.0);
                spec.warnings();
            }
        }
    }

    #[test]
    fn no_json_makes_it_panic(body in hostile()) {
        if let Err(Faults(faults)) = parse(&body) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn no_video_output_makes_it_panic(output in hostile(), at in 0_usize..2) {
        let _ = parse(&with(&format!("/Output/Video_outputs/{at}"), output.clone()));
        let _ = parse(&with("/Output", output));
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Spec::parse(&body, &OperatorPolicy::default()).is_err());
    }

    #[test]
    fn no_url_makes_it_panic(url in "\\PC{0,40}|[a-z]{1,6}://\\PC{0,30}") {
        let _ = PullUrl::parse(&url, &OperatorPolicy::default());
    }
}
