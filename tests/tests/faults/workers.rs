//! Workers as the fault runs have them: the real one, each with a thread and
//! a runtime of its own, as a process has. So it can be killed (all that it
//! was about to do is dropped), frozen (its thread stands still, while its
//! FFmpeg goes on), and cut off.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws::launcher::{LaunchError, WorkerLauncher};
use aws::queue::JobQueue;
use domain::ids::WorkerId;
use domain::message::Message;
use domain::protocol::Timing;
use domain::spec::{OperatorPolicy, WorkerSize};
use domain::worker::Worker;
use rand::RngExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use worker::alive::Alive;
use worker::config::WorkerConfig;
use worker::ffmpeg::shim::Tie;
use worker::fleet::Member;

use crate::clock::{Absence, Clock, Life};
use crate::database::{Database, tables};
use crate::dice::Dice;
use crate::media::Shore;
use crate::queue::Post;
use crate::weather::{Storm, Switch, Weather};

/// What stands in for FFmpeg.
const FAKE: &str = env!("CARGO_BIN_EXE_fake-ffmpeg");

/// What the workers of a world have in common.
pub struct Ground {
    pub seed: u64,
    pub clock: Clock,
    pub storm: Storm,
    pub database: Database,
    pub shore: Shore,
    pub post: Post,
    pub timing: Timing,
    pub policy: OperatorPolicy,
    pub idle_timeout: Duration,
    pub rtmp_ports: std::ops::RangeInclusive<u16>,
    /// Where its `ffmpeg` is.
    pub folder: PathBuf,
}

/// Holds a worker's thread.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    called: Notify,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
        if shut {
            self.called.notify_one();
        }
    }

    /// A task of the worker's runtime: while the gate is shut it keeps the
    /// thread, and with it all else.
    async fn guard(self: Arc<Self>, absence: Absence) {
        loop {
            self.called.notified().await;
            absence.during(|| {
                let mut shut = self.shut.lock().unwrap();
                while *shut {
                    shut = self.opened.wait(shut).unwrap();
                }
            });
        }
    }
}

/// What the fates do to one worker.
pub struct Hand {
    pub number: usize,
    pub weather: Weather,
    gate: Arc<Gate>,
    killed: CancellationToken,
    leaving: CancellationToken,
    ended: Switch,
}

impl Hand {
    /// SIGKILL.
    pub fn kill(&self) {
        self.killed.cancel();
        self.gate.set(false);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.leaving.cancel();
    }

    /// SIGSTOP.
    pub fn freeze(&self) {
        if !self.has_ended() {
            self.gate.set(true);
        }
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.gate.set(false);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_on()
    }
}

/// Launches workers, and fails to.
pub struct Fleet {
    ground: Arc<Ground>,
    dice: Dice,
    workers: Arc<Mutex<Workers>>,
}

#[derive(Default)]
struct Workers {
    by_id: HashMap<WorkerId, Arc<Hand>>,
    all: Vec<Arc<Hand>>,
}

impl Fleet {
    pub fn new(ground: Arc<Ground>) -> Self {
        Self {
            dice: Dice::new(ground.seed, "launcher"),
            ground,
            workers: Arc::default(),
        }
    }

    /// Every worker that ever was.
    pub fn all(&self) -> Vec<Arc<Hand>> {
        self.workers.lock().unwrap().all.clone()
    }

    /// Those that still are.
    pub fn alive(&self) -> Vec<Arc<Hand>> {
        let mut all = self.all();
        all.retain(|hand| !hand.has_ended());
        all
    }

    fn start(&self, id: &WorkerId, delay: Duration) {
        let mut workers = self.workers.lock().unwrap();
        let runs = workers.by_id.get(id).is_some_and(|hand| !hand.has_ended());
        if runs {
            return;
        }
        let hand = Arc::new(Hand {
            number: workers.all.len(),
            weather: Weather::in_storm(&self.ground.storm),
            gate: Arc::default(),
            killed: CancellationToken::new(),
            leaving: CancellationToken::new(),
            ended: Switch::default(),
        });
        workers.by_id.insert(id.clone(), hand.clone());
        workers.all.push(hand.clone());
        tracing::info!(worker = hand.number, %id, "launched");
        let (ground, id) = (self.ground.clone(), id.clone());
        let life = ground.clock.begin();
        let log = tracing::dispatcher::get_default(Clone::clone);
        std::thread::spawn(move || {
            tracing::dispatcher::with_default(&log, || live(&ground, id, &hand, delay, life));
        });
    }
}

