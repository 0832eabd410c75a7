//! The filter graphs: one decoded picture into every size, one sound into
//! every layout.

use super::cadence::Cadence;
use super::source::may_be_interlaced;
use super::{Args, Feed, Has};
use crate::spec::{AudioOutput, Spec, VideoOutput};

/// The samples by which FFmpeg's AAC encoder lags (its `initial_padding`).
const AAC_DELAY: u32 = 1024;

pub(super) fn push(args: &mut Args, spec: &Spec, has: Has, feed: &Feed, cadence: &Cadence) {
    let videos = &spec.output.video_outputs;
    let audios = &spec.output.audio_outputs;
    args.pair(
        "-filter_complex",
        video_graph(videos, has, feed, cadence).join(";"),
    );
    if !audios.is_empty() {
        args.pair("-filter_complex", audio_graph(audios, has).join(";"));
    }
    for index in 0..videos.len() {
        args.pair("-map", format!("[v{index}]"));
    }
    for index in 0..audios.len() {
        args.pair("-map", format!("[a{index}]"));
    }
}

/// The chains of the video graph. Renditions of one rate share its `fps`.
fn video_graph(videos: &[VideoOutput], has: Has, feed: &Feed, cadence: &Cadence) -> Vec<String> {
    let common = cadence.common_rate();
    // Rates that differ begin on the same frame only if they begin at 0. So
    // does the FLV pipe's, whose time begins there: no hole before the first
    // picture. Other inputs' times are anybody's guess.
    let start = match feed {
        Feed::FlvPipe => ":start_time=0",
        Feed::Url { .. } if common.is_none() => ":start_time=0",
        Feed::Url { .. } => "",
    };
    let mut head = if has.video {
        "[0:v]".to_owned()
    } else {
        // A picture that is drawn from the sound keeps its pace and ends with
        // it (`color` never ends); then it is painted black. Of FFmpeg's many
        // only this one and showcqt end in both 5.1 and 9.0.
        let rate = cadence.highest_rate();
        format!(
            "[0:a]showspectrum=size=64x64:fps={rate},format=rgb24,drawbox=color=black:thickness=fill,"
        )
    };
    if has.video && may_be_interlaced(feed) {
        head.push_str("yadif=deint=interlaced,");
    }
    if let Some(rate) = common {
        head.push_str(&format!("fps={rate}{start},"));
    }
    let sizes = videos.iter().zip(&cadence.videos);
    let chains: Vec<_> = sizes
        .map(|(video, pace)| match common {
            Some(_) => fit(video),
            None => format!("fps={}{start},{}", pace.rate, fit(video)),
        })
        .collect();
    fan_out(head, "split", 's', 'v', &chains)
}

/// Into the size asked for, in the input's display shape (`dar`: anamorphic
/// broadcasts have pixels that aren't square), with black bars around it.
/// `force_original_aspect_ratio` would not do: it takes pixels for square.
fn fit(video: &VideoOutput) -> String {
    let (width, height) = (video.width, video.height);
    format!(
        "scale=w='max(2,round(min({width},{height}*dar)/2)*2)'\
         :h='max(2,round(min({height},{width}/dar)/2)*2)':eval=frame,\
         pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:eval=frame,setsar=1,format=yuv420p"
    )
}

fn audio_graph(audios: &[AudioOutput], has: Has) -> Vec<String> {
    let head = if has.audio {
        "[0:a]".to_owned()
    } else {
        "anullsrc=r=48000:cl=stereo,".to_owned()
    };
    let chains: Vec<_> = audios
        .iter()
        .map(|audio| {
            let layout = if audio.channels == 1 {
                "mono"
            } else {
                "stereo"
            };
            format!(
                "aresample={}:async=1,aformat=channel_layouts={layout},atrim=start_pts={AAC_DELAY}",
                audio.sample_rate
            )
        })
        .collect();
    fan_out(head, "asplit", 't', 'a', &chains)
}

/// One head, by a splitting filter, into chains that end in numbered labels.
fn fan_out(head: String, split: &str, inner: char, outer: char, chains: &[String]) -> Vec<String> {
    if let [only] = chains {
        return vec![format!("{head}{only}[{outer}0]")];
    }
    let labels: String = (0..chains.len()).map(|i| format!("[{inner}{i}]")).collect();
    let head = format!("{head}{split}={}{labels}", chains.len());
    let tails = chains.iter().enumerate();
    let tails = tails.map(|(i, chain)| format!("[{inner}{i}]{chain}[{outer}{i}]"));
    std::iter::once(head).chain(tails).collect()
}
