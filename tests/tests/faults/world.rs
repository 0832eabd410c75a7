//! A world: API, schedulers and workers on one database, queue and object
//! store; a storm of faults; and what must be true after it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::message::Message;
use domain::protocol::Timing;
use domain::spec::{OperatorPolicy, WorkerSize};
use functions::api::{Api, ApiSettings, Playback, router};
use functions::scheduler::Scheduler;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tempfile::TempDir;
use tests::fake::{self, Fault, Script};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use aws::queue::JobQueue;

use crate::clients::{Channel, Client, Want};
use crate::clock::Clock;
use crate::database::Database;
use crate::dice::Dice;
use crate::media::Shore;
use crate::queue::Post;
use crate::verdict::Verdict;
use crate::weather::{Storm, Tally, Weather};
use crate::workers::{Fleet, Ground};

/// How long the faults last.
const STORM: Duration = Duration::from_millis(2200);
/// Sixty seconds, at the pace of these worlds.
const SWEEP_EVERY: Duration = Duration::from_millis(800);
/// The protocol's times, at an eighth and less of what they are.
const TIMING: Timing = Timing {
    lease: Duration::from_millis(1000),
    launch_deadline: Duration::from_millis(1500),
    stop_grace: Duration::from_millis(500),
    pace: 20,
};

/// How a world is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is made from.
    pub seed: u64,
    /// Its number among those that run at the same time.
    pub slot: u16,
    /// After the faults, all must be well within this.
    pub patience: Duration,
    /// What is broken on purpose.
    pub broken: Broken,
    /// Its time.
    pub clock: Clock,
    /// Where its faults are counted.
    pub tally: Tally,
}

/// What is broken on purpose, to show that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The object store ignores the conditions of writes.
    StoreIgnoresConditions,
    /// The database takes every write, whatever its condition.
    DatabaseIgnoresConditions,
    /// Nobody sweeps.
    NoSweep,
}

/// The world under way.
struct World {
    settings: Settings,
    storm: Storm,
    dice: Dice,
    ground: Arc<Ground>,
    fleet: Arc<Fleet>,
    api: Router,
    verdict: Verdict,
    /// How many workers are kept warm: they come again, whoever ends them.
    min_idle: u64,
    under_way: JoinSet<()>,
    _folder: TempDir,
}

/// Lives through one world; what was wrong with it.
pub async fn run(settings: Settings) -> Vec<String> {
    tokio::spawn(settings.clock.begin().keep_pace());
    let mut world = World::new(settings).await;
    let channels = world.live_through_storm().await;
    let mut wrong = world.come_to_rest(channels).await;
    wrong.extend(world.ground.shore.checked.violations());
    world.end().await;
    wrong
}

