//! `ezlive plan`.

use std::path::PathBuf;

use clap::Args;

use super::api::ApiClient;
use super::create::read_spec;
use super::failure::Failure;
use super::help;
use super::output::Output;

/// Arguments of `ezlive plan`.
#[derive(Debug, Args)]
#[command(after_help = help::PLAN)]
pub struct PlanArgs {
    /// The job as JSON, like live_job.json; - for standard input
    file: PathBuf,
}

/// Checks a spec and prints the command it would run, ready to be pasted.
///
/// # Errors
/// What the API says; [`Failure::NotEzlive`] for an answer without a command.
pub async fn run(api: &ApiClient, output: &Output, args: &PlanArgs) -> Result<(), Failure> {
    let answer = api.dry_run(read_spec(&args.file).await?).await?;
    if output.json {
        return output.document(&answer.json);
    }
    output.warnings(answer.body.warnings.as_deref());
    let argv = answer
        .body
        .ffmpeg
        .map(|ffmpeg| ffmpeg.argv)
        .unwrap_or_default();
    let program = if argv.first().is_some_and(|first| first == "ffmpeg") {
        None
    } else {
        Some("ffmpeg")
    };
    let words = program.into_iter().chain(argv.iter().map(String::as_str));
    let command = shlex::try_join(words).map_err(|error| Failure::NotEzlive {
        url: api.shown_url(),
        why: format!("no shell takes its command: {error}"),
    })?;
    output.line(&command)
}
