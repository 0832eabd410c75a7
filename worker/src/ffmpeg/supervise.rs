//! Waits for what ends a run, and sees it through.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use super::process::{Exit, Process};
use super::progress::Progress;
use super::run::{EndCause, Input, OutputError, RunEnd, Want};
use super::shim;
use super::stall::{Flow, StallClock};
use super::stderr::{FailureKind, classify};

/// All that a run consists of.
pub(super) struct Supervisor {
    pub(super) process: Process,
    pub(super) output: JoinHandle<Result<(), OutputError>>,
    pub(super) stderr: JoinHandle<Vec<String>>,
    pub(super) input: Input,
    pub(super) wanted: watch::Receiver<Want>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) flow: Arc<Flow>,
}

impl Supervisor {
    /// Sees the run through to its end.
    pub(super) async fn run(mut self, first_frame: Duration, stall: Duration) -> RunEnd {
        let mut ending = None;
        let mut output_done = false;
        let exit = self.until_exit(
            StallClock::new(first_frame, stall),
            &mut ending,
            &mut output_done,
        );
        let exit = exit.await;
        if !output_done {
            self.drain(&mut ending).await;
        }
        let stderr = (&mut self.stderr).await.unwrap_or_default();
        let cause = ending.unwrap_or_else(|| cause_of(exit, &stderr));
        RunEnd {
            cause,
            exit,
            stderr,
        }
    }

    /// Up to the exit of the process. `ending` is why we ended it, if we did.
    async fn until_exit(
        &mut self,
        mut clock: StallClock,
        ending: &mut Option<EndCause>,
        output_done: &mut bool,
    ) -> Option<Exit> {
        let period = clock.period();
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Seen::before(&self.input);
        // Grace is given once: first comes the second interrupt, then the end.
        let mut interrupt_at = None;
        let mut kill_at = None;
        let mut owned = true;
        loop {
            tokio::select! {
                exit = self.process.wait() => return exit.ok(),
                change = self.wanted.changed(), if owned => {
                    owned = change.is_ok();
                    let want = if owned { *self.wanted.borrow_and_update() } else { Want::Kill };
                    match want {
                        Want::Go => {}
                        Want::Finish { grace } => {
                            ending.get_or_insert(EndCause::Finished { forced: false });
                            kill_at = Some(Instant::now() + grace);
                            // A fed FFmpeg ends with its input, which the pump
                            // closes.
                            if matches!(self.input, Input::Opened(_)) {
                                self.process.signal(Signal::SIGINT);
                                interrupt_at = Some(Instant::now() + grace / 2);
                            }
                        }
                        Want::Kill => self.kill(ending, EndCause::Killed),
                    }
                }
                // FFmpeg waits for a silent network until its second
                // interrupt.
                () = at(interrupt_at), if interrupt_at.is_some() => {
                    interrupt_at = None;
                    self.process.signal(Signal::SIGINT);
                }
                () = at(kill_at), if kill_at.is_some() => {
                    kill_at = None;
                    if let Some(EndCause::Finished { forced }) = ending {
                        *forced = true;
                    }
                    self.process.signal(Signal::SIGKILL);
                }
                output = &mut self.output, if !*output_done => {
                    *output_done = true;
                    match output {
                        Ok(Err(OutputError::Malformed(error))) => {
                            self.kill(ending, EndCause::BadOutput(Arc::new(error)));
                        }
                        Ok(Err(OutputError::Abandoned)) => self.kill(ending, EndCause::Killed),
                        _ => {}
                    }
                }
                _ = ticks.tick(), if ending.is_none() => {
                    let (moved, could_move) = seen.look(self);
                    if clock.tick(period, moved, could_move) {
                        let waited = clock.patience();
                        self.kill(ending, seen.stall(waited, &self.input));
                    }
                }
            }
        }
    }

    /// Kills the process for a reason. The first reason stays, but that it was
    /// to finish, which it now does not.
    fn kill(&self, ending: &mut Option<EndCause>, cause: EndCause) {
        if matches!(ending, None | Some(EndCause::Finished { .. })) {
            *ending = Some(cause);
        }
        self.process.signal(Signal::SIGKILL);
    }

    /// After the exit: what FFmpeg wrote is still taken to its end, unless the
    /// run was killed or is now.
    async fn drain(&mut self, ending: &mut Option<EndCause>) {
        if !matches!(ending, Some(EndCause::Killed)) {
            tokio::select! {
                output = &mut self.output => {
                    if let Ok(Err(OutputError::Malformed(error))) = output {
                        ending.get_or_insert(EndCause::BadOutput(Arc::new(error)));
                    }
                    return;
                }
                _ = self.wanted.wait_for(|want| *want == Want::Kill) => {}
            }
        }
        self.output.abort();
    }
}

/// What the watchdog saw when it last looked.
struct Seen {
    progress: Progress,
    fed: u64,
    /// What had come in when media last came out.
    fed_at_media: u64,
}

impl Seen {
    /// At the start. What an input has sent to the runs before, and to the
    /// probe, is counted with what it sends to this one.
    fn before(input: &Input) -> Self {
        let fed = match input {
            Input::Fed => 0,
            Input::Opened(received) => received.total(),
        };
        Self {
            progress: Progress::default(),
            fed,
            fed_at_media: fed,
        }
    }

    /// Whether media has come out since, and whether it could have.
    fn look(&mut self, run: &Supervisor) -> (bool, bool) {
        let progress = run.progress.borrow().clone();
        let moved = progress.moved_since(&self.progress);
        let (input, fed) = match &run.input {
            Input::Fed => run.flow.input_since(self.fed),
            // A publisher comes back by itself. An origin that FFmpeg called
            // does not: silent, it is called again, by the next run.
            Input::Opened(received) => (true, received.total()),
        };
        let could_move = input && !run.flow.output_waits.load(Ordering::Relaxed);
        *self = Self {
            progress,
            fed,
            fed_at_media: if moved { fed } else { self.fed_at_media },
        };
        (moved, could_move)
    }

    /// What no media for so long is.
    fn stall(&self, waited: Duration, input: &Input) -> EndCause {
        match input {
            Input::Opened(_) if self.fed == self.fed_at_media => EndCause::Silent { waited },
            _ => EndCause::Stalled { waited },
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Why a process ended that we didn't end.
fn cause_of(exit: Option<Exit>, stderr: &[String]) -> EndCause {
    let (kind, message) = match exit {
        Some(Exit::Code(0)) => return EndCause::InputEnded,
        Some(Exit::Signal(signal)) => (FailureKind::Crash, format!("killed by signal {signal}")),
        Some(Exit::Code(_)) | None => match stderr.last() {
            Some(line) if line.starts_with(shim::PREFIX) => (FailureKind::Program, line.clone()),
            _ => classify(stderr),
        },
    };
    EndCause::Failed { kind, message }
}
