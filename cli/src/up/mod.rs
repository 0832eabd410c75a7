//! `ezlive up`: everything on one machine.
//!
//! The same API router, scheduler handler, DynamoDB calls and worker as on
//! AWS; only the queue is in memory ([`queue`]), the workers are processes
//! ([`processes`]) and the database is embedded ([`database`]).

mod args;
mod console;
mod database;
pub mod dynamo;
mod guard;
mod http;
mod preflight;
mod processes;
mod queue;
mod server;

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use aws::media::{MediaStore, MediaStores, remove_tombstones};
use aws::queue::JobQueue;
use aws::store::Store;
use domain::message::Message;
use domain::spec::WorkerSize;
use domain::worker::WorkerState;
use functions::api::{Api, ApiSettings};
use functions::scheduler::Scheduler;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use args::{UpArgs, ports};
use database::Database;
pub use processes::WORKER_COMMAND;
use processes::{ProcessLauncher, Processes};
use queue::LocalQueue;

use crate::client::api::DEFAULT_URL;
use crate::client::local_url;
use crate::client::output::Output;

/// How often the sweep passes, as on AWS.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long workers may take at the end to hand their jobs back.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(15);
/// How long calls under way may take at the end. A client that holds its
/// connection open must not hold up the end.
const HTTP_GRACE: Duration = Duration::from_secs(3);
/// For people: the JSON is the API's.
const OUTPUT: Output = Output { json: false };
/// Exit code where something keeps `up` from starting, or breaks while it runs.
const EXIT_FAILED: u8 = 2;

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &UpArgs) -> ExitCode {
    if let Err(fault) = aws::telemetry::init(aws::telemetry::LogFormat::Text) {
        OUTPUT.note(&format!("ezlive up: {fault}"));
        return ExitCode::from(EXIT_FAILED);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let served = match runtime {
        Ok(runtime) => {
            let served = runtime.block_on(serve(args));
            // Not held up by calls that were cut off.
            runtime.shutdown_background();
            served
        }
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            OUTPUT.note(&format!("ezlive up: {error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn serve(args: &UpArgs) -> anyhow::Result<()> {
    let mut signals = EndSignals::new()?;
    let ended = CancellationToken::new();
    preflight::check(args).await?;
    let listener = preflight::listen(args.listen).await?;
    let address = listener.local_addr()?;
    let database = Database::open(&args.data, ended.clone()).await?;
    let store = database.store();
    store
        .create_tables()
        .await
        .context("the embedded database can't be set up")?;
    let media_url = args.media_url()?;
    let media = MediaStore::open(media_url.as_str())?;

    let (queue, deliveries) = LocalQueue::new();
    let queue: Arc<dyn JobQueue> = Arc::new(queue);
    let (launcher, processes) = Processes::new(
        std::env::current_exe()?,
        worker_environment(args, &database, media_url.as_str()),
    );
    let scheduler = scheduler(args, &store, &queue, launcher, media.clone());
    let api = api(args, &store, &queue)?;

    recover(&store, queue.as_ref()).await?;
    if let Err(error) = remove_tombstones(&media).await {
        tracing::warn!(%error, "what is left of deleted channels stays for now");
    }
    let placing = CancellationToken::new();
    let mut parts = Parts {
        deliver: tokio::spawn(deliveries.deliver(Arc::new(scheduler), placing.clone())),
        sweeps: tokio::spawn(sweep_regularly(queue.clone(), placing.clone())),
        serving: {
            let (args, ended) = (args.clone(), ended.clone());
            tokio::spawn(async move { http::serve(listener, api, &args, ended).await })
        },
        database,
        queue,
        processes,
        placing,
        ended,
    };
    if !console::is_there() {
        tracing::warn!("built without the console: run `make build` with npm installed to have it");
    }
    OUTPUT.line(&format!("ready http://{address}"))?;
    let url = local_url(address);
    if url != DEFAULT_URL {
        // A line for a shell: other commands would look elsewhere.
        OUTPUT.note(&format!("export EZLIVE_URL={url}"));
    }

    tokio::select! {
        broken = parts.run() => return broken.map(|never| match never {}),
        () = signals.next() => {}
    }
    tracing::info!("ending: workers finish the segment in hand; once more ends at once");
    // Workers are tied to this process: they end with it in any case.
    tokio::select! {
        () = parts.end() => {}
        () = signals.next() => tracing::warn!("ended at once"),
    }
    Ok(())
}

/// The wishes to end: SIGINT and SIGTERM.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What runs while `up` does.
struct Parts {
    database: Database,
    queue: Arc<dyn JobQueue>,
    processes: Processes,
    deliver: JoinHandle<()>,
    sweeps: JoinHandle<()>,
    serving: JoinHandle<std::io::Result<()>>,
    /// Ends the placing of jobs, which is first: the API goes on, so that a
    /// client sees the end.
    placing: CancellationToken,
    /// Ends all the rest.
    ended: CancellationToken,
}

impl Parts {
    /// Goes on for ever, on the thread that children are tied to: the one that
    /// starts them, this one.
    ///
    /// # Errors
    /// A part broke or ended. Nothing is put in order then: workers go with
    /// this process, and come back with the next.
    async fn run(&mut self) -> anyhow::Result<Infallible> {
        loop {
            tokio::select! {
                worker = self.processes.next_ended() => {
                    // Should it be lost, the watch finds the worker dead.
                    let _ = self.queue.send(&Message::TaskStopped { worker }, Duration::ZERO).await;
                }
                served = &mut self.serving => {
                    served.context("the API broke")??;
                    bail!("the API ended");
                }
                delivered = &mut self.deliver => {
                    delivered.context("the scheduler broke")?;
                    bail!("the scheduler ended");
                }
            }
        }
    }

    /// Ends all in order.
    async fn end(mut self) {
        self.placing.cancel();
        end_processes(&mut self.processes).await;
        self.ended.cancel();
        // Each ends by its token; what it failed with has been logged.
        let all = async {
            let _ = tokio::join!(self.deliver, self.sweeps, self.serving);
            self.database.closed().await;
        };
        if tokio::time::timeout(HTTP_GRACE, all).await.is_err() {
            tracing::warn!("calls still under way were cut off");
        }
    }
}

fn scheduler(
    args: &UpArgs,
    store: &Store,
    queue: &Arc<dyn JobQueue>,
    launcher: ProcessLauncher,
    media: MediaStore,
) -> Scheduler {
    Scheduler {
        store: store.clone(),
        queue: queue.clone(),
        launcher: Arc::new(launcher),
        media: MediaStores::only(media),
        names: None,
        timing: args.timing(),
        max_workers: Some(args.max_workers),
        min_idle: args.min_idle,
        // Any process of this machine can run any job.
        one_size: Some(WorkerSize::Small),
    }
}

fn api(args: &UpArgs, store: &Store, queue: &Arc<dyn JobQueue>) -> anyhow::Result<Api> {
    Ok(Api {
        store: store.clone(),
        queue: queue.clone(),
        settings: ApiSettings {
            policy: args.policy()?,
            playback: args.playback(),
            timing: args.timing(),
        },
    })
}

/// Asks the workers to leave, and ends those that don't.
async fn end_processes(processes: &mut Processes) {
    processes.interrupt();
    let all_ended = async {
        while !processes.is_empty() {
            processes.next_ended().await;
        }
    };
    if tokio::time::timeout(SHUTDOWN_GRACE, all_ended)
        .await
        .is_err()
    {
        tracing::warn!("some workers did not leave in time: ended");
        processes.kill();
    }
}

/// The workers of a run before this one are gone with it: their jobs go to
/// others. Then a sweep finds what its queue had still held.
async fn recover(store: &Store, queue: &dyn JobQueue) -> anyhow::Result<()> {
    for worker in store.workers(&WorkerState::OPEN).await? {
        let gone = Message::TaskStopped { worker: worker.id };
        queue.send(&gone, Duration::ZERO).await?;
    }
    Ok(())
}

async fn sweep_regularly(queue: Arc<dyn JobQueue>, ended: CancellationToken) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    // A machine that slept has one pass to make up for, not many.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = every.tick() => {
                // The next one makes up for it.
                let _ = queue.send(&Message::Sweep, Duration::ZERO).await;
            }
        }
    }
}

