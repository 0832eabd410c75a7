//! A publisher as people have them: FFmpeg pushing a test picture.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use cli::test_picture::{FrameRate, Size, TestPicture, encode_args};
use serde_json::Value;
use tokio::process::{Child, Command};
use worker::ffmpeg::shim::Tie;

use crate::api::text;
use crate::machine::program;

/// FFmpeg on its way; killed when dropped.
pub struct Publisher {
    child: Child,
}

impl Publisher {
    /// Pushes the test picture with its clock and beep to a job's ingest.
    ///
    /// # Errors
    /// The job has no ingest, or FFmpeg can't be started.
    pub fn start(job: &Value, size: &str, rate: &str) -> anyhow::Result<Self> {
        Self::start_with(job, &test_picture(size, rate)?)
    }

    /// As [`Self::start`], but with sound of another sample rate, in Hz.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_sound_of(
        job: &Value,
        size: &str,
        rate: &str,
        sample_rate: u32,
    ) -> anyhow::Result<Self> {
        let mut arguments = test_picture(size, rate)?;
        arguments.extend(["-ar".to_owned(), sample_rate.to_string()]);
        Self::start_with(job, &arguments)
    }

    /// Pushes what these arguments of FFmpeg make.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(job: &Value, arguments: &[String]) -> anyhow::Result<Self> {
        let url = format!(
            "{}/{}",
            text(job, "/ingest/url")?,
            text(job, "/ingest/stream_key")?
        );
        Self::push(&url, arguments)
    }

    /// Pushes to any RTMP URL.
    ///
    /// # Errors
    /// FFmpeg can't be started.
    pub fn push(url: &str, arguments: &[String]) -> anyhow::Result<Self> {
        let child = Command::from(Tie::through(program("ezlive")?).command("ffmpeg"))
            .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
            .args(arguments)
            // As encoders do, it gives up on one who takes nothing for 3 s.
            .args(["-f", "flv", "-rw_timeout", "3000000", url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("FFmpeg can't be started")?;
        Ok(Self { child })
    }

    /// Kills it, as a crash or a cut cable would.
    ///
    /// # Errors
    /// It can't be.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits until it ends by itself, however long that takes. Cancel-safe.
    ///
    /// # Errors
    /// It can't be waited for.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        Ok(tokio::time::timeout(limit, self.child.wait())
            .await
            .context("FFmpeg goes on")??)
    }
}

/// FFmpeg's arguments for the test picture, encoded.
///
/// # Errors
/// These are no size and rate.
pub fn test_picture(size: &str, rate: &str) -> anyhow::Result<Vec<String>> {
    let size: Size = size.parse().map_err(anyhow::Error::msg)?;
    let rate: FrameRate = rate.parse().map_err(anyhow::Error::msg)?;
    let mut arguments = TestPicture { size, rate }.input_args();
    arguments.extend(encode_args(size, rate));
    Ok(arguments)
}
