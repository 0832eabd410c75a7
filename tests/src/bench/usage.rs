//! What processes use, as Linux tells it in `/proc`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::Pid;

/// Clock ticks a second in `/proc`: USER_HZ, fixed for x86 and ARM.
const TICKS: u32 = 100;

/// CPU time of a process, user and system.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    /// Its own, all threads.
    pub own: Duration,
    /// Its children's that have ended and were waited for.
    pub ended_children: Duration,
}

/// The CPU time that a process has used so far; also one that has ended and
/// was not waited for yet.
///
/// # Errors
/// It is not there.
pub fn cpu(pid: Pid) -> anyhow::Result<Cpu> {
    let fields = stat(pid)?;
    // proc_pid_stat(5): utime is field 14, then stime, cutime, cstime.
    let ticks = |number: usize| field(&fields, number);
    Ok(Cpu {
        own: of_ticks(ticks(14)? + ticks(15)?),
        ended_children: of_ticks(ticks(16)? + ticks(17)?),
    })
}

/// When a process was started, since boot; 10 ms fine.
///
/// # Errors
/// It is not there.
pub fn started(pid: Pid) -> anyhow::Result<Duration> {
    Ok(of_ticks(field(&stat(pid)?, 22)?))
}

/// Now, on the clock of [`started`].
///
/// # Errors
/// `/proc` can't be read.
pub fn since_boot() -> anyhow::Result<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let seconds = uptime.split_whitespace().next().context("no uptime")?;
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident, with all that is shared with other processes.
    pub rss: u64,
    /// The most that was ever resident.
    pub peak_rss: u64,
    /// Resident and not of a file: heap and stacks.
    pub anonymous: u64,
    /// Resident, with its share of what others map as well.
    pub pss: u64,
}

/// The memory of a process now.
///
/// # Errors
/// It is not there.
pub fn memory(pid: Pid) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(of(pid, "status"))?;
    let rollup = std::fs::read_to_string(of(pid, "smaps_rollup"))?;
    Ok(Memory {
        rss: kilobytes(&status, "VmRSS:")?,
        peak_rss: kilobytes(&status, "VmHWM:")?,
        anonymous: kilobytes(&status, "RssAnon:")?,
        pss: kilobytes(&rollup, "Pss:")?,
    })
}

/// The command line of a process, the program first.
///
/// # Errors
/// It is not there.
pub fn command_line(pid: Pid) -> anyhow::Result<Vec<String>> {
    let line = std::fs::read_to_string(of(pid, "cmdline"))?;
    Ok(line.split_terminator('\0').map(str::to_owned).collect())
}

/// The load of the machine over the last minute: processes that run or wait
/// to.
///
/// # Errors
/// `/proc` can't be read.
pub fn load() -> anyhow::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

fn of(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The fields from the third on: the second, a name, may have blanks in it.
fn stat(pid: Pid) -> anyhow::Result<Vec<String>> {
    let stat = std::fs::read_to_string(of(pid, "stat"))?;
    let (_, tail) = stat.rsplit_once(')').context("no process status")?;
    Ok(tail.split_whitespace().map(str::to_owned).collect())
}

fn field(fields: &[String], number: usize) -> anyhow::Result<u32> {
    let text = fields.get(number - 3).context("a short process status")?;
    Ok(text.parse()?)
}

fn of_ticks(ticks: u32) -> Duration {
    Duration::from_secs(1) * ticks / TICKS
}

fn kilobytes(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .with_context(|| format!("no {name}"))?
        .parse::<u64>()?
        << 10)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_measured() {
        let own = nix::unistd::getpid();
        let memory = memory(own).unwrap();
        assert!(memory.anonymous <= memory.rss && memory.rss <= memory.peak_rss);
        assert!(memory.pss <= memory.rss);
        assert!(started(own).unwrap() <= since_boot().unwrap());
        let line = command_line(own).unwrap();
        assert_eq!(line, std::env::args().collect::<Vec<_>>());
    }

    #[test]
    fn what_a_child_used_shows_when_it_was_waited_for() {
        let own = nix::unistd::getpid();
        let before = cpu(own).unwrap().ended_children;
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        let status = Command::new("sh").args(["-c", busy]).status().unwrap();
        assert!(status.success());
        assert!(cpu(own).unwrap().ended_children > before);
    }
}