impl World {
    async fn new(settings: Settings) -> Self {
        let seed = settings.seed;
        // What takes effect after its caller has gone does so here.
        let network = Handle::current();
        let clock = settings.clock.clone();
        let storm = Storm::new(settings.tally.clone());
        let dice = Dice::new(seed, "world");
        let mut plan = dice.throw("plan");
        let folder = tempfile::tempdir().unwrap();
        programs(folder.path(), &mut plan);
        let mut database = Database::new(network.clone(), clock.clone());
        database.ignores_conditions = settings.broken == Broken::DatabaseIgnoresConditions;
        let mut shore = Shore::new(network);
        shore.ignores_conditions = settings.broken == Broken::StoreIgnoresConditions;
        let clear = Weather::default();
        let store = database.store(Dice::new(seed, "verdict"), clear);
        store.create_tables().await.unwrap();
        let (post, letters) = Post::new(Dice::new(seed, "sweeper"), &storm);
        let first_port = 21_000 + settings.slot * 16;
        let ground = Arc::new(Ground {
            seed,
            clock,
            storm: storm.clone(),
            database: database.clone(),
            shore: shore.clone(),
            post: post.clone(),
            timing: TIMING,
            policy: OperatorPolicy::default()
                .allow_networks("127.0.0.0/8")
                .unwrap(),
            idle_timeout: Duration::from_millis(plan.random_range(500..6000)),
            rtmp_ports: first_port..=first_port + 15,
            folder: folder.path().to_owned(),
        });
        let fleet = Arc::new(Fleet::new(ground.clone()));
        let max_workers = plan.random_range(3..7);
        let min_idle = u64::from(plan.random_bool(0.3));
        let one_size = plan.random_bool(0.5).then_some(WorkerSize::Small);
        let scheduler = |who: &str| {
            let weather = Weather::in_storm(&storm);
            Arc::new(Scheduler {
                store: database.store(Dice::new(seed, &format!("{who} database")), weather.clone()),
                queue: Arc::new(post.of(Dice::new(seed, &format!("{who} post")))),
                launcher: fleet.clone(),
                media: shore.view(Dice::new(seed, &format!("{who} media")), weather),
                names: None,
                timing: TIMING,
                max_workers: Some(max_workers),
                min_idle,
                one_size,
            })
        };
        let schedulers = vec![scheduler("scheduler 0"), scheduler("scheduler 1")];
        let api = router(Api {
            store: database.store(Dice::new(seed, "api database"), Weather::in_storm(&storm)),
            queue: Arc::new(post.of(Dice::new(seed, "api post"))),
            settings: ApiSettings {
                policy: ground.policy.clone(),
                playback: Playback::FromHost,
                timing: TIMING,
            },
        });
        let mut under_way = JoinSet::new();
        let delivery = Dice::new(seed, "delivery");
        under_way.spawn(letters.deliver(schedulers, delivery, storm.clone()));
        if settings.broken != Broken::NoSweep {
            under_way.spawn(sweep_regularly(post));
        }
        Self {
            verdict: Verdict::new(store, database, shore),
            settings,
            min_idle,
            storm,
            dice,
            ground,
            fleet,
            api,
            under_way,
            _folder: folder,
        }
    }

    fn client(&self, who: &str) -> Client {
        Client {
            api: self.api.clone(),
            dice: Dice::new(self.settings.seed, who),
            storm: self.storm.clone(),
        }
    }

    async fn live_through_storm(&mut self) -> Vec<Channel> {
        let jobs = match self.dice.throw("jobs").random_range(0..10) {
            0..4 => 1,
            4..8 => 2,
            _ => 3,
        };
        self.storm.set(true);
        let mut clients = JoinSet::new();
        for job in 0..jobs {
            clients.spawn(self.client(&format!("client {job}")).live(STORM));
        }
        self.torment().await;
        self.storm.set(false);
        tracing::info!("THE STORM IS OVER");
        for hand in self.fleet.all() {
            hand.thaw();
            hand.weather.no_database.set(false);
            hand.weather.no_store.set(false);
        }
        clients.join_all().await
    }

    /// Kills, freezes, cuts off and drains workers.
    async fn torment(&self) {
        let began = Instant::now();
        let mut dice = self.dice.throw("torments");
        let mut times: Vec<f64> = (0..dice.random_range(1..7))
            .map(|_| dice.random_range(0.05..1.0))
            .collect();
        times.sort_by(f64::total_cmp);
        let mut thaws: JoinSet<()> = JoinSet::new();
        for time in times {
            tokio::time::sleep_until(began + STORM.mul_f64(time)).await;
            let alive = self.fleet.alive();
            let (kind, length) = (dice.random_range(0..100), dice.random_range(0.05..2.0));
            let Some(hand) = alive.choose(&mut dice).cloned() else {
                continue;
            };
            let worker = hand.number;
            let length = TIMING.lease.mul_f64(length);
            match kind {
                0..20 => {
                    self.storm.brings("worker: killed");
                    tracing::info!(worker, "FAULT killed");
                    hand.kill();
                    continue;
                }
                20..32 => {
                    self.storm.brings("worker: drained");
                    tracing::info!(worker, "FAULT drained");
                    hand.terminate();
                    continue;
                }
                32..62 => {
                    self.storm.brings("worker: frozen");
                    tracing::info!(worker, ?length, "FAULT frozen");
                    hand.freeze();
                }
                62..82 => {
                    tracing::info!(worker, ?length, "FAULT cut off from the database");
                    hand.weather.no_database.set(true);
                }
                _ => {
                    tracing::info!(worker, ?length, "FAULT cut off from the store");
                    hand.weather.no_store.set(true);
                }
            }
            thaws.spawn(async move {
                tokio::time::sleep(length).await;
                tracing::info!(worker, "well again");
                hand.thaw();
                hand.weather.no_database.set(false);
                hand.weather.no_store.set(false);
            });
        }
        tokio::time::sleep_until(began + STORM).await;
    }

