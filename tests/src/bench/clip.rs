//! The benches' input: a file made once, so that making it costs nothing
//! while something is measured.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use cli::test_picture::{TestPicture, encode_args};
use tokio::process::Command;

/// The input that job dry runs assume too: 720p H.264 and stereo AAC, with a
/// key frame every two seconds.
#[derive(Debug, Clone)]
pub struct Clip {
    file: PathBuf,
}

impl Clip {
    /// Makes one of this length in a folder.
    ///
    /// # Errors
    /// FFmpeg can't.
    pub async fn make(folder: &Path, length: Duration) -> anyhow::Result<Self> {
        let picture = TestPicture::default();
        let file = folder.join("clip.flv");
        // Without `-re`: as fast as it goes.
        let input = picture.input_args().into_iter().filter(|arg| arg != "-re");
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error"])
            .args(input)
            .args(encode_args(picture.size, picture.rate))
            .args(["-t", &length.as_secs_f64().to_string(), "-f", "flv"])
            .arg(&file)
            .stdin(Stdio::null())
            .status()
            .await
            .context("FFmpeg can't be started")?;
        ensure!(made.success(), "the clip can't be made: {made}");
        Ok(Self { file })
    }

    /// FFmpeg's arguments to read it as fast as it plays, and to pass it on
    /// as it is.
    pub fn paced_args(&self) -> Vec<String> {
        let file = self.file.to_string_lossy();
        ["-re", "-i", &file, "-c", "copy"]
            .map(str::to_owned)
            .to_vec()
    }
}
