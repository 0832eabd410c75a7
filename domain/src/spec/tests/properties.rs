//! What holds for any body.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
        json!("rtmp://[2606:4700::1]:1936/live/x"),
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
            // Labels that happen to be equal, derived GOPs that don't fit, the
            // highest rates with long GOPs or AV1.
            Err(Faults(faults)) => prop_assert!(
                faults.iter().all(|f| f.pointer.ends_with("Label") || f.pointer.ends_with("Gop_size")
                    || ["at least", "is the most", "for this encoder"].iter().any(|of| f.detail.contains(of))),
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