/// A worker's process, from start to end.
fn live(ground: &Ground, id: WorkerId, hand: &Hand, delay: Duration, life: Life) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let dice = |who: &str| Dice::new(ground.seed, &format!("worker {} {who}", hand.number));
    let member = Member {
        config: config(ground, id.clone()),
        store: ground
            .database
            .store(dice("database"), hand.weather.clone()),
        media: ground.shore.view(dice("media"), hand.weather.clone()),
        naming: None,
        draining: hand.leaving.child_token(),
        leaving: hand.leaving.clone(),
        alive: Alive::default(),
    };
    runtime.block_on(async {
        tokio::spawn(hand.gate.clone().guard(life.name()));
        tokio::spawn(life.keep_pace());
        let served = async {
            tokio::time::sleep(delay).await;
            member.serve().await
        };
        tokio::select! {
            biased;
            () = hand.killed.cancelled() => tracing::info!(worker = hand.number, "was killed"),
            served = served => tracing::info!(worker = hand.number, ?served, "ended"),
        }
    });
    drop(runtime);
    hand.ended.set(true);
    let stopped = Message::TaskStopped { worker: id };
    let post = ground.post.of(dice("post"));
    // Lost, as other messages are.
    let _ = futures::executor::block_on(post.send(&stopped, Duration::ZERO));
}

fn config(ground: &Ground, id: WorkerId) -> WorkerConfig {
    WorkerConfig {
        id,
        tables: tables(),
        store_url: String::new(),
        buckets: Vec::new(),
        rtmp_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        rtmp_ports: ground.rtmp_ports.clone(),
        ingest_host: "127.0.0.1".to_owned(),
        zone: None,
        timing: ground.timing,
        idle_timeout: ground.idle_timeout,
        policy: ground.policy.clone(),
        ffmpeg: ground.folder.join("ffmpeg").display().to_string(),
        tie: Tie::through(FAKE),
    }
}

#[async_trait]
impl WorkerLauncher for Fleet {
    async fn launch(&self, id: &WorkerId, _: WorkerSize) -> Result<String, LaunchError> {
        let task = Ok(format!("task/{id}"));
        let failed = || Err(LaunchError::Failed("injected fault".to_owned()));
        let mut dice = self.dice.throw("launch");
        let storm = &self.ground.storm;
        tokio::task::yield_now().await;
        if !storm.is_on() {
            self.start(id, Duration::ZERO);
            return task;
        }
        match dice.random_range(0..100) {
            0..6 => {
                storm.brings("launcher: no capacity");
                return Err(LaunchError::NoCapacity("injected fault".to_owned()));
            }
            6..10 => {
                storm.brings("launcher: not reached");
                return failed();
            }
            10..15 => {
                storm.brings("launcher: answer lost");
                self.start(id, Duration::ZERO);
                return failed();
            }
            15..20 => {
                storm.brings("launcher: launch lost");
                tracing::info!(%id, "FAULT the launch is lost");
            }
            20..35 => {
                storm.brings("launcher: slow launch");
                self.start(id, Duration::from_millis(dice.random_range(50..2000)));
            }
            _ => self.start(id, Duration::ZERO),
        }
        task
    }

    async fn stop(&self, worker: &Worker) -> Result<(), LaunchError> {
        let hand = self.workers.lock().unwrap().by_id.get(&worker.id).cloned();
        let mut dice = self.dice.throw("stop");
        tokio::task::yield_now().await;
        let Some(hand) = hand else { return Ok(()) };
        let storm = &self.ground.storm;
        if storm.is_on() {
            match dice.random_range(0..100) {
                0..20 => {
                    storm.brings("launcher: stop failed");
                    return Err(LaunchError::Failed("injected fault".to_owned()));
                }
                20..40 => {
                    storm.brings("launcher: stop without effect");
                    tracing::info!(worker = hand.number, "FAULT it is not stopped");
                    return Ok(());
                }
                _ => {}
            }
        }
        hand.kill();
        Ok(())
    }
}
