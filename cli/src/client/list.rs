//! `ezlive list`.

use clap::Args;

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::output::{self, Output};
use super::types::Job;

/// Arguments of `ezlive list`.
#[derive(Debug, Args)]
#[command(after_help = help::LIST)]
pub struct ListArgs {
    /// Only jobs in this state
    #[arg(long, value_name = "STATE", value_parser = ["created", "assigned", "running", "streaming", "paused", "stopping", "stopped", "failed"])]
    state: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Lists jobs, newest first.
///
/// # Errors
/// What the API says.
pub async fn run(api: &ApiClient, output: &Output, args: &ListArgs) -> Result<(), Failure> {
    let limit = (!args.all).then_some(usize::from(args.limit));
    let answer = api.jobs(args.state.as_deref(), limit).await?;
    if output.json {
        return output.document(&answer.json);
    }
    if answer.body.is_empty() {
        output.note("no jobs");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer.body.iter().map(row).collect();
    output.line(&output::table(
        &["JOB", "STATE", "FPS", "SPEED", "UP", "CREATED", "REASON"],
        &rows,
    )?)?;
    if answer
        .json
        .get("next_cursor")
        .is_some_and(|cursor| !cursor.is_null())
    {
        output.note(&format!(
            "the newest {}; --all shows the rest",
            answer.body.len()
        ));
    }
    Ok(())
}

fn row(job: &Job) -> Vec<String> {
    let stats = job.stats.clone().unwrap_or_default();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        output::clean(&job.id),
        output::state(&job.state),
        or_dash(stats.fps.map(|fps| format!("{fps:.1}"))),
        or_dash(stats.speed.map(|speed| format!("{speed:.2}x"))),
        or_dash(stats.up_seconds.map(output::duration)),
        output::moment(job.created_at.as_deref()),
        or_dash(
            job.reason
                .as_ref()
                .and_then(|reason| reason.code.as_deref())
                .map(output::clean),
        ),
    ]
}
