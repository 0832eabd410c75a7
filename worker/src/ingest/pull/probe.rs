//! What an input that FFmpeg fetches itself carries, asked of FFprobe.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use domain::input::{InputAudio, InputInfo, InputVideo};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::ffmpeg::environment::scrub;
use crate::ffmpeg::{shim, summary};

/// FFprobe's answer, bytes: ten streams take a tenth of it.
const MAX_ANSWER: u64 = 1024 * 1024;
/// What it has to say when it fails, bytes.
const MAX_COMPLAINT: usize = 16 * 1024;

/// Why nothing is known of the input.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// FFprobe could not be started.
    #[error("cannot start ffprobe: {0}")]
    Start(io::Error),
    /// FFprobe can't be executed, which another try doesn't mend.
    #[error("{said}")]
    Program {
        /// What the shim says.
        said: String,
    },
    /// It did not find out in time.
    #[error("the input sent nothing that could be read within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The input could not be opened. What FFprobe said may hold the URL, and
    /// so is not part of this.
    #[error("the input could not be opened")]
    Unreadable {
        /// FFprobe's last words, for whoever may see the URL.
        complaint: String,
    },
    /// Neither audio nor video in it.
    #[error("the input carries no audio or video that can be decoded")]
    Nothing,
}

impl ProbeError {
    /// The same for the job's client, with what FFprobe said, less secrets.
    pub fn text(&self, secrets: Vec<String>) -> String {
        match self {
            Self::Unreadable { complaint } if !complaint.is_empty() => {
                format!("{self}: {}", summary(complaint, secrets))
            }
            _ => self.to_string(),
        }
    }
}

/// What is known of an input that FFmpeg opens.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// What it carries.
    pub input: InputInfo,
    /// How long it is, where it has an end already: a file, or an HLS playlist
    /// with an ENDLIST. A live one has none.
    pub length: Option<Length>,
}

/// How long an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// In media time.
    Time(Duration),
    /// In bytes, of a container that doesn't tell the time.
    Bytes(u64),
}

/// Asks FFprobe. `command` is FFprobe as the supervisor starts its children;
/// `input` are the options of the plan's input and its URL, so that the same
/// protocols hold, and `http_proxy` is the feed's. The child, and all it may have started,
/// is killed when the time is up or this is dropped.
pub async fn probe(
    mut command: Command,
    input: &[String],
    http_proxy: Option<&str>,
    limit: Duration,
) -> Result<Probed, ProbeError> {
    scrub(command.as_std_mut(), http_proxy);
    command
        .args([
            "-v",
            "error",
            "-print_format",
            "json",
            "-show_streams",
            "-show_format",
        ])
        .args(input)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(ProbeError::Start)?;
    let mut group = Group(child.id());
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(ProbeError::Start(io::ErrorKind::BrokenPipe.into()));
    };
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let asked = timeout(limit, async {
        let reading = tokio::join!(
            read_start(stdout, MAX_ANSWER, &mut answer),
            read_tail(stderr, MAX_COMPLAINT, &mut complaint),
        );
        reading.0.and(reading.1)?;
        let status = child.wait().await?;
        // Its number may be another's from here on.
        group.0 = None;
        Ok(status)
    });
    match asked.await {
        Err(_) => Err(ProbeError::TooSlow(limit)),
        Ok(Err(error)) => Err(ProbeError::Start(error)),
        Ok(Ok(status)) if status.success() => read(&answer),
        Ok(Ok(_)) => {
            let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
            Err(match complaint.lines().last() {
                Some(said) if said.starts_with(shim::PREFIX) => ProbeError::Program {
                    said: said.to_owned(),
                },
                _ => ProbeError::Unreadable { complaint },
            })
        }
    }
}

/// Reads to the end, so that the writer never waits, and keeps the beginning.
async fn read_start(
    mut pipe: impl AsyncRead + Unpin,
    keep: u64,
    start: &mut Vec<u8>,
) -> io::Result<()> {
    (&mut pipe).take(keep).read_to_end(start).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads to the end, so that the writer never waits, and keeps the last words.
async fn read_tail(
    mut pipe: impl AsyncRead + Unpin,
    keep: usize,
    tail: &mut Vec<u8>,
) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let size = pipe.read(&mut chunk).await?;
        if size == 0 {
            return Ok(());
        }
        tail.extend_from_slice(chunk.get(..size).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(keep));
    }
}

