//! The programs that the demo runs: `ezlive up` and `ezlive publish`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::machine::{Machine, program};
use tokio::process::{Child, Command};
use worker::ffmpeg::shim::Tie;

use crate::screen::Screen;

/// The port of the README; the next ones are tried where it is taken.
const PORT: u16 = 1080;
const MORE_PORTS: u16 = 20;
/// How long a publisher may take to say goodbye.
const GRACE: Duration = Duration::from_secs(5);

/// The running programs. They are tied to this one: none outlives it.
pub struct Children {
    pub machine: Machine,
    publisher: Option<Child>,
}

impl Children {
    /// Starts `ezlive up` on a folder of its own.
    pub async fn start(screen: &Screen) -> anyhow::Result<Self> {
        let address = free_address(screen)?.to_string();
        let arguments = ["--listen", &address, "--rtmp-ports", "1935-1999"];
        let machine = Machine::start(&arguments).await?;
        screen.line(&format!("ezlive up: ready {}\n", machine.url()));
        Ok(Self {
            machine,
            publisher: None,
        })
    }

    /// Starts `ezlive publish`, which waits for the job's ingest by itself.
    pub fn publish(&mut self, job: &str) -> anyhow::Result<()> {
        let log = std::fs::File::create(self.machine.folder().join("publish.txt"))?;
        let ezlive = program("ezlive")?;
        let child = Command::from(Tie::through(&ezlive).command(&ezlive))
            .args(["publish", job, "--url", self.machine.url()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("ezlive publish can't be started")?;
        self.publisher = Some(child);
        Ok(())
    }

    /// Awaits something for as long as the programs run.
    pub async fn meanwhile<T>(&mut self, something: impl Future<Output = T>) -> anyhow::Result<T> {
        let published = async {
            match &mut self.publisher {
                Some(child) => child.wait().await,
                None => std::future::pending().await,
            }
        };
        let (program, status, log) = tokio::select! {
            biased;
            done = something => return Ok(done),
            status = self.machine.ended() => ("ezlive up", status?, "log.txt"),
            status = published => ("ezlive publish", status?, "publish.txt"),
        };
        let said = std::fs::read_to_string(self.machine.folder().join(log)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        bail!("{program} ended: {status}; its last words:\n{last}")
    }

    /// Ends the publisher in order.
    pub async fn end_publisher(&mut self) -> anyhow::Result<()> {
        let Some(mut publisher) = self.publisher.take() else {
            return Ok(());
        };
        if let Some(pid) = publisher.id().and_then(|pid| i32::try_from(pid).ok()) {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(GRACE, publisher.wait()).await.is_err() {
            publisher.kill().await?;
        }
        Ok(())
    }

    /// Ends the programs in order: publisher, then all the rest.
    pub async fn end(mut self, screen: &Screen) -> anyhow::Result<()> {
        self.end_publisher().await?;
        if self.machine.pid().is_none() {
            return Ok(());
        }
        let status = self.machine.end(Signal::SIGTERM).await?;
        if !status.success() {
            bail!("ezlive up did not end in order: {status}");
        }
        screen.line("all ended in order");
        Ok(())
    }
}

/// The usual address, or the first free one after it.
fn free_address(screen: &Screen) -> anyhow::Result<SocketAddr> {
    for port in PORT..PORT + MORE_PORTS {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => screen.line(&format!("{address} can't be used: {error}; the next port")),
        }
    }
    bail!("no port from {PORT} on is free")
}
