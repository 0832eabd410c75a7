//! A player as people have them: FFmpeg, which reads the clock burnt into the
//! test picture, and ffprobe.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use cli::test_picture::read_clock;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use worker::ffmpeg::shim::Tie;

use crate::machine::program;

/// The size that the clock is read at: large enough for its cells.
const WIDTH: usize = 192;
const HEIGHT: usize = 144;

/// FFmpeg playing the first video of a URL; killed when dropped.
pub struct Player {
    child: Child,
    frames: ChildStdout,
    /// The newest clock seen.
    clock: Option<u64>,
}

impl Player {
    /// Begins to play.
    ///
    /// # Errors
    /// FFmpeg can't be started.
    pub fn start(url: &str) -> anyhow::Result<Self> {
        Self::start_with(&[], url)
    }

    /// Begins to play, with these arguments of FFmpeg for its input.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str], url: &str) -> anyhow::Result<Self> {
        let mut child = Command::from(Tie::through(program("ezlive")?).command("ffmpeg"))
            .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
            .args(arguments)
            .args(["-i", url, "-map", "0:v:0", "-fps_mode", "passthrough"])
            .args(["-vf", &format!("scale={WIDTH}:{HEIGHT}:flags=area")])
            .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("FFmpeg can't be started")?;
        let frames = child.stdout.take().context("no standard output")?;
        Ok(Self {
            child,
            frames,
            clock: None,
        })
    }

    /// The clock of the next frame, in milliseconds since 1970; `None` after
    /// the last.
    ///
    /// # Errors
    /// The frame shows no clock, or FFmpeg failed.
    pub async fn next_clock(&mut self) -> anyhow::Result<Option<u64>> {
        let mut frame = vec![0; WIDTH * HEIGHT];
        match self.frames.read_exact(&mut frame).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let status = self.child.wait().await?;
                if !status.success() {
                    bail!("the player failed: {status}");
                }
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        self.clock = read_clock(&frame, WIDTH, HEIGHT);
        if self.clock.is_none() {
            bail!("a frame shows no clock");
        }
        Ok(self.clock)
    }

    /// Plays on until the clock shows this time or a later one.
    ///
    /// # Errors
    /// It does not within `limit`, or the player ends.
    pub async fn reaches(&mut self, millis: u64, limit: Duration) -> anyhow::Result<u64> {
        let playing = async {
            while let Some(clock) = self.next_clock().await? {
                if clock >= millis {
                    return Ok(clock);
                }
            }
            bail!("the player came to its end")
        };
        match tokio::time::timeout(limit, playing).await {
            Ok(reached) => reached,
            Err(_) => bail!(
                "not played within {limit:?}: {millis}, but {:?}",
                self.clock
            ),
        }
    }
}

/// What ffprobe says of a URL, asked with these arguments.
///
/// # Errors
/// It fails, or takes more than 30 s.
pub async fn probe(url: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let probing = Command::from(Tie::through(program("ezlive")?).command("ffprobe"))
        .args(["-v", "error", "-of", "json"])
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(30), probing)
        .await
        .with_context(|| format!("ffprobe does not come to an end with {url}"))??;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.is_empty() {
        bail!("ffprobe on {url}: {} {said}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The tracks of a URL, as ffprobe sees them.
///
/// # Errors
/// As [`probe`].
pub async fn tracks(url: &str) -> anyhow::Result<Vec<Value>> {
    let probed = probe(url, &["-show_streams"]).await?;
    probed["streams"].as_array().cloned().context("no streams")
}
