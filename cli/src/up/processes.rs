//! Workers as processes of this machine, tied to this one: however it ends,
//! they end with it, and their FFmpeg with them.

use std::collections::HashMap;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use aws::launcher::{LaunchError, WorkerLauncher};
use domain::ids::WorkerId;
use domain::spec::WorkerSize;
use domain::worker::Worker;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use worker::ffmpeg::shim::Tie;

/// The hidden command that runs a worker.
pub const WORKER_COMMAND: &str = "worker";

/// Asks for processes to be started and ended.
#[derive(Debug, Clone)]
pub struct ProcessLauncher {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Launch(WorkerId, oneshot::Sender<Result<String, LaunchError>>),
    Stop(WorkerId, oneshot::Sender<()>),
}

/// The processes. Driven from one place, on one thread, because the kernel
/// ties a child to the thread that started it.
pub struct Processes {
    /// Our own program, by the name it had at the start: the file may be
    /// replaced while we run.
    program: PathBuf,
    requests: mpsc::Receiver<Request>,
    environment: Vec<(String, String)>,
    pids: HashMap<WorkerId, Pid>,
    children: JoinSet<WorkerId>,
    /// No more are started: the interrupt has been given already.
    is_closing: bool,
}

impl Processes {
    /// No processes yet; each will have these variables.
    pub fn new(program: PathBuf, environment: Vec<(String, String)>) -> (ProcessLauncher, Self) {
        let (sender, requests) = mpsc::channel(64);
        let processes = Self {
            program,
            requests,
            environment,
            pids: HashMap::new(),
            children: JoinSet::new(),
            is_closing: false,
        };
        (ProcessLauncher { requests: sender }, processes)
    }

    /// Does what is asked until a worker ends, and returns that one.
    /// Cancel-safe.
    pub async fn next_ended(&mut self) -> WorkerId {
        loop {
            tokio::select! {
                Some(request) = self.requests.recv() => self.serve(request),
                Some(Ok(worker)) = self.children.join_next() => {
                    self.pids.remove(&worker);
                    return worker;
                }
                else => std::future::pending().await,
            }
        }
    }

    /// Asks every worker to leave at once: it hands its job back and ends.
    /// SIGTERM would have it wait for another worker first, and all of them
    /// are to end. None is started from now on.
    pub fn interrupt(&mut self) {
        self.is_closing = true;
        self.signal_all(Signal::SIGINT);
    }

    /// Ends every worker at once.
    pub fn kill(&self) {
        self.signal_all(Signal::SIGKILL);
    }

    /// Whether no worker is left.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.pids.values() {
            // Gone already is as good.
            let _ = kill(*pid, signal);
        }
    }

    fn serve(&mut self, request: Request) {
        // A caller that has gone away needs no answer.
        match request {
            Request::Launch(worker, answer) => {
                let _ = answer.send(self.launch(&worker));
            }
            Request::Stop(worker, answer) => {
                if let Some(pid) = self.pids.get(&worker) {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
                let _ = answer.send(());
            }
        }
    }

    /// Starts a worker, unless it runs already.
    fn launch(&mut self, worker: &WorkerId) -> Result<String, LaunchError> {
        if let Some(pid) = self.pids.get(worker) {
            return Ok(pid.to_string());
        }
        // What was asked for before the end is still in the channel.
        if self.is_closing {
            return Err(ending());
        }
        let failed = |error: &dyn std::fmt::Display| LaunchError::Failed(error.to_string());
        let mut child = self.spawn(worker).map_err(|error| failed(&error))?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| failed(&"it ended at once"))?;
        self.pids.insert(worker.clone(), pid);
        let worker = worker.clone();
        self.children.spawn(async move {
            let status = child.wait().await;
            tracing::debug!(worker_id = %worker, ?status, "worker process ended");
            worker
        });
        Ok(pid.to_string())
    }

    fn spawn(&self, worker: &WorkerId) -> std::io::Result<Child> {
        let mut command = Tie::default().command(&self.program);
        command
            .arg(WORKER_COMMAND)
            // It opens the API, which is none of a worker's business.
            .env_remove("EZLIVE_TOKEN")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("EZLIVE_WORKER_ID", worker.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C is for `ezlive up`, which ends its workers in order.
            .process_group(0);
        Command::from(command).kill_on_drop(true).spawn()
    }
}

#[async_trait]
impl WorkerLauncher for ProcessLauncher {
    async fn launch(&self, worker: &WorkerId, _size: WorkerSize) -> Result<String, LaunchError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Launch(worker.clone(), answer)).await?;
        answered.await.unwrap_or_else(|_| Err(ending()))
    }

    async fn stop(&self, worker: &Worker) -> Result<(), LaunchError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Stop(worker.id.clone(), answer)).await?;
        answered.await.map_err(|_| ending())
    }
}

impl ProcessLauncher {
    async fn ask(&self, request: Request) -> Result<(), LaunchError> {
        self.requests.send(request).await.map_err(|_| ending())
    }
}

fn ending() -> LaunchError {
    LaunchError::Failed("ezlive is ending".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_worker_is_started_after_the_interrupt() {
        let (launcher, mut processes) = Processes::new("/bin/true".into(), Vec::new());
        let worker = WorkerId::generate();
        // Asked for before the end, served after it.
        let (answer, answered) = oneshot::channel();
        let asked = Request::Launch(worker.clone(), answer);
        launcher.requests.send(asked).await.unwrap();
        processes.interrupt();
        let launched = tokio::select! {
            ended = processes.next_ended() => panic!("{ended} was started"),
            launched = answered => launched.unwrap(),
        };
        assert_eq!(launched.unwrap_err().to_string(), ending().to_string());
        assert!(processes.is_empty());
    }
}
