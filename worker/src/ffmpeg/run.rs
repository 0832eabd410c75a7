//! One run: an FFmpeg process from start to exit.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::ChildStderr;
use tokio::sync::{mpsc, watch};

use super::feed::{self, Feed};
use super::process::{Exit, Process};
use super::progress::{Progress, ProgressParser};
use super::shim::Tie;
use super::stall::Flow;
use super::stderr::{FailureKind, Tail};
use super::supervise::Supervisor;
use crate::ingest::meter::Received;
use crate::mp4::{Mp4Error, Piece, Splitter};

/// How many pieces may wait for the publisher before FFmpeg has to: two
/// rounds of a large ladder.
const PIECES: usize = 32;
/// How much of FFmpeg's output is read at once, bytes: a pipe's size.
const CHUNK: usize = 64 << 10;

/// How FFmpeg gets its input.
#[derive(Debug, Clone)]
pub enum Input {
    /// The worker feeds its standard input.
    Fed,
    /// It opens it itself; the worker counts what passes.
    Opened(Received),
}

/// What to run.
#[derive(Clone)]
pub struct RunConfig {
    /// FFmpeg: a path, or a name to be looked up in `PATH`.
    pub program: OsString,
    /// Its arguments, as the plan gives them: output on standard output,
    /// progress on descriptor 3.
    pub argv: Vec<String>,
    /// How it gets its input.
    pub input: Input,
    /// How it is tied to this process.
    pub tie: Tie,
    /// How long it may go without a frame while it has input.
    pub stall: Duration,
    /// How long it may take to the first frame while it has input.
    pub first_frame: Duration,
    /// `http://USER:PASSWORD@ADDRESS` that its HTTP requests go through.
    pub http_proxy: Option<String>,
    /// What must not be seen in its messages: stream keys, passwords.
    pub secrets: Vec<String>,
}

impl fmt::Debug for RunConfig {
    /// Without arguments, proxy and secrets: they hold URLs with passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunConfig")
            .field("program", &self.program)
            .field("input", &self.input)
            .field("tie", &self.tie)
            .field("stall", &self.stall)
            .field("first_frame", &self.first_frame)
            .finish_non_exhaustive()
    }
}

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no process or no pipe. Worth another try.
    #[error("cannot start FFmpeg: {0}")]
    Spawn(#[from] std::io::Error),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// Why.
    pub cause: EndCause,
    /// How the process ended; `None` only where the system would not say.
    pub exit: Option<Exit>,
    /// The last lines of its standard error, without secrets.
    pub stderr: Vec<String>,
}

/// Why a run ended.
#[derive(Debug, Clone)]
pub enum EndCause {
    /// [`Run::finish`] was called; everything it had is out.
    Finished {
        /// It didn't end in its grace and was killed.
        forced: bool,
    },
    /// [`Run::kill`] was called, or nobody took its output any more.
    Killed,
    /// The input ended or went away: FFmpeg tells these apart as little as we
    /// can.
    InputEnded,
    /// No frame came while there was input; it was killed.
    Stalled {
        /// For how long.
        waited: Duration,
    },
    /// No frame came out of an input that it opened itself, as none of it
    /// came in; it was killed.
    Silent {
        /// For how long.
        waited: Duration,
    },
    /// What it wrote was not what was ordered; it was killed.
    BadOutput(Arc<Mp4Error>),
    /// It failed by itself.
    Failed {
        /// What the caller does next.
        kind: FailureKind,
        /// The line that tells why.
        message: String,
    },
}

/// What the owner wants of the run. Only ever goes from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Go,
    Finish { grace: Duration },
    Kill,
}

/// A run under way. Dropping it kills FFmpeg.
///
/// Take the pieces and go on taking them: with none taken FFmpeg waits, as it
/// does for a slow disk.
#[derive(Debug)]
pub struct Run {
    feed: Option<Feed>,
    pieces: Option<mpsc::Receiver<Piece>>,
    progress: watch::Receiver<Progress>,
    want: watch::Sender<Want>,
    end: watch::Receiver<Option<RunEnd>>,
    pid: Option<u32>,
}