/// What a worker reads at its start (`worker::config`).
fn worker_environment(args: &UpArgs, database: &Database, media: &str) -> Vec<(String, String)> {
    let seconds = |duration: Duration| duration.as_secs_f64().to_string();
    let ports = format!("{}-{}", args.rtmp_ports.start(), args.rtmp_ports.end());
    [
        (
            "AWS_ENDPOINT_URL_DYNAMODB",
            format!("http://{}", database.address()),
        ),
        ("AWS_REGION", database::REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", database.access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", database.access_key().to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("EZLIVE_TABLE_PREFIX", database::TABLE_PREFIX.to_owned()),
        ("EZLIVE_STORE", media.to_owned()),
        ("EZLIVE_RTMP_ADDRESS", args.listen.ip().to_string()),
        ("EZLIVE_RTMP_PORTS", ports),
        ("EZLIVE_INGEST_HOST", args.ingest_host()),
        ("EZLIVE_LEASE", seconds(args.lease)),
        ("EZLIVE_IDLE_TIMEOUT", seconds(args.idle_timeout)),
        ("EZLIVE_ALLOW_PULL_FROM", args.allow_pull_from.clone()),
        ("EZLIVE_FFMPEG", args.ffmpeg.clone()),
        ("EZLIVE_LOG_FORMAT", "text".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