/// The child's process group, killed on drop.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Gone already: as good.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    #[serde(default)]
    format_name: String,
    /// Seconds, as text; left out where FFprobe doesn't know.
    duration: Option<String>,
    /// Bytes, as text; left out where the server doesn't say. Of HLS it is the
    /// playlist's.
    size: Option<String>,
}

/// As `ffprobe -show_streams` writes it: numbers of video are numbers, those
/// of audio are text.
#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    sample_rate: Option<String>,
    #[serde(default)]
    channels: u32,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Default, Deserialize)]
struct Disposition {
    /// A cover picture, not a video.
    #[serde(default)]
    attached_pic: u8,
}

/// The first video and the first audio, as FFmpeg's `0:v:0` and `0:a:0`.
fn read(answer: &[u8]) -> Result<Probed, ProbeError> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| ProbeError::Nothing)?;
    let first = |kind: &str| {
        answer.streams.iter().find(|stream| {
            stream.codec_type.as_deref() == Some(kind)
                && stream.codec_name.is_some()
                && stream.disposition.attached_pic == 0
        })
    };
    let video = first("video").map(|stream| InputVideo {
        codec: stream.codec_name.clone().unwrap_or_default(),
        width: stream.width,
        height: stream.height,
        fps: rate(stream.avg_frame_rate.as_deref()).or(rate(stream.r_frame_rate.as_deref())),
    });
    let audio = first("audio").map(|stream| InputAudio {
        codec: stream.codec_name.clone().unwrap_or_default(),
        sample_rate: stream
            .sample_rate
            .as_deref()
            .and_then(|rate| rate.parse().ok())
            .unwrap_or(0),
        channels: stream.channels,
    });
    match (&video, &audio) {
        (None, None) => Err(ProbeError::Nothing),
        _ => Ok(Probed {
            input: InputInfo { video, audio },
            length: length(&answer.format),
        }),
    }
}

fn length(format: &Format) -> Option<Length> {
    let seconds = format
        .duration
        .as_deref()
        .and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // Live FLV says that it is 0 s long.
    if let Some(time) = time.filter(|time| !time.is_zero()) {
        return Some(Length::Time(time));
    }
    let size = format
        .size
        .as_deref()
        .filter(|_| format.format_name != "hls");
    size?.parse().ok().map(Length::Bytes)
}

