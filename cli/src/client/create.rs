//! `ezlive create`.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::output::{self, Output};
use super::{get, watch};

/// Arguments of `ezlive create`.
#[derive(Debug, Args)]
#[command(after_help = help::CREATE)]
pub struct CreateArgs {
    /// The job as JSON, like live_job.json; - for standard input
    file: PathBuf,
    /// Go on to follow the job, as `ezlive watch` does
    #[arg(long)]
    watch: bool,
    /// The same key and file give the same job again [default: a new random key]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Creates a job.
///
/// # Errors
/// What the API says, and [`Failure::Usage`] where the file is none.
pub async fn run(api: &ApiClient, output: &Output, args: &CreateArgs) -> Result<(), Failure> {
    let spec = read_spec(&args.file).await?;
    let key = args
        .idempotency_key
        .clone()
        .unwrap_or_else(|| Uuid::new_v4().to_string());
    let answer = api.create(spec, &key).await?;
    let job = answer.body;
    match (output.json, args.watch) {
        (true, true) => output.json_line(&answer.json)?,
        (true, false) => output.document(&answer.json)?,
        (false, _) => {
            output.line(&format!("job       {}", output::clean(&job.id)))?;
            get::print_playback(output, &job)?;
            if job.is_pushed() {
                let id = get::short(&job.id);
                output.line(&format!(
                    "next      ezlive publish {id}, or ezlive get {id} for server and key"
                ))?;
            }
            output.warnings(job.warnings.as_deref());
        }
    }
    if args.watch {
        return watch::follow(api, output, &job.id, watch::From::Start).await;
    }
    Ok(())
}

/// Reads a request body, and sees that it is JSON at all: a file's name and
/// line say more than the API can.
///
/// # Errors
/// [`Failure::Usage`].
pub async fn read_spec(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = if file == Path::new("-") {
        tokio::io::stdin().read_to_end(&mut text).await.map(|_| ())
    } else {
        tokio::fs::read(file).await.map(|read| text = read)
    };
    let name = file.display();
    read.map_err(|error| Failure::Usage(format!("can't read {name}: {error}")))?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&text)
        .map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))?;
    Ok(text)
}
