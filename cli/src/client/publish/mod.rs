//! `ezlive publish`: pushes a file or the test picture to a job's ingest.

mod ffmpeg;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::api::ApiClient;
use super::failure::Failure;
use super::looks::Looks;
use super::output::{self, LiveLine, Output, status_line};
use super::types::{Ingest, Job};
use super::{help, resolve, signals};
use crate::test_picture::{FrameRate, Size};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// For so long after it last got something through it tries again: longer than
/// a job takes to another worker, or `ezlive up` to start again.
const GIVE_UP: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A worker that listens says so with its first report in that state, one
/// that pulls never does.
const LOOKS_TO_BE_SURE: u32 = 6;

/// Arguments of `ezlive publish`.
#[derive(Debug, Args)]
#[command(after_help = help::PUBLISH)]
pub struct PublishArgs {
    /// The job: its id, or the start or end of it
    job: String,
    /// What to push [default: a test picture with a clock and a beep]
    file: Option<PathBuf>,
    /// Picture size [default: the file's; of the test picture 1280x720]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<Size>,
    /// Frames per second, as 25 or 30000/1001 [default: the file's; of the test picture 25]
    #[arg(long, value_name = "RATE")]
    fps: Option<FrameRate>,
    /// Begin the file again at its end
    #[arg(long = "loop", requires = "file")]
    repeat: bool,
    /// How long to wait for the ingest address, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 200)]
    timeout: u64,
}

/// Pushes until the source or the job ends, or a signal comes. An ingest that
/// goes away, as when the job's worker is drained or dies, is asked for again.
///
/// # Errors
/// [`Failure::Job`] where the job has no use for a push,
/// [`Failure::Interrupted`] for a signal, [`Failure::Local`] without FFmpeg,
/// and what the API says.
pub async fn run(
    api: &ApiClient,
    output: &Output,
    args: &PublishArgs,
) -> Result<ExitCode, Failure> {
    let prepared = async {
        let source = source::arguments(args).await?;
        let id = resolve::job(api, &args.job).await?;
        Ok((source, id))
    };
    let (source, id) = unless_signalled(prepared).await?;
    let timeout = Duration::from_secs(args.timeout);
    let mut got_through = None;
    loop {
        let ingest = unless_signalled(wait_for_ingest(api, output, &id, timeout)).await?;
        let target = target_url(&ingest)?;
        output.note(&format!(
            "publishing to {}; Ctrl-C ends it",
            output::clean(&ingest.url)
        ));
        let end = ffmpeg::run(output, &source, &target, &ingest.stream_key).await?;
        if end.got_through {
            got_through = Some(Instant::now());
        }
        let may_retry = got_through.is_some_and(|at| at.elapsed() < GIVE_UP);
        if end.code == 0 || !may_retry {
            return Ok(ExitCode::from(end.code));
        }
        output.note("the ingest has gone; asking for it again");
        unless_signalled(async {
            tokio::time::sleep(RETRY_PAUSE).await;
            Ok(())
        })
        .await?;
    }
}

async fn unless_signalled<T>(done: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = done => done,
        signal = signals::next() => Err(Failure::Interrupted(signal?)),
    }
}

/// Waits until a worker listens for this job.
async fn wait_for_ingest(
    api: &ApiClient,
    output: &Output,
    id: &str,
    timeout: Duration,
) -> Result<Ingest, Failure> {
    let live = output.live_line();
    let deadline = Instant::now() + timeout;
    let mut looks = Looks::every(LOOK_EVERY, output, &live).until(deadline);
    let mut wait = Wait::default();
    loop {
        if let Some(answer) = looks.found(api.job(id)).await? {
            let job = answer.body;
            if let Some(ingest) = wait.judge(id, &job)? {
                return Ok(ingest);
            }
            if Instant::now() >= deadline {
                let waited = timeout.as_secs();
                return Err(Failure::Job(format!(
                    "no ingest address after {waited} s: the job is {}{}",
                    job.state,
                    job.because()
                )));
            }
            wait.tell(output, &live, &job);
        }
        looks.pause().await;
    }
}

/// What has been seen and said while waiting for an ingest.
#[derive(Default)]
struct Wait {
    looks_at_work: u32,
    said: String,
}

impl Wait {
    /// The ingest of a job as it stands now, where it has one.
    ///
    /// # Errors
    /// [`Failure::Job`] where it is not to have one.
    fn judge(&mut self, id: &str, job: &Job) -> Result<Option<Ingest>, Failure> {
        if job.is_over() {
            return Err(Failure::Job(format!(
                "the job is {}{}\n  `ezlive resume {id}` brings it back.",
                job.state,
                job.because()
            )));
        }
        let at_work = matches!(job.state.as_str(), "running" | "streaming");
        self.looks_at_work = if at_work && job.ingest.is_none() {
            self.looks_at_work + 1
        } else {
            0
        };
        if self.looks_at_work == LOOKS_TO_BE_SURE {
            return Err(Failure::Job(
                "the job pulls its input itself; there is nothing to publish to".to_owned(),
            ));
        }
        Ok(job.ingest.clone())
    }

    /// Says what is waited for: on the live line, or once for each state.
    fn tell(&mut self, output: &Output, live: &LiveLine, job: &Job) {
        const WAITING: &str = "waiting for the ingest address";
        live.set(&format!("{WAITING}: {}", status_line(job)));
        if !live.is_on() && self.said != job.state {
            output.note(&format!(
                "{WAITING}: the job is {}{}",
                output::clean(&job.state),
                output::clean(&job.because())
            ));
            self.said.clone_from(&job.state);
        }
    }
}

/// The URL that FFmpeg pushes to; a secret, as it ends in the stream key.
fn target_url(ingest: &Ingest) -> Result<String, Failure> {
    match ingest.protocol.as_deref().unwrap_or("rtmp") {
        "rtmp" | "rtmps" => Ok(format!(
            "{}/{}",
            ingest.url.trim_end_matches('/'),
            ingest.stream_key
        )),
        other => Err(Failure::Job(format!(
            "the job takes {}, which this command does not speak",
            output::clean(other)
        ))),
    }
}
