//! `ezlive stop`, `pause`, `resume` and `delete`.

use std::time::Duration;

use clap::Args;

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::looks::Looks;
use super::output::{self, Output, status_line};
use super::resolve;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Arguments of `ezlive stop`, `pause` and `resume`.
#[derive(Debug, Args)]
#[command(after_help = help::CHANGE)]
pub struct ChangeArgs {
    /// The job: its id, or the start or end of it
    job: String,
    /// Wait until it is so
    #[arg(long)]
    wait: bool,
}

/// What is asked of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// End it for now.
    Stop,
    /// Hold it.
    Pause,
    /// Go on.
    Resume,
}

impl Change {
    fn call(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// The states in which it is done.
    fn is_done_in(self, state: &str) -> bool {
        match self {
            Self::Stop => state == "stopped",
            Self::Pause => state == "paused",
            Self::Resume => matches!(state, "running" | "streaming"),
        }
    }
}

/// Sets what a job is to do, and waits for it where that is wanted.
///
/// # Errors
/// What the API says; [`Failure::Job`] where the job goes another way.
pub async fn change(
    api: &ApiClient,
    output: &Output,
    args: &ChangeArgs,
    change: Change,
) -> Result<(), Failure> {
    let id = resolve::job(api, &args.job).await?;
    let mut answer = api.change(&id, change.call()).await?;
    let live = output.live_line();
    let mut looks = Looks::every(LOOK_EVERY, output, &live);
    while args.wait && !change.is_done_in(&answer.body.state) {
        // What another client asked for in between wins; and over is over,
        // but a job to be resumed may still show the state it comes from.
        if answer.body.state == "failed" || (answer.body.is_over() && change != Change::Stop) {
            let job = &answer.body;
            return Err(Failure::Job(format!(
                "the job is {} instead{}",
                job.state,
                job.because()
            )));
        }
        live.set(&status_line(&answer.body));
        answer = loop {
            looks.pause().await;
            if let Some(newer) = looks.found(api.job(&id)).await? {
                break newer;
            }
        };
    }
    drop(live);
    if output.json {
        return output.document(&answer.json);
    }
    output.line(&format!("{}  {}", id, output::state(&answer.body.state)))
}

/// Arguments of `ezlive delete`.
#[derive(Debug, Args)]
#[command(after_help = help::DELETE)]
pub struct DeleteArgs {
    /// The job: its id, or the start or end of it
    job: String,
    /// Stop it first if it is live
    #[arg(long)]
    force: bool,
    /// Delete what it has published, too; without this it stays
    #[arg(long)]
    media: bool,
}

/// Deletes a job.
///
/// # Errors
/// What the API says.
pub async fn delete(api: &ApiClient, output: &Output, args: &DeleteArgs) -> Result<(), Failure> {
    let id = resolve::job(api, &args.job).await?;
    // Afterwards there is no job to ask.
    let keeps_media = !args.media && api.job(&id).await?.body.may_have_published();
    let answer = api
        .delete(&id, args.force, args.media)
        .await
        .map_err(in_flags)?;
    if output.json {
        let gone = serde_json::json!({ "id": id, "deleted": true });
        return output.document(if answer.pending { &answer.json } else { &gone });
    }
    let what = match answer.body {
        None => "deleted",
        // Over already: what takes time is its media.
        Some(job) if matches!(job.state.as_str(), "stopped" | "failed") => "is being deleted",
        Some(_) => "is being stopped, then deleted",
    };
    output.line(&format!("{id}  {what}"))?;
    if keeps_media {
        output.note("its media stays; `--media` removes it too");
    }
    Ok(())
}

/// A refusal whose remedy is the command's flag, not the API's parameter.
fn in_flags(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(mut problem) => {
            problem.detail = problem
                .detail
                .map(|detail| detail.replace("?force=true", "--force"));
            Failure::Refused(problem)
        }
        other => other,
    }
}
