//! Seeded fault runs of the real code: API, schedulers and workers in one
//! process, on the embedded DynamoDB behind a network that fails, a queue
//! that loses and repeats, an object store that answers late, and an FFmpeg
//! (`fake-ffmpeg`, a real process) that crashes and hangs.
//!
//! A seed is a world: one to three jobs with clients that change their minds,
//! a storm of faults of two and a half seconds, and then none any more: the
//! closing run must bring everything where it belongs ([`verdict`]). All the
//! while the order checker (`aws::media::check`) judges every write to the
//! store.
//!
//! ```sh
//! cargo test --workspace --test faults                      # the first 500 seeds
//! SEED=1234 cargo test --workspace --test faults seeds      # one, with its log
//! make soak SEEDS=20000 FROM=1                              # many
//! ```
//!
//! What a seed fixes: which calls of which component meet which fault (the
//! n-th of a kind), what happens to which message, when which worker is
//! killed, frozen, cut off or drained, what clients order and when, and what
//! FFmpeg's runs do. What it doesn't: the kernel's scheduling, and so which of
//! two components comes first. A failing seed fails again soon, but not always
//! at once: give it `TIMES=50`. `LOG=1` shows the worlds as they go.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::print_stderr, reason = "a long run says how far it is")]

mod clients;
mod clock;
mod database;
mod dice;
mod media;
mod queue;
mod verdict;
mod weather;
mod workers;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clock::Clock;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use weather::Tally;
use world::{Broken, Settings};

/// Seeds in `make test`.
const SEEDS: u64 = 500;
/// Worlds at the same time: they wait for FFmpeg's processes now and then.
const WORLDS: u64 = 12;
/// By then, in its own time, a world is at rest; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn seeds() {
    let one = number("SEED");
    let times = number("TIMES").unwrap_or(1);
    let seeds: Vec<u64> = match one {
        Some(seed) => std::iter::repeat_n(seed, usize::try_from(times).unwrap()).collect(),
        None => {
            let from = number("FROM").unwrap_or(1);
            (from..from + number("SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let tally = Tally::default();
    let failed = run_all(&seeds, PATIENCE, Broken::Nothing, u64::MAX, &tally);
    eprint!("{tally}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // What the embedded database never does by itself is there all the same.
    for fault in [
        "database: transactions in conflict",
        "database: stale read",
        "database: answer lost",
    ] {
        let enough = seeds.len() as u64 / 2;
        assert!(seeds.len() < 100 || tally.of(fault) > enough, "{fault}");
    }
}

/// The order checker finds what it is there for.
#[test]
fn a_store_that_ignores_conditions_is_found() {
    let seeds: Vec<u64> = (1..=200).collect();
    let failed = run_all(
        &seeds,
        PATIENCE,
        Broken::StoreIgnoresConditions,
        1,
        &Tally::default(),
    );
    assert!(!failed.is_empty(), "200 seeds have not found it");
}

/// Without the database's conditions workers are booked twice and orders are
/// lost.
#[test]
fn a_database_that_ignores_conditions_is_found() {
    let seeds: Vec<u64> = (1..=200).collect();
    let broken = Broken::DatabaseIgnoresConditions;
    let failed = run_all(&seeds, Duration::from_secs(5), broken, 1, &Tally::default());
    assert!(!failed.is_empty(), "200 seeds have not found it");
}

/// So does the closing run: without the sweep, what was lost stays lost.
#[test]
fn what_nobody_sweeps_is_found() {
    let seeds: Vec<u64> = (1..=200).collect();
    let broken = Broken::NoSweep;
    let failed = run_all(&seeds, Duration::from_secs(5), broken, 1, &Tally::default());
    assert!(!failed.is_empty(), "200 seeds have not found it");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lives through these worlds, many at a time, until so many have failed; how
/// each of those failed.
fn run_all(
    seeds: &[u64],
    patience: Duration,
    broken: Broken,
    enough: u64,
    tally: &Tally,
) -> Vec<String> {
    let (next, failures) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    let began = Instant::now();
    let worlds = number("WORLDS").unwrap_or(WORLDS).min(seeds.len() as u64);
    std::thread::scope(|scope| {
        for slot in 0..worlds {
            let (next, failures, failed) = (&next, &failures, &failed);
            scope.spawn(move || {
                while failures.load(Ordering::SeqCst) < enough {
                    let turn = next.fetch_add(1, Ordering::SeqCst);
                    let Some(seed) = seeds.get(usize::try_from(turn).unwrap()) else {
                        return;
                    };
                    if turn > 0 && turn.is_multiple_of(500) {
                        eprintln!("at seed {seed}, after {:.0?}", began.elapsed());
                    }
                    let settings = Settings {
                        seed: *seed,
                        slot: u16::try_from(slot).unwrap(),
                        patience,
                        broken,
                        clock: Clock::default(),
                        tally: tally.clone(),
                    };
                    if let Err(wrong) = run_one(settings) {
                        failures.fetch_add(1, Ordering::SeqCst);
                        failed.lock().unwrap().push(wrong);
                    }
                }
            });
        }
    });
    let (lived, took) = (
        next.load(Ordering::SeqCst).min(seeds.len() as u64),
        began.elapsed(),
    );
    eprintln!("{lived} worlds in {took:.1?}, {broken:?} broken");
    failed.into_inner().unwrap()
}

/// Lives through one world; how it failed, if it did.
fn run_one(settings: Settings) -> Result<(), String> {
    let log = Log::default();
    let levels = Targets::new()
        .with_default(LevelFilter::INFO)
        // The SDK misses the connections that it would close.
        .with_target("aws_smithy_runtime", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_timer(settings.clock.clone())
        .with_writer(log.clone());
    let subscriber = tracing_subscriber::registry().with(levels).with(lines);
    let seed = settings.seed;
    let broken = settings.broken;
    let wrong = tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let world = std::panic::AssertUnwindSafe(|| runtime.block_on(world::run(settings)));
        std::panic::catch_unwind(world)
            .unwrap_or_else(|_| vec!["it panicked: see above".to_owned()])
    });
    if wrong.is_empty() {
        return Ok(());
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{seed}.log"));
    std::fs::write(&file, &*log.0.lock().unwrap()).unwrap();
    let failure = format!(
        "seed {seed} failed; its log: {}\n  repeat it: SEED={seed} TIMES=20 cargo test --workspace --test faults seeds\n  {}",
        file.display(),
        wrong.join("\n  ")
    );
    if broken == Broken::Nothing {
        eprintln!("{failure}");
    }
    Err(failure)
}

/// What a world has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if std::env::var_os("LOG").is_some() {
            std::io::stderr().write_all(bytes)?;
        }
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
