//! `ezlive up` as a user runs it: the real program in a process of its own,
//! on free ports and a folder of its own, ended with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use worker::ffmpeg::shim::Tie;

/// Nothing here takes this long unless it hangs.
pub const HANGS: Duration = Duration::from_secs(60);
/// How often a state is looked at that can't be awaited: it is another
/// program's, and told over HTTP.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program of this workspace, built beside this one (`make build`).
///
/// # Errors
/// It is not there.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut folder = own.parent().context("this program is in no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("deps is in no folder")?;
    }
    let path = folder.join(name);
    if !path.exists() {
        bail!(
            "{} is not built: run `cargo build --workspace --bins`",
            path.display()
        );
    }
    Ok(path)
}

/// A program that the shell would find.
///
/// # Errors
/// There is none in `PATH`.
pub fn on_path(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not in PATH"))
}

/// A running `ezlive up`.
pub struct Machine {
    child: Child,
    url: String,
    folder: Folder,
    arguments: Vec<String>,
}

enum Folder {
    Own(TempDir),
    Given(PathBuf),
}

impl Machine {
    /// Starts one on free ports and a folder of its own, with more arguments.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(Folder::Own(tempfile::tempdir()?), arguments).await
    }

    /// Starts one on a given folder.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_on(folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(Folder::Given(folder.to_owned()), arguments).await
    }

    async fn start_in(folder: Folder, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        if !arguments.contains(&"--rtmp-ports") {
            let first = free_ports(8)?;
            all.extend(["--rtmp-ports".to_owned(), format!("{first}-{}", first + 7)]);
        }
        if !arguments.contains(&"--listen") {
            all.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
        }
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let (child, url) = spawn(folder.path(), &all).await?;
        Ok(Self {
            child,
            url,
            folder,
            arguments: all,
        })
    }

    /// Starts it again on the same folder and ports, after it has ended.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let address = self.url.trim_start_matches("http://").to_owned();
        let mut arguments = self.arguments.clone();
        if let Some(listen) = arguments.iter().position(|argument| argument == "--listen") {
            // The same address: players and encoders know it.
            arguments[listen + 1] = address;
        }
        (self.child, self.url) = spawn(self.folder.path(), &arguments).await?;
        Ok(())
    }

    /// Where it serves, as `http://127.0.0.1:40001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its data are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> Option<Pid> {
        self.child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw)
    }

    /// Waits until it ends by itself. Cancel-safe.
    ///
    /// # Errors
    /// It can't be waited for.
    pub async fn ended(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// All that it has logged so far.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder().join("log.txt"))?)
    }

    /// Sends it a signal and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub async fn end(&mut self, signal: Signal) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(pid) = self.pid() {
            kill(pid, signal)?;
        }
        let ended = tokio::time::timeout(HANGS, self.child.wait()).await;
        Ok(ended.context("ezlive up does not end")??)
    }

    /// Its only worker's process, where there is one.
    ///
    /// # Errors
    /// `/proc` can't be read, or there are more.
    pub fn worker(&self) -> anyhow::Result<Option<Pid>> {
        let Some(own) = self.pid() else {
            return Ok(None);
        };
        let children = Self::children_of(own, "ezlive")?;
        match children[..] {
            [] => Ok(None),
            [worker] => Ok(Some(worker)),
            _ => bail!("more than one worker: {children:?}"),
        }
    }

    /// The processes of this name that this one has started itself.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn children_of(pid: Pid, name: &str) -> anyhow::Result<Vec<Pid>> {
        let is_child =
            |(_, parent, called): &&(i32, i32, String)| *parent == pid.as_raw() && called == name;
        let all = processes()?;
        let children = all.iter().filter(is_child);
        Ok(children.map(|(pid, ..)| Pid::from_raw(*pid)).collect())
    }

    /// The processes that it started, and theirs, that are still there.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn descendants_of(pid: Pid) -> anyhow::Result<Vec<(Pid, String)>> {
        let mut found = Vec::new();
        let mut parents = vec![pid.as_raw()];
        let all = processes()?;
        while let Some(parent) = parents.pop() {
            for (pid, ppid, name) in &all {
                if *ppid == parent {
                    parents.push(*pid);
                    found.push((Pid::from_raw(*pid), name.clone()));
                }
            }
        }
        Ok(found)
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