impl Run {
    /// Starts FFmpeg. Call within a tokio runtime, on a thread that lives as
    /// long as the run (see [`super::shim`]). A program that cannot be
    /// executed shows in the run's end.
    pub fn start(config: RunConfig) -> Result<Self, StartError> {
        let (process, pipes) = Process::spawn(&config)?;
        let pid = process.id();
        let flow = Arc::new(Flow::default());
        let (want, wanted) = watch::channel(Want::Go);
        let (progress_sender, progress) = watch::channel(Progress::default());
        let (end_sender, end) = watch::channel(None);
        let (piece_sender, pieces) = mpsc::channel(PIECES);

        let feed = pipes.stdin.map(|stdin| {
            let (feed, chunks) = feed::feed();
            tokio::spawn(feed::pump(chunks, stdin, wanted.clone(), Arc::clone(&flow)));
            feed
        });
        tokio::spawn(read_progress(pipes.progress, progress_sender));
        let supervisor = Supervisor {
            process,
            output: tokio::spawn(read_output(pipes.stdout, piece_sender, Arc::clone(&flow))),
            stderr: tokio::spawn(read_stderr(pipes.stderr, config.secrets)),
            input: config.input,
            wanted,
            progress: progress.clone(),
            flow,
        };
        let supervise = supervisor.run(config.first_frame, config.stall);
        tokio::spawn(async move {
            let end = supervise.await;
            tracing::debug!(cause = ?end.cause, exit = ?end.exit, "FFmpeg has ended");
            end_sender.send_replace(Some(end));
        });
        Ok(Self {
            feed,
            pieces: Some(pieces),
            progress,
            want,
            end,
            pid,
        })
    }

    /// FFmpeg's input, once, where the worker feeds it.
    pub fn take_feed(&mut self) -> Option<Feed> {
        self.feed.take()
    }

    /// FFmpeg's output, once. Ends after the last whole piece. Dropping it
    /// kills FFmpeg.
    pub fn take_pieces(&mut self) -> Option<mpsc::Receiver<Piece>> {
        self.pieces.take()
    }

    /// FFmpeg's latest report, about once a second.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// The process's number, for logs.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Lets FFmpeg end in order: its input is closed, or it is interrupted,
    /// and all that it has comes out. What isn't out after `grace` is lost.
    pub fn finish(&self, grace: Duration) {
        self.want(Want::Finish { grace });
    }

    /// Kills FFmpeg at once; what waits in the pieces stays there.
    pub fn kill(&self) {
        self.want(Want::Kill);
    }

    /// Waits for the end. It comes after the last piece was taken, or at once
    /// after [`Self::kill`]. Cancel safe; may be called again.
    pub async fn wait(&self) -> RunEnd {
        let mut end = self.end.clone();
        let end = end.wait_for(Option::is_some).await.map(|end| end.clone());
        // The supervisor only goes without a word when the runtime shuts down,
        // and takes the process with it.
        end.ok().flatten().unwrap_or(RunEnd {
            cause: EndCause::Killed,
            exit: None,
            stderr: Vec::new(),
        })
    }

    fn want(&self, next: Want) {
        self.want.send_if_modified(|want| {
            let further = matches!(
                (&*want, next),
                (Want::Go, _) | (Want::Finish { .. }, Want::Kill)
            );
            if further {
                *want = next;
            }
            further
        });
    }
}

/// Why the reader of FFmpeg's output gave up before its end.
#[derive(Debug)]
pub(super) enum OutputError {
    /// It is no fragmented MP4.
    Malformed(Mp4Error),
    /// Nobody takes the pieces.
    Abandoned,
}

/// Splits FFmpeg's output until its end.
pub(super) async fn read_output(
    mut stdout: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<Piece>,
    flow: Arc<Flow>,
) -> Result<(), OutputError> {
    let mut splitter = Splitter::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        // An error on a pipe is as good as its end: the exit tells why.
        let size = stdout.read(&mut chunk).await.unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        splitter.push(&chunk[..size]);
        while let Some(piece) = splitter.next_piece().map_err(OutputError::Malformed)? {
            flow.output_waits.store(true, Ordering::Relaxed);
            let sent = pieces.send(piece).await;
            flow.output_waits.store(false, Ordering::Relaxed);
            sent.map_err(|_| OutputError::Abandoned)?;
        }
    }
}

async fn read_progress(pipe: impl AsyncRead + Unpin, progress: watch::Sender<Progress>) {
    /// No line of a report is longer, bytes.
    const LINE: u64 = 4096;
    let mut pipe = BufReader::with_capacity(1024, pipe);
    let mut parser = ProgressParser::default();
    let mut line = String::new();
    loop {
        line.clear();
        match (&mut pipe).take(LINE).read_line(&mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if let Some(report) = parser.line(&line, tokio::time::Instant::now()) {
            progress.send_replace(report);
        }
    }
}

async fn read_stderr(mut pipe: ChildStderr, secrets: Vec<String>) -> Vec<String> {
    let mut tail = Tail::new(secrets);
    let mut chunk = [0; 1024];
    loop {
        match pipe.read(&mut chunk).await {
            Ok(0) | Err(_) => return tail.into_lines(),
            Ok(size) => tail.push(&chunk[..size]),
        }
    }
}
