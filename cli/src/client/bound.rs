//! Ties a child's life to ours, without unsafe code: we start ourselves as
//! `ezlive bound`, which asks the kernel for a signal on its parent's death
//! and then becomes the program. So FFmpeg ends even if ezlive is killed by
//! SIGKILL and can't end it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// What to become, and for whom.
#[derive(Debug, Args)]
pub struct BoundArgs {
    /// The process id of the parent that this life is tied to
    #[arg(long)]
    parent: i32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The exit code that says the program could not be started, as shells have it.
pub const CANNOT_START: i32 = 127;

/// The command that runs `program` for as long as this process lives, at
/// most. The caller adds the program's arguments. Start it from a thread that
/// lives as long as the process: the kernel looks at the thread.
///
/// # Errors
/// Where this program's own file can't be told.
pub fn command(program: &str) -> std::io::Result<tokio::process::Command> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args([
        "bound",
        "--parent",
        &std::process::id().to_string(),
        "--",
        program,
    ]);
    Ok(command)
}

/// Becomes the program; comes back only where that fails, with the exit code
/// [`CANNOT_START`].
pub fn run(args: &BoundArgs) -> ExitCode {
    if let Some((program, arguments)) = args.command.split_first()
        && prctl::set_pdeathsig(Signal::SIGKILL).is_ok()
        // Else the parent died before the kernel knew of the wish.
        && getppid().as_raw() == args.parent
    {
        // It comes back only with an error, which the parent words.
        let _ = Command::new(program).args(arguments).exec();
    }
    ExitCode::from(u8::try_from(CANNOT_START).unwrap_or(u8::MAX))
}