async fn spawn(folder: &Path, arguments: &[String]) -> anyhow::Result<(Child, String)> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log.txt"))
        .context("the log can't be written")?;
    // Tied to this process through its own shim: it ends with the test.
    let ezlive = program("ezlive")?;
    let mut command = Command::from(Tie::through(&ezlive).command(&ezlive));
    let mut child = command
        .arg("up")
        .arg("--data")
        .arg(folder)
        .args(arguments)
        .env_remove("EZLIVE_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C is for the program that started it, which ends it in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("ezlive can't be started")?;
    let stdout = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = tokio::time::timeout(HANGS, lines.next_line())
        .await
        .context("no `ready` line")??;
    let Some(url) = first
        .as_deref()
        .and_then(|line| line.strip_prefix("ready "))
    else {
        let log = std::fs::read_to_string(folder.join("log.txt")).unwrap_or_default();
        bail!("ezlive up did not come up: {first:?}\n{log}");
    };
    Ok((child, url.to_owned()))
}

/// The first of so many neighbouring ports that are free just now. Taken from
/// below the ephemeral range, at a place that differs between processes, so
/// that tests in parallel seldom meet; the programs step over a taken one.
///
/// # Errors
/// There are none.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    let slots = (32_000 - 12_000) / count;
    let start = (std::process::id() as u16).wrapping_mul(31) ^ seed();
    for n in 0..slots {
        let first = 12_000 + (start.wrapping_add(n) % slots) * count;
        let free =
            (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if free {
            return Ok(first);
        }
    }
    bail!("no {count} neighbouring ports are free")
}

/// Differs from call to call within a process.
fn seed() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    NEXT.fetch_add(257, std::sync::atomic::Ordering::Relaxed)
}

/// Which of these are still there.
///
/// # Errors
/// `/proc` can't be read.
pub fn alive(pids: &[(Pid, String)]) -> anyhow::Result<Vec<(Pid, String)>> {
    let all = processes()?;
    let is_there = |(pid, name): &&(Pid, String)| {
        all.iter()
            .any(|(other, _, called)| *other == pid.as_raw() && called == name)
    };
    Ok(pids.iter().filter(is_there).cloned().collect())
}

/// Every process: id, parent's id, name.
fn processes() -> anyhow::Result<Vec<(i32, i32, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        // One that ends meanwhile is none.
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else {
            continue;
        };
        let Some((head, tail)) = stat.rsplit_once(')') else {
            continue;
        };
        let Some((pid, name)) = head.split_once(" (") else {
            continue;
        };
        let mut tail = tail.split_whitespace();
        if let (Ok(pid), Some(state), Some(Ok(ppid))) =
            (pid.parse(), tail.next(), tail.next().map(str::parse))
            && state != "Z"
        {
            all.push((pid, ppid, name.to_owned()));
        }
    }
    Ok(all)
}

/// Looks until the condition gives something.
///
/// # Errors
/// It does not within `limit`, or looking fails.
pub async fn until<T, F>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let by = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= by {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The sample job, `live_job.json`.
pub const SAMPLE: &str = include_str!("../../live_job.json");

/// The sample with changes made to it.
///
/// # Errors
/// Never, as long as the sample is JSON.
pub fn sample_with(change: impl FnOnce(&mut Value)) -> anyhow::Result<Value> {
    let mut job = serde_json::from_str(SAMPLE)?;
    change(&mut job);
    Ok(job)
}

/// A channel that costs little and shows changes soon: small pictures,
/// segments of two seconds; with more changes.
///
/// # Errors
/// Never, as long as the sample is JSON.
pub fn small_channel(change: impl FnOnce(&mut Value)) -> anyhow::Result<Value> {
    sample_with(|job| {
        let output = &mut job["Output"];
        output["Segment_duration"] = json!(2);
        for (rendition, (width, height)) in [(320, 180), (256, 144)].into_iter().enumerate() {
            let video = &mut output["Video_outputs"][rendition];
            video["Width"] = json!(width);
            video["Height"] = json!(height);
            video["Preset"] = json!("veryfast");
            video["Gop_size"] = json!(1);
        }
        change(job);
    })
}

/// Now, in milliseconds since 1970.
pub fn now() -> u64 {
    jiff::Timestamp::now()
        .as_millisecond()
        .try_into()
        .unwrap_or_default()
}
