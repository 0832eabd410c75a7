//! `ezlive workers`.

use clap::{Args, Subcommand};

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::output::{self, Output};
use super::resolve;

/// The commands of `ezlive workers`.
#[derive(Debug, Subcommand)]
#[command(after_help = help::WORKERS)]
pub enum WorkersCommand {
    /// List the workers
    List,
    /// Show a worker, as JSON
    Get(WorkerArgs),
    /// Have a worker hand over its job and leave
    Drain(WorkerArgs),
}

/// Names a worker.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// The worker: its id, or the start or end of it
    worker: String,
}

/// Runs one of them.
///
/// # Errors
/// What the API says.
pub async fn run(
    api: &ApiClient,
    output: &Output,
    command: &WorkersCommand,
) -> Result<(), Failure> {
    match command {
        WorkersCommand::List => list(api, output).await,
        WorkersCommand::Get(args) => {
            let id = resolve::worker(api, &args.worker).await?;
            output.document(&api.worker(&id).await?.json)
        }
        WorkersCommand::Drain(args) => {
            let id = resolve::worker(api, &args.worker).await?;
            let answer = api.drain(&id).await?;
            if output.json {
                output.document(&answer.json)
            } else {
                output.line(&format!("{id}  draining"))
            }
        }
    }
}

async fn list(api: &ApiClient, output: &Output) -> Result<(), Failure> {
    let answer = api.workers().await?;
    if output.json {
        return output.document(&answer.json);
    }
    if answer.body.is_empty() {
        output.note("no workers; one starts when a job needs it");
        return Ok(());
    }
    let or_dash = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), output::clean);
    let rows: Vec<Vec<String>> = answer
        .body
        .iter()
        .map(|worker| {
            vec![
                output::clean(&worker.id),
                output::state(worker.state.as_deref().unwrap_or("-")),
                or_dash(worker.size.as_deref()),
                or_dash(worker.job_id.as_deref()),
                output::moment(worker.created_at.as_deref()),
            ]
        })
        .collect();
    output.line(&output::table(
        &["WORKER", "STATE", "SIZE", "JOB", "SINCE"],
        &rows,
    )?)
}
