//! What works but deserves a second thought.

use super::bitrate::written;
use super::fault::Warning;
use super::rate::FrameRate;
use super::weight::WorkerSize;
use super::{Output, PullProtocol, Source, Spec, VideoCodec, VideoOutput};
use crate::timeline::LISTED_BYTES;

/// What a job may write of playlists in a second unwarned, bytes: as much as a
/// ladder of 8 Mbit/s does of media.
const LISTS_UNWARNED: u64 = 1_000_000;

impl Spec {
    /// What the client should think about; never a reason to refuse the job.
    pub fn warnings(&self) -> Vec<Warning> {
        let output = &self.output;
        let mut warnings = Vec::new();
        warn_of_input(&self.input.source, &mut warnings);
        warn_of_packaging(output, &mut warnings);
        warn_of_window(output, &mut warnings);
        for (index, video) in output.video_outputs.iter().enumerate() {
            let mut warn = |key: &str, detail: String| {
                warnings.push(Warning {
                    pointer: format!("/output/video_outputs/{index}/{key}"),
                    detail,
                });
            };
            warn_of_rates(video, &mut warn);
            warn_of_speed(video, &mut warn);
            warn_of_gop(video, output, &mut warn);
            let twin = output.video_outputs[..index]
                .iter()
                .find(|other| (other.width, other.height) == (video.width, video.height));
            if let Some(twin) = twin {
                let detail = format!(
                    "the same size as {}: players gain little from a second one",
                    twin.label
                );
                warn("width", detail);
            }
        }
        let weight = self.weight();
        if !WorkerSize::Large.carries(weight) {
            warnings.push(Warning {
                pointer: "/output/video_outputs".to_owned(),
                detail: format!(
                    "needs about {weight:.1} CPU cores, more than the largest worker has; choose \
                     faster presets, fewer or smaller renditions"
                ),
            });
        }
        warnings
    }
}

fn warn_of_input(source: &Source, warnings: &mut Vec<Warning>) {
    const SHORT: u32 = 20_000;
    let Source::Pull { url } = source else { return };
    if url.protocol() != PullProtocol::Srt {
        return;
    }
    let latency = url.url().query_pairs().find(|(key, _)| key == "latency");
    if let Some(micros) = latency.and_then(|(_, value)| value.parse::<u32>().ok())
        && micros < SHORT
    {
        warnings.push(Warning {
            pointer: "/input/url".to_owned(),
            detail: format!(
                "latency is in microseconds: {micros} is {} ms, and 120 ms is 120000",
                f64::from(micros) / 1000.0
            ),
        });
    }
}

fn warn_of_packaging(output: &Output, warnings: &mut Vec<Warning>) {
    let mut warn = |key: &str, detail: &str| {
        warnings.push(Warning {
            pointer: format!("/output/{key}"),
            detail: detail.to_owned(),
        });
    };
    if output.audio_outputs.is_empty() {
        warn("audio_outputs", "no audio output: the channel is silent");
    }
    if output.low_latency_mode {
        warn(
            "low_latency_mode",
            "the encoders are tuned for least delay, at some cost of quality; playlists list \
             whole segments only, so shorter segments shorten the delay further",
        );
    }
    let gop = output.video_outputs.first().map(|video| video.gop_size);
    if gop.is_some_and(|gop| output.fragment_duration > gop) {
        warn(
            "fragment_duration",
            "longer than a GOP: a fragment ends at each key frame, so fragments are one GOP long",
        );
    }
}

/// All playlists are written anew with every segment, so their cost grows with
/// the window and with the square of its segments' number.
fn warn_of_window(output: &Output, warnings: &mut Vec<Warning>) {
    let millis = u64::from(output.segment_duration.millis);
    let segments = u64::from(output.time_shift_buffer_depth) * 1000 / millis;
    let renditions = output.video_outputs.len() + output.audio_outputs.len();
    let bytes = segments * renditions as u64 * LISTED_BYTES;
    let each_second = bytes * 1000 / millis;
    if each_second <= LISTS_UNWARNED {
        return;
    }
    warnings.push(Warning {
        pointer: "/output/time_shift_buffer_depth".to_owned(),
        detail: format!(
            "{segments} segments of {renditions} renditions: playlists, manifest and timeline.json \
             are {:.1} MB together and written anew with every segment, {:.1} MB a second; choose \
             longer segments (of twice the length: a quarter), a shorter window or fewer renditions",
            bytes as f64 / 1e6,
            each_second as f64 / 1e6
        ),
    });
}

fn warn_of_rates(video: &VideoOutput, warn: &mut dyn FnMut(&str, String)) {
    let bitrate = video.bitrate;
    if video.max_bitrate / 2 > bitrate {
        let detail = format!(
            "over twice the bitrate ({}): players choose renditions by the maximum",
            written(bitrate)
        );
        warn("max_bitrate", detail);
    }
    if video.buf_size / 2 > bitrate {
        let detail = format!(
            "over twice the bitrate ({}): peaks last long enough to stall players",
            written(bitrate)
        );
        warn("buf_size", detail);
    }
    if video.buf_size < bitrate / 2 {
        let detail = format!(
            "under half the bitrate ({}): the encoder has little room, and quality suffers",
            written(bitrate)
        );
        warn("buf_size", detail);
    }
    if video.codec == VideoCodec::Av1 && video.crf.is_none() {
        warn(
            "max_bitrate",
            "SVT-AV1 keeps to a maximum only with Crf; without it the bitrate is a mean".to_owned(),
        );
    }
}

fn warn_of_speed(video: &VideoOutput, warn: &mut dyn FnMut(&str, String)) {
    let presets = video.codec.presets();
    let place = |name: &str| presets.iter().position(|preset| *preset == name);
    let slowest = video.codec.slowest_live_preset();
    let cores = video.weight();
    if place(&video.preset) > place(slowest) {
        let detail = format!("too slow for live; {slowest} or faster is usual");
        warn("preset", detail);
    } else if cores > f64::from(video.threads) {
        let detail = format!(
            "needs about {cores:.1} CPU cores to keep up and has {} threads; choose a faster \
             preset or more threads",
            video.threads
        );
        warn("preset", detail);
    }
    if video.threads < 2 {
        warn(
            "threads",
            "fewer than 2: the encoder may not keep up".to_owned(),
        );
    }
}

fn warn_of_gop(video: &VideoOutput, output: &Output, warn: &mut dyn FnMut(&str, String)) {
    let Some(framerate) = video.framerate else {
        if output.video_outputs.iter().any(|v| v.framerate.is_some()) {
            let detail = "the input's own, brought to the nearest rate at which key frames fall \
                          together with those of the renditions that name one";
            warn("framerate", detail.to_owned());
        }
        return;
    };
    let rate = FrameRate::from_f64(framerate);
    let frames = rate.frames_in(video.gop_size);
    let exact = rate.length_of(frames).as_f64();
    let off = (exact - video.gop_size.as_f64()).abs() / video.gop_size.as_f64();
    // NTSC's rates are off by a thousandth always; nobody needs to hear that.
    if off > 0.002 {
        let detail = format!(
            "no whole number of frames at {rate} frames per second: a GOP is {frames} frames, \
             {exact:.3} seconds, and segments differ accordingly"
        );
        warn("gop_size", detail);
    }
}
