//! The `ezlive` program: reads the command line and starts what it names.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::client;

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
    #[command(flatten)]
    Client(client::Command),
    /// Ties a program's life to its parent's; what `publish` starts FFmpeg by
    #[command(hide = true)]
    Bound(client::bound::BoundArgs),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Command::Client(command) => client::run(&args.global, command),
        Command::Bound(bound) => client::bound::run(&bound),
    }
}
