//! What is pushed: FFmpeg's arguments from the input to the encoders.

use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use super::PublishArgs;
use crate::client::failure::Failure;
use crate::test_picture::{FrameRate, Size, TestPicture, encode_args};

/// FFmpeg's arguments but for the output.
///
/// # Errors
/// [`Failure::Usage`] for a file that FFmpeg can't read, [`Failure::Local`]
/// without ffprobe.
pub async fn arguments(args: &PublishArgs) -> Result<Vec<String>, Failure> {
    match &args.file {
        Some(file) => Ok(file_arguments(file, &probe(file).await?, args)),
        None => Ok(picture_arguments(args)),
    }
}

fn picture_arguments(args: &PublishArgs) -> Vec<String> {
    let default = TestPicture::default();
    let picture = TestPicture {
        size: args.size.unwrap_or(default.size),
        rate: args.fps.unwrap_or(default.rate),
    };
    let mut arguments = picture.input_args();
    arguments.extend(encode_args(picture.size, picture.rate));
    arguments
}

fn file_arguments(file: &Path, streams: &[Stream], args: &PublishArgs) -> Vec<String> {
    let mut arguments: Vec<String> = vec!["-re".to_owned()];
    if args.repeat {
        arguments.extend(["-stream_loop", "-1"].map(str::to_owned));
    }
    // The protocol is named, so that no file name is taken for a URL.
    arguments.extend(["-i".to_owned(), format!("file:{}", file.display())]);
    // V: pictures but for cover art.
    arguments.extend(["-map", "0:V:0?", "-map", "0:a:0?"].map(str::to_owned));

    let video = streams.iter().find(|stream| stream.codec_type == "video");
    let audio = streams.iter().find(|stream| stream.codec_type == "audio");
    let as_it_is = args.size.is_none() && args.fps.is_none();
    if as_it_is
        && video.is_none_or(Stream::is_plain_h264)
        && audio.is_none_or(|audio| audio.codec_name == "aac")
    {
        arguments.extend(["-c", "copy"].map(str::to_owned));
        return arguments;
    }
    let scale = match args.size {
        Some(size) => format!("scale={}:{},setsar=1", size.width, size.height),
        None => "scale=trunc(iw/2)*2:trunc(ih/2)*2".to_owned(),
    };
    arguments.extend(["-vf".to_owned(), scale]);
    if let Some(rate) = args.fps {
        arguments.extend(["-r".to_owned(), rate.to_string()]);
    }
    let default = TestPicture::default();
    let size = args
        .size
        .or_else(|| video.and_then(Stream::size))
        .unwrap_or(default.size);
    let rate = args
        .fps
        .or_else(|| video.and_then(Stream::rate))
        .unwrap_or(default.rate);
    arguments.extend(encode_args(size, rate));
    arguments
}

#[derive(Debug, Default, Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
}

/// A stream of a file, as ffprobe sees it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Stream {
    codec_type: String,
    codec_name: String,
    pix_fmt: String,
    width: u32,
    height: u32,
    avg_frame_rate: String,
}

impl Stream {
    /// Whether every RTMP server and player takes it.
    fn is_plain_h264(&self) -> bool {
        self.codec_name == "h264" && self.pix_fmt == "yuv420p"
    }

    fn size(&self) -> Option<Size> {
        (self.width > 0 && self.height > 0).then_some(Size {
            width: self.width,
            height: self.height,
        })
    }

    fn rate(&self) -> Option<FrameRate> {
        self.avg_frame_rate.parse().ok()
    }
}

async fn probe(file: &Path) -> Result<Vec<Stream>, Failure> {
    let name = file.display();
    // Before ffprobe, whose words for it are less plain.
    tokio::fs::File::open(file)
        .await
        .map_err(|error| Failure::Usage(format!("can't read {name}: {error}")))?;
    let found = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_entries"])
        .arg("stream=codec_type,codec_name,pix_fmt,width,height,avg_frame_rate")
        .arg(format!("file:{name}"))
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Failure::Local {
            what: format!("can't run ffprobe: {error}"),
            remedy: "Install FFmpeg: apt install ffmpeg".to_owned(),
        })?;
    let streams = serde_json::from_slice::<Probe>(&found.stdout)
        .unwrap_or_default()
        .streams;
    if !found.status.success() || streams.is_empty() {
        return Err(Failure::Usage(format!(
            "FFmpeg finds neither picture nor sound in {name}"
        )));
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        publish: PublishArgs,
    }

    fn args(line: &str) -> PublishArgs {
        Line::parse_from(format!("publish job {line}").split_whitespace()).publish
    }

    fn h264_and_aac() -> Vec<Stream> {
        let video = Stream {
            codec_type: "video".into(),
            codec_name: "h264".into(),
            pix_fmt: "yuv420p".into(),
            width: 1919,
            height: 1080,
            avg_frame_rate: "50/1".into(),
        };
        let audio = Stream {
            codec_type: "audio".into(),
            codec_name: "aac".into(),
            ..Stream::default()
        };
        vec![video, audio]
    }

    fn for_file(line: &str, streams: &[Stream]) -> String {
        let args = args(line);
        file_arguments(args.file.as_deref().unwrap(), streams, &args).join(" ")
    }

    #[test]
    fn what_rtmp_carries_goes_out_as_it_is() {
        insta::assert_snapshot!(for_file("-- -odd:name.mp4", &h264_and_aac()), @"-re -i file:-odd:name.mp4 -map 0:V:0? -map 0:a:0? -c copy");
        insta::assert_snapshot!(for_file("film.mp4 --loop", &h264_and_aac()), @"-re -stream_loop -1 -i file:film.mp4 -map 0:V:0? -map 0:a:0? -c copy");
    }

    #[test]
    fn anything_else_is_encoded_in_the_files_own_measures() {
        let mut streams = h264_and_aac();
        streams[0].codec_name = "hevc".into();
        insta::assert_snapshot!(for_file("film.mkv", &streams));
    }

    #[test]
    fn a_wish_for_size_or_rate_is_met() {
        insta::assert_snapshot!(for_file(
            "film.mp4 --size 640x360 --fps 30000/1001",
            &h264_and_aac()
        ));
    }

    #[test]
    fn looping_needs_a_file() {
        assert!(Line::try_parse_from(["publish", "job", "--loop"]).is_err());
    }
}
