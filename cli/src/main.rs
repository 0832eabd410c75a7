//! The `ezlive` program: reads the command line and starts what it names.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::{client, up};

/// Live channels as an API: post a job, push a stream, play HLS and DASH.
#[derive(Parser)]
#[command(name = "ezlive", version, after_help = client::help::OVERVIEW)]
struct Args {
    #[command(flatten)]
    global: client::GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: API, scheduler, workers, playback, console
    Up(Box<up::UpArgs>),
    #[command(flatten)]
    Client(client::Command),
    /// A worker of `ezlive up`, which tells it all by its environment
    #[command(name = up::WORKER_COMMAND, hide = true)]
    Worker,
}

fn main() -> ExitCode {
    worker::ffmpeg::shim::run_if_asked();
    let command = client::GlobalArgs::without_empty_variables(Args::command());
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    match args.command {
        Command::Client(command) => client::run(&args.global, command),
        Command::Up(args) => up::run(&args),
        Command::Worker => worker::run(),
    }
}
