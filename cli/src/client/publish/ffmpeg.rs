//! The FFmpeg that pushes: started in a process group of its own, so that a
//! Ctrl-C reaches only us and the end is orderly; ended with us whatever
//! happens.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

use crate::client::failure::Failure;
use crate::client::output::{self, LiveLine, Output};
use crate::client::signals;
use worker::ffmpeg::shim::{self, Tie};

/// How long FFmpeg may take to say goodbye to the server.
const GRACE: Duration = Duration::from_secs(3);

/// How a push ended.
pub struct End {
    /// FFmpeg's own exit code.
    pub code: u8,
    /// Whether it had sent anything.
    pub got_through: bool,
}

/// Pushes `source` to `target`. `secret` is taken out of all that FFmpeg says.
///
/// # Errors
/// [`Failure::Local`] where FFmpeg can't be started,
/// [`Failure::Interrupted`] after a signal, when FFmpeg has ended.
pub async fn run(
    output: &Output,
    source: &[String],
    target: &str,
    secret: &str,
) -> Result<End, Failure> {
    let mut child = spawn(source, target)?;
    let live = Arc::new(output.live_line());
    let messages = child.stderr.take().map(|pipe| {
        tokio::spawn(pass_messages(
            pipe,
            *output,
            live.clone(),
            secret.to_owned(),
        ))
    });
    let progress = child
        .stdout
        .take()
        .map(|pipe| tokio::spawn(show_progress(pipe, live.clone())));

    let ended = tokio::select! {
        status = child.wait() => status.map_err(Failure::Runtime).and_then(exit_code),
        signal = signals::next() => {
            end(&mut child).await;
            signal.and_then(|signal| Err(Failure::Interrupted(signal)))
        }
    };
    // Its last words come before ours.
    if let Some(messages) = messages {
        let _ = messages.await;
    }
    let got_through = match progress {
        Some(progress) => progress.await.unwrap_or_default(),
        None => false,
    };
    ended.map(|code| End { code, got_through })
}

fn spawn(source: &[String], target: &str) -> Result<Child, Failure> {
    let mut command = tokio::process::Command::from(Tie::default().command("ffmpeg"));
    command
        .args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "warning",
            "-nostats",
        ])
        .args(["-progress", "pipe:1", "-stats_period", "1"])
        .args(source)
        .args(["-f", "flv", "-flvflags", "no_duration_filesize", target])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(Failure::Runtime)
}

/// Asks FFmpeg to end, and sees that it does.
async fn end(child: &mut Child) {
    let Some(group) = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw)
    else {
        return;
    };
    // Both fail only where it has ended by itself in the meantime.
    let _ = killpg(group, Signal::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

fn exit_code(status: ExitStatus) -> Result<u8, Failure> {
    match (status.code(), status.signal()) {
        (Some(shim::EXIT_NOT_FOUND), _) => Err(Failure::Local {
            what: "can't run ffmpeg".to_owned(),
            remedy: "Install FFmpeg: apt install ffmpeg".to_owned(),
        }),
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Ok(u8::try_from(128 + signal.unwrap_or_default()).unwrap_or(u8::MAX)),
    }
}

/// FFmpeg's messages, without the secret.
async fn pass_messages(
    pipe: impl AsyncRead + Unpin,
    output: Output,
    live: Arc<LiveLine>,
    secret: String,
) {
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = redact(&String::from_utf8_lossy(&line), &secret);
        live.above(|| output.note(&format!("ffmpeg: {}", output::clean(&line))));
    }
}

fn redact(line: &str, secret: &str) -> String {
    if secret.is_empty() {
        line.to_owned()
    } else {
        line.replace(secret, "***")
    }
}

/// Shows FFmpeg's `-progress`: blocks of `key=value` lines that end with the
/// key `progress`. Whether any time has been sent.
async fn show_progress(pipe: impl AsyncRead + Unpin, live: Arc<LiveLine>) -> bool {
    let mut lines = BufReader::new(pipe).lines();
    let (mut time, mut fps, mut bitrate, mut speed) =
        (0.0, String::new(), String::new(), String::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match key {
            "out_time_us" => time = value.parse::<f64>().unwrap_or_default() / 1e6,
            "fps" => value.clone_into(&mut fps),
            "bitrate" => value.clone_into(&mut bitrate),
            "speed" => value.clone_into(&mut speed),
            "progress" => {
                live.set(&format!(
                    "publishing · {} · {fps} fps · {bitrate} · {speed}",
                    output::duration(time)
                ));
            }
            _ => {}
        }
    }
    time > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_taken_out_wherever_it_stands() {
        let line = "[rtmp] rtmp://127.0.0.1/live/5ecret: refused 5ecret";
        assert_eq!(
            redact(line, "5ecret"),
            "[rtmp] rtmp://127.0.0.1/live/***: refused ***"
        );
        assert_eq!(redact(line, ""), line);
    }
}
