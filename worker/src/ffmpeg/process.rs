//! The child process: started tied to this one, killed as a group.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::environment::scrub;
use super::run::{Input, RunConfig, StartError};

/// Where FFmpeg reports its progress (`-progress pipe:3`).
const PROGRESS_FD: i32 = 3;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// A running FFmpeg in a process group of its own. Dropped before it was
/// waited for, the whole group is killed, and tokio reaps it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// `None` once reaped: the number may by then be another's.
    group: Option<Pid>,
}

/// This side's ends of the child's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    /// `None` where the child reads nothing.
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    pub(super) progress: pipe::Receiver,
}

impl Process {
    pub(super) fn spawn(config: &RunConfig) -> Result<(Self, Pipes), StartError> {
        let (progress_sender, progress) = pipe::pipe()?;
        let mut command = config.tie.command(&config.program);
        scrub(&mut command, config.http_proxy.as_deref());
        let mut command = Command::from(command);
        command
            .args(&config.argv)
            .stdin(match config.input {
                Input::Fed => Stdio::piped(),
                Input::Opened(_) => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let sender: OwnedFd = progress_sender.into_blocking_fd()?;
        command
            .fd_mappings(vec![FdMapping {
                parent_fd: sender,
                child_fd: PROGRESS_FD,
            }])
            .map_err(std::io::Error::other)?;
        let mut child = command.spawn()?;
        // The command holds the child's end of the progress pipe, which must
        // close with the child.
        drop(command);
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw);
        let stdin = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(StartError::Spawn(std::io::Error::other("no pipes")));
        };
        Ok((
            Self { child, group },
            Pipes {
                stdin,
                stdout,
                stderr,
                progress,
            },
        ))
    }

    /// The process's number; `None` once it was reaped.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end and reaps. Cancel safe.
    pub(super) async fn wait(&mut self) -> std::io::Result<Exit> {
        let status = self.child.wait().await?;
        self.group = None;
        Ok(status.into())
    }

    /// Sends a signal to the whole group, unless it was reaped.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(errno) = killpg(group, signal)
        {
            // ESRCH: it is about to be reaped.
            tracing::debug!(%errno, %signal, "FFmpeg got no signal");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::ffmpeg::shim::Tie;

    #[tokio::test]
    async fn the_child_gets_no_environment_but_what_it_needs() {
        // In the shim's place: prints the values of the variables that its
        // arguments name. Cargo sets the second one for tests.
        let config = RunConfig {
            program: "PATH".into(),
            argv: vec!["CARGO_MANIFEST_DIR".to_owned(), "http_proxy".to_owned()],
            input: Input::Opened(Default::default()),
            tie: Tie::through("printenv"),
            stall: Duration::from_secs(1),
            first_frame: Duration::from_secs(1),
            http_proxy: Some("http://127.0.0.1:9".to_owned()),
            secrets: Vec::new(),
        };
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let (mut process, mut pipes) = Process::spawn(&config).unwrap();
        let mut printed = String::new();
        pipes.stdout.read_to_string(&mut printed).await.unwrap();
        process.wait().await.unwrap();
        let path = std::env::var("PATH").unwrap();
        assert_eq!(printed.trim_end(), format!("{path}\nhttp://127.0.0.1:9"));
    }
}
