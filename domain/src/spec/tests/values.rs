//! The bounds of every value.

use serde_json::json;

use super::*;

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

#[test]
fn svt_av1_starts_with_what_is_accepted() {
    let av1 = |crf: Value, bitrate: &str, max: Value, buffer: Value| {
        let mut body = with(&format!("{VIDEO}/Codec"), json!("av1"));
        let video = &mut body["Output"]["Video_outputs"][0];
        video["Preset"] = json!(12);
        video["Crf"] = crf;
        video["Bitrate"] = json!(bitrate);
        video["Max_bitrate"] = max;
        video["Buf_size"] = buffer;
        body
    };
    let none = Value::Null;
    // 20 ms to 10 s of the mean; of the maximum beside a quality.
    for (crf, bitrate, max, buffer) in [
        (none.clone(), "365k", none.clone(), json!("3651k")),
        (none.clone(), "365k", none.clone(), json!("10M")),
        (none.clone(), "5M", none.clone(), json!("99k")),
        (json!(30), "5M", json!("6M"), json!("119k")),
        (json!(30), "500k", json!("600k"), json!("6001k")),
    ] {
        let body = av1(crf, bitrate, max, buffer);
        let detail = fault_at(&format!("{VIDEO}/Buf_size"), &body);
        assert!(detail.contains("0.02 to 10 seconds"), "{detail}");
    }
    let body = av1(json!(30), "10M", json!("150M"), none.clone());
    let detail = fault_at(&format!("{VIDEO}/Max_bitrate"), &body);
    assert!(detail.contains("100M"), "{detail}");
    for (crf, bitrate, max, buffer) in [
        (none.clone(), "365k", none.clone(), json!("3650k")),
        (none.clone(), "5M", none.clone(), json!("100k")),
        (none.clone(), "50M", json!("150M"), none.clone()),
        (json!(30), "5M", json!("6M"), json!("120k")),
        (json!(30), "100M", none.clone(), none),
    ] {
        let spec = parse(&av1(crf.clone(), bitrate, max, buffer)).unwrap();
        let most = spec.output.video_outputs[0].max_bitrate;
        assert!(crf.is_null() || most <= 100_000_000, "{most}");
    }
}

#[test]
fn fragments_are_no_larger_than_a_worker_takes_them() {
    let long = |bitrate: &str, low_latency: bool| {
        let mut body = sample();
        body["Output"]["Segment_duration"] = json!(10);
        body["Output"]["Low_latency_mode"] = json!(low_latency);
        for video in body["Output"]["Video_outputs"].as_array_mut().unwrap() {
            video["Gop_size"] = json!(10);
        }
        let video = &mut body["Output"]["Video_outputs"][0];
        video["Bitrate"] = json!(bitrate);
        video.as_object_mut().unwrap().remove("Max_bitrate");
        video.as_object_mut().unwrap().remove("Buf_size");
        body
    };
    let detail = fault_at(&format!("{VIDEO}/Bitrate"), &long("60M", false));
    assert!(
        detail.contains("97 MB") && detail.contains("67 MB"),
        "{detail}"
    );
    parse(&long("40M", false)).unwrap();
    // In parts of 0.4 s.
    parse(&long("60M", true)).unwrap();
    let mut body = long("40M", false);
    body["Output"]["Video_outputs"][0]["Max_bitrate"] = json!("80M");
    fault_at(&format!("{VIDEO}/Max_bitrate"), &body);
}
