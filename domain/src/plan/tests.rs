mod ffmpeg;

use serde_json::{Value, json};

use super::*;
use crate::input::{InputAudio, InputVideo};
use crate::spec::OperatorPolicy;

pub(super) fn sample() -> Value {
    serde_json::from_str(include_str!("../../../live_job.json")).unwrap()
}

pub(super) fn spec(body: &Value) -> Spec {
    Spec::from_value(body, &OperatorPolicy::default()).unwrap()
}

/// The sample with members of its first rendition changed, and alone.
fn alone(changes: Value) -> Value {
    let mut body = sample();
    let mut video = body["Output"]["Video_outputs"][0].clone();
    for (key, value) in changes.as_object().unwrap() {
        video[key] = value.clone();
    }
    body["Output"]["Video_outputs"] = json!([video]);
    body
}

pub(super) fn video() -> InputInfo {
    InputInfo {
        video: Some(InputVideo {
            codec: "h264".to_owned(),
            width: 1280,
            height: 720,
            fps: Some(30.0),
        }),
        audio: None,
    }
}

pub(super) fn audio() -> InputInfo {
    InputInfo {
        video: None,
        audio: Some(InputAudio {
            codec: "aac".to_owned(),
            sample_rate: 44_100,
            channels: 2,
        }),
    }
}

pub(super) fn both() -> InputInfo {
    InputInfo {
        audio: audio().audio,
        ..video()
    }
}

fn url(url: &str) -> Feed {
    Feed::Url {
        url: url.to_owned(),
        http_proxy: None,
    }
}

/// One option and its value to a line.
fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    for arg in &plan.argv {
        let option = arg.starts_with('-') && !arg.starts_with("-i ");
        text.push_str(if option && !text.is_empty() {
            "\n"
        } else if text.is_empty() {
            ""
        } else {
            " "
        });
        text.push_str(arg);
    }
    text
}

#[test]
fn no_debug_output_shows_a_url_or_a_password() {
    let feed = Feed::Url {
        url: "https://u:secret@example.com/secret/a.m3u8?token=secret".to_owned(),
        http_proxy: Some("http://u:secret@127.0.0.1:4000".to_owned()),
    };
    let plan = plan(&spec(&sample()), &both(), &feed);
    assert!(plan.argv.iter().any(|arg| arg.contains("token=secret")));
    assert!(!plan.argv.iter().any(|arg| arg.contains("127.0.0.1")));
    for shown in [format!("{feed:?}"), format!("{plan:?}")] {
        assert!(
            shown.contains("https") && !shown.contains("secret"),
            "{shown}"
        );
    }
}

#[test]
fn argv_of_every_kind_of_job() {
    let av1 = json!({"Codec": "av1", "Preset": 10});
    let h265 = json!({"Codec": "h265", "Preset": "superfast", "Crf": 28});
    let mut low = sample();
    low["Output"]["Low_latency_mode"] = json!(1);
    let mut low_av1 = alone(av1.clone());
    low_av1["Output"]["Low_latency_mode"] = json!(1);
    let mut audios = sample();
    audios["Output"]["Audio_outputs"] = json!([
        {"Bitrate": "192k"}, {"Bitrate": "128k", "Sample_rate": 44100}, {"Bitrate": "64k", "Channels": 1}]);
    let mut mixed = sample();
    mixed["Output"]["Video_outputs"][1]["Framerate"] = json!(50);
    let mut silent = sample();
    silent["Output"]["Audio_outputs"] = json!([]);
    let hls = Feed::Url {
        url: "http://_https.example.com/live/index.m3u8?token=a".to_owned(),
        http_proxy: Some("http://u:secret@127.0.0.1:4000".to_owned()),
    };
    for (name, body, input, feed) in [
        ("sample", sample(), both(), Feed::FlvPipe),
        ("no_audio_input", sample(), video(), Feed::FlvPipe),
        ("no_video_input", sample(), audio(), Feed::FlvPipe),
        ("no_audio_output", silent.clone(), both(), Feed::FlvPipe),
        (
            "no_audio_output_no_video_input",
            silent,
            audio(),
            Feed::FlvPipe,
        ),
        (
            "ntsc",
            alone(json!({"Framerate": 29.97})),
            both(),
            Feed::FlvPipe,
        ),
        ("mixed_rates", mixed, both(), Feed::FlvPipe),
        ("av1", alone(av1), both(), Feed::FlvPipe),
        ("h265", alone(h265), both(), Feed::FlvPipe),
        ("low_latency", low, both(), Feed::FlvPipe),
        ("low_latency_av1", low_av1, both(), Feed::FlvPipe),
        ("three_audios", audios, both(), Feed::FlvPipe),
        ("http_by_proxy", sample(), both(), hls),
        (
            "srt",
            sample(),
            both(),
            url("srt://example.com:9000?streamid=a"),
        ),
        ("rtsp", sample(), both(), url("rtsp://u:p@example.com/cam")),
    ] {
        insta::assert_snapshot!(name, shown(&plan(&spec(&body), &input, &feed)));
    }
}

