//! The encoders' part of the command line.

use super::cadence::{Cadence, Pace};
use super::{Args, reorder_alike};
use crate::spec::{AudioCodec, Spec, VideoCodec, VideoOutput};

pub(super) fn push(args: &mut Args, spec: &Spec, cadence: &Cadence) {
    let style = Style {
        low_latency: spec.output.low_latency_mode,
        b_frames: reorder_alike(spec, cadence),
    };
    let videos = spec.output.video_outputs.iter().zip(&cadence.videos);
    for (index, (video, pace)) in videos.enumerate() {
        push_video(args, index, video, *pace, style);
    }
    for (index, audio) in spec.output.audio_outputs.iter().enumerate() {
        match audio.codec {
            AudioCodec::Aac => args.pair(format!("-c:a:{index}"), "aac"),
        }
        args.pair(format!("-b:a:{index}"), audio.bitrate);
    }
}

/// What holds for all video encoders of a run.
#[derive(Debug, Clone, Copy)]
struct Style {
    low_latency: bool,
    b_frames: bool,
}

fn push_video(args: &mut Args, index: usize, video: &VideoOutput, pace: Pace, style: Style) {
    let frames = pace.frames;
    let mut set = |option: &str, value: String| {
        args.pair(format!("-{option}:v:{index}"), value);
    };
    set("c", video.codec.encoder().to_owned());
    set("preset", video.preset.clone());
    set("g", frames.to_string());
    match video.codec {
        VideoCodec::H264 => {
            set("profile", "high".to_owned());
            set("keyint_min", frames.to_string());
            set("sc_threshold", "0".to_owned());
            set("threads", video.threads.to_string());
            // Its lookahead in a thread of its own holds back more frames, and
            // so the first segment, for nothing that an idle core won't do.
            if !style.low_latency {
                set("x264-params", "sync-lookahead=0".to_owned());
            }
        }
        VideoCodec::H265 => {
            // Apple's players take only hvc1.
            set("tag", "hvc1".to_owned());
            let (bframes, threads) = (
                if style.b_frames { "" } else { "bframes=0:" },
                video.threads,
            );
            set(
                "x265-params",
                format!(
                    "keyint={frames}:min-keyint={frames}:scenecut=0:open-gop=0:{bframes}\
                     pools={threads}:log-level=warning"
                ),
            );
        }
        VideoCodec::Av1 => set("svtav1-params", svt_av1_params(video, style)),
    }
    if video.codec != VideoCodec::Av1 {
        if style.low_latency {
            set("tune", "zerolatency".to_owned());
        } else if !style.b_frames {
            set("bf", "0".to_owned());
        }
    }
    // SVT-AV1 refuses a maximum beside a mean; all take one beside a quality.
    match video.crf {
        Some(crf) => set("crf", crf.to_string()),
        None => set("b", video.bitrate.to_string()),
    }
    if video.codec != VideoCodec::Av1 || video.crf.is_some() {
        set("maxrate", video.max_bitrate.to_string());
    }
    set("bufsize", video.buf_size.to_string());
}

/// Rate control by name, as FFmpeg's guess differs between its versions: 0
/// constant quality, 1 variable, 2 constant, the only one for low delay.
fn svt_av1_params(video: &VideoOutput, style: Style) -> String {
    const MOST_PARALLEL: u32 = 6;
    let rate_control = match (video.crf, style.low_latency) {
        (Some(_), _) => 0,
        (None, false) => 1,
        (None, true) => 2,
    };
    let structure = if style.low_latency {
        ":pred-struct=1"
    } else {
        ""
    };
    let parallel = video.threads.min(MOST_PARALLEL);
    format!("rc={rate_control}:scd=0:lp={parallel}{structure}")
}