    /// All is well: first as it was wanted, then with all stopped and nobody
    /// left but those that are kept warm. What is wrong, if it isn't in time.
    async fn come_to_rest(&mut self, mut channels: Vec<Channel>) -> Vec<String> {
        let wrong = self.settle(&channels).await;
        if !wrong.is_empty() {
            return wrong;
        }
        tracing::info!("ALL IS WELL, AND STOPS NOW");
        let client = self.client("caretaker");
        for channel in &mut channels {
            if matches!(channel.want, Want::Run | Want::Pause) {
                let path = format!("/jobs/{}/stop", channel.id);
                client.insist(&axum::http::Method::PUT, &path).await;
                channel.want = Want::Stop;
            }
        }
        let wrong = self.settle(&channels).await;
        if !wrong.is_empty() {
            return wrong;
        }
        for hand in self.fleet.all() {
            hand.terminate();
        }
        self.until_empty().await
    }

    async fn settle(&mut self, channels: &[Channel]) -> Vec<String> {
        let deadline = Instant::now() + self.settings.patience;
        loop {
            let unmet = self.verdict.unmet(channels).await;
            if unmet.is_empty() || Instant::now() > deadline {
                return unmet;
            }
            tokio::time::sleep(Duration::from_millis(160)).await;
        }
    }

    async fn until_empty(&mut self) -> Vec<String> {
        let deadline = Instant::now() + self.settings.patience;
        loop {
            let mut left = self.verdict.unmet(&[]).await;
            left.extend(self.verdict.standbys(self.min_idle).await);
            let alive = self.fleet.alive().len() as u64;
            if alive != self.min_idle {
                left.push(format!("{alive} workers stay, not {}", self.min_idle));
            }
            left.extend(processes(&self.ground.folder));
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn end(mut self) {
        for hand in self.fleet.all() {
            hand.kill();
        }
        self.under_way.shutdown().await;
    }
}

async fn sweep_regularly(post: Post) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        // The next one makes up for it.
        let _ = post.send(&Message::Sweep, Duration::ZERO).await;
    }
}

/// The world's own `ffmpeg` and `ffprobe`, and what each run of it does.
fn programs(folder: &Path, dice: &mut StdRng) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/programs");
    for name in ["ffmpeg", "ffprobe"] {
        std::os::unix::fs::symlink(ours.join(name), folder.join(name)).unwrap();
    }
    let fake = env!("CARGO_BIN_EXE_fake-ffmpeg");
    std::os::unix::fs::symlink(fake, folder.join("fake-ffmpeg")).unwrap();
    let runs = folder.join("runs");
    std::fs::create_dir(&runs).unwrap();
    let faults = [
        Fault::Crash,
        Fault::Error,
        Fault::End,
        Fault::Truncate,
        Fault::Hang,
        Fault::Garbage,
        Fault::TimeBack,
        Fault::Silence,
        Fault::NoProgress,
    ];
    // Fewer in a row than the budget of a job: none fails for good.
    let scripts: Vec<Script> = (0..dice.random_range(0..6))
        .map(|_| Script {
            speed: 10.0,
            deaf: dice.random_bool(0.2),
            delay: Duration::from_millis(dice.random_range(0..100)),
            fault: dice
                .random_bool(0.7)
                .then(|| (*faults.choose(dice).unwrap(), dice.random_range(0..8))),
            ..Script::default()
        })
        .collect();
    fake::queue(&runs, &scripts).unwrap();
}

/// Processes that were started from this folder and are still there.
fn processes(folder: &Path) -> Vec<String> {
    let ours = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&ours)
                .then(|| format!("a process is left: {line}"))
        })
        .collect()
}