#[test]
fn gops_are_whole_frames() {
    let gop = |body: &Value, fps: Option<f64>| {
        let mut input = both();
        input.video.as_mut().unwrap().fps = fps;
        let plan = plan(&spec(body), &input, &Feed::FlvPipe);
        let rates: Vec<f64> = plan
            .tracks
            .iter()
            .filter_map(|track| match track.kind {
                TrackKind::Video { framerate, .. } => Some(framerate),
                TrackKind::Audio { .. } => None,
            })
            .collect();
        (plan.gop.as_micros(), rates)
    };
    assert_eq!(gop(&sample(), Some(60.0)), (2_000_000, vec![25.0, 25.0]));
    let ntsc = 30_000.0 / 1001.0;
    assert_eq!(
        gop(&alone(json!({"Framerate": 29.97})), None),
        (2_002_000, vec![ntsc])
    );
    let own = alone(json!({"Framerate": 0}));
    assert_eq!(gop(&own, Some(29.97)), (2_002_000, vec![ntsc]));
    assert_eq!(gop(&own, Some(50.0)), (2_000_000, vec![50.0]));
    assert_eq!(gop(&own, None), (2_000_000, vec![30.0]));
    assert_eq!(gop(&own, Some(1000.0)), (2_000_000, vec![60.0]));
    let mut beside = sample();
    beside["Output"]["Video_outputs"][1]["Framerate"] = json!(null);
    assert_eq!(gop(&beside, Some(29.97)), (2_000_000, vec![25.0, 30.0]));
}

#[test]
fn b_frames_only_where_all_encoders_delay_alike() {
    let has_bf = |first: Value, second: Value| {
        let mut body = sample();
        for (index, changes) in [first, second].iter().enumerate() {
            for (key, value) in changes.as_object().unwrap() {
                body["Output"]["Video_outputs"][index][key] = value.clone();
            }
        }
        let argv = plan(&spec(&body), &both(), &Feed::FlvPipe).argv;
        !argv.iter().any(|arg| arg.starts_with("-bf"))
    };
    let av1 = json!({"Codec": "av1", "Preset": "10"});
    assert!(has_bf(json!({}), json!({})));
    assert!(has_bf(json!({}), json!({"Codec": "h265"})));
    assert!(has_bf(
        json!({"Preset": "ultrafast"}),
        json!({"Preset": "ultrafast"})
    ));
    assert!(has_bf(av1.clone(), av1.clone()));
    assert!(!has_bf(json!({}), json!({"Preset": "ultrafast"})));
    assert!(!has_bf(json!({}), json!({"Framerate": 50})));
    assert!(!has_bf(json!({}), av1));
}

#[test]
fn text_of_the_client_s_is_no_option() {
    let mut body = sample();
    body["Output"]["Video_outputs"][0]["Label"] = json!("y");
    body["Output"]["Video_outputs"][1]["Label"] = json!("i_f_lavfi");
    let changed = plan(&spec(&body), &both(), &Feed::FlvPipe);
    let usual = plan(&spec(&sample()), &both(), &Feed::FlvPipe);
    assert_eq!(changed.argv, usual.argv);
    assert_eq!(changed.tracks[1].label, "i_f_lavfi");
    let pulled = plan(
        &spec(&sample()),
        &both(),
        &url("http://example.com/-f/lavfi"),
    );
    let at = pulled
        .argv
        .iter()
        .position(|a| a == "http://example.com/-f/lavfi");
    assert_eq!(pulled.argv[at.unwrap() - 1], "-i");
}
