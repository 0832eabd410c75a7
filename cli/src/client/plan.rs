//! `ezlive plan`.

use std::path::PathBuf;

use clap::Args;

use super::api::ApiClient;
use super::create::read_spec;
use super::failure::Failure;
use super::help;
use super::output::{self, Output};

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
    let command = answer.body.ffmpeg.and_then(|ffmpeg| ffmpeg.command);
    let command = command.ok_or_else(|| Failure::NotEzlive {
        url: api.shown_url(),
        why: "its plan has no command".to_owned(),
    })?;
    output.line(&output::clean(&command))
}