/// A fraction as `30000/1001`; `0/0` where FFprobe doesn't know. Beyond 300 it
/// is the stream's clock rather than its pictures.
fn rate(fraction: Option<&str>) -> Option<f64> {
    let (frames, seconds) = fraction?.split_once('/')?;
    let (frames, seconds) = (frames.parse::<f64>().ok()?, seconds.parse::<f64>().ok()?);
    let rate = frames / seconds;
    (rate.is_finite() && rate > 0.0 && rate <= 300.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_real_streams_count() {
        let answer = br#"{"streams": [
            {"codec_type": "video", "codec_name": "png", "width": 9, "height": 9,
             "avg_frame_rate": "0/0", "disposition": {"attached_pic": 1}},
            {"codec_type": "data"},
            {"codec_type": "video", "codec_name": "h264", "width": 1280, "height": 720,
             "avg_frame_rate": "0/0", "r_frame_rate": "30000/1001"},
            {"codec_type": "audio", "codec_name": "aac", "sample_rate": "44100", "channels": 1}
        ], "format": {"duration": "12.500000"}}"#;
        let probed = read(answer).unwrap();
        let length = Duration::from_millis(12_500);
        assert_eq!(probed.length, Some(Length::Time(length)));
        let info = probed.input;
        let video = info.video.unwrap();
        assert_eq!(
            (video.codec.as_str(), video.width, video.height),
            ("h264", 1280, 720)
        );
        assert!((video.fps.unwrap() - 29.97).abs() < 0.01);
        let audio = info.audio.unwrap();
        assert_eq!((audio.sample_rate, audio.channels), (44_100, 1));
    }

    #[test]
    fn only_a_real_length_is_one() {
        let time = Some(Length::Time(Duration::from_millis(200)));
        for (format, expected) in [
            (r#"{"duration": "0.2", "size": "9"}"#, time),
            (r#"{"duration": "0.2", "format_name": "hls"}"#, time),
            (r#"{"duration": "0.000000"}"#, None),
            (r#"{"duration": "-1"}"#, None),
            (r#"{"duration": "inf"}"#, None),
            (r#"{"duration": "N/A", "size": "N/A"}"#, None),
            (
                r#"{"size": "1368076", "format_name": "mpegts"}"#,
                Some(Length::Bytes(1_368_076)),
            ),
            (r#"{"size": "200", "format_name": "hls"}"#, None),
            ("{}", None),
        ] {
            let read: Format = serde_json::from_str(format).unwrap();
            assert_eq!(length(&read), expected, "{format}");
        }
    }

    #[test]
    fn an_answer_without_streams_is_nothing() {
        for answer in [&b"{}"[..], b"", br#"{"streams": [{"codec_type": "data"}]}"#] {
            assert!(matches!(read(answer), Err(ProbeError::Nothing)));
        }
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_killed() {
        let limit = Duration::from_millis(100);
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("held");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Opened for reading and writing it has a writer as long as a child
        // of the child lives.
        let mut command = Command::new("sh");
        let script = format!("sleep 60 9<>{0} & exec sleep 60 9<>{0}", fifo.display());
        command.args(["-c", &script]);
        let slow = probe(command, &[], None, limit).await;
        assert!(matches!(slow, Err(ProbeError::TooSlow(_))));
        // Without one, opening for writing fails at once with ENXIO.
        let is_held = || {
            use nix::fcntl::{OFlag, open};
            open(
                &fifo,
                OFlag::O_WRONLY | OFlag::O_NONBLOCK,
                nix::sys::stat::Mode::empty(),
            )
            .is_ok()
        };
        let freed = async {
            while is_held() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), freed).await.unwrap();
    }

    #[tokio::test]
    async fn the_probe_gets_no_credentials_and_no_proxies() {
        let mut command = Command::new("sh");
        let script = r#"test -z "$AWS_SECRET_ACCESS_KEY$no_proxy$EZLIVE_X" &&
            echo '{"streams": [{"codec_type": "audio", "codec_name": "aac"}]}'"#;
        command.args(["-c", script]);
        for name in ["AWS_SECRET_ACCESS_KEY", "no_proxy", "EZLIVE_X"] {
            command.env(name, "set");
        }
        let probed = probe(command, &[], None, Duration::from_secs(5)).await;
        let probed = probed.unwrap();
        assert!(probed.input.audio.is_some());
        assert_eq!(probed.length, None);
    }

    #[tokio::test]
    async fn a_long_complaint_is_read_to_its_end() {
        let mut command = Command::new("sh");
        let script = "yes complaint | head -c 300000 >&2; echo the last words >&2; exit 1";
        command.args(["-c", script]);
        let error = probe(command, &[], None, Duration::from_secs(10)).await;
        let Err(ProbeError::Unreadable { complaint }) = error else {
            panic!("{error:?}")
        };
        assert!(complaint.len() <= MAX_COMPLAINT && complaint.ends_with("the last words"));
    }

    #[tokio::test]
    async fn a_missing_ffprobe_is_not_the_input_s_fault() {
        let mut command = Command::new("sh");
        let said = "exec-tied: cannot execute ffprobe: No such file or directory (os error 2)";
        let script = format!("echo {said:?} >&2; exit 127");
        command.args(["-c", &script]);
        let error = probe(command, &[], None, Duration::from_secs(5)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, ProbeError::Program { .. }), "{error:?}");
        assert_eq!(error.text(Vec::new()), said);
    }

    #[tokio::test]
    async fn a_complaint_is_kept_from_the_error_text() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo http://secret@host: refused >&2; exit 1"]);
        let error = probe(command, &[], None, Duration::from_secs(5))
            .await
            .unwrap_err();
        assert!(!error.to_string().contains("secret"));
        let text = error.text(Vec::new());
        assert_eq!(text, "the input could not be opened: http://host: refused");
        assert!(
            matches!(error, ProbeError::Unreadable { complaint } if complaint.contains("refused"))
        );
    }
}
