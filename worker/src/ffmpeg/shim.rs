//! Ties a child process to this one, without unsafe code.
//!
//! `PR_SET_PDEATHSIG` has to be set in the child, between fork and exec, which
//! only unsafe code can do. So the child is this very binary again, with a
//! hidden first argument: it sets the signal, makes sure that its parent is
//! still there, and then executes the program in its own place. The signal
//! outlives the exec (prctl(2)), so however the parent dies, also by SIGKILL,
//! the kernel kills the child.
//!
//! The kernel sends the signal when the *thread* that forked ends. Spawn from
//! a thread that lives as long as the process: any on a current-thread
//! runtime, the one in `block_on` on a multi-thread one (its workers and
//! blocking threads come and go).

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// The hidden first argument.
const EXEC_TIED: &str = "exec-tied";

/// Exit code where the parent was gone before the program could be executed.
const EXIT_ORPHANED: i32 = 125;
/// Exit code where the program could not be executed, as a shell's.
const EXIT_CANNOT_EXECUTE: i32 = 126;
/// Exit code where there is no such program, as a shell's.
pub const EXIT_NOT_FOUND: i32 = 127;

/// Begins every line that the shim writes to standard error.
pub(crate) const PREFIX: &str = "exec-tied: ";

/// How children get tied to this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    shim: PathBuf,
}

impl Default for Tie {
    /// By this binary itself, whose `main` calls [`run_if_asked`] first.
    fn default() -> Self {
        // Read by the forked child, of whom it is true as well; unlike a path
        // it holds when the file has been replaced meanwhile.
        Self {
            shim: "/proc/self/exe".into(),
        }
    }
}

impl Tie {
    /// By another binary whose `main` calls [`run_if_asked`] first.
    pub fn through(shim: impl Into<PathBuf>) -> Self {
        Self { shim: shim.into() }
    }

    /// A command that becomes `program`, looked up in `PATH`, and dies by
    /// SIGKILL when the spawning thread ends. Its arguments are the program's.
    /// A program that cannot be executed shows as exit code 126 or 127.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.shim);
        command
            .arg(EXEC_TIED)
            .arg(std::process::id().to_string())
            .arg(program);
        command
    }
}

/// Call first in `main` of every binary that spawns by [`Tie`]. Returns
/// unless this process is to become a tied child; then it never does.
pub fn run_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() == Some(OsStr::new(EXEC_TIED)) {
        let (code, message) = become_tied(args);
        // Without a standard error there is still the exit code.
        let _ = writeln!(io::stderr(), "{PREFIX}{message}");
        std::process::exit(code);
    }
}

/// Executes the program; gives exit code and message where that fails.
fn become_tied(mut args: impl Iterator<Item = OsString>) -> (i32, String) {
    let parent = args
        .next()
        .and_then(|pid| pid.to_str()?.parse().ok())
        .map(Pid::from_raw);
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return (
            EXIT_CANNOT_EXECUTE,
            "usage: exec-tied PARENT-PID PROGRAM [ARGUMENT]...".into(),
        );
    };
    if let Err(errno) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return (
            EXIT_CANNOT_EXECUTE,
            format!("cannot be tied to the parent: {errno}"),
        );
    }
    // A parent that died before the line above leaves no signal.
    if getppid() != parent {
        return (EXIT_ORPHANED, "the parent is gone".into());
    }
    let error = Command::new(&program).args(args).exec();
    let code = match error.kind() {
        io::ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_CANNOT_EXECUTE,
    };
    (
        code,
        format!("cannot execute {}: {error}", program.display()),
    )
}
