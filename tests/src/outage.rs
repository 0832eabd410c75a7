//! What happens to channels on air, to real processes with a real FFmpeg, and
//! how they come out of it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aws::media::check::{MediaPlaylist, PlaylistSegment};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::{Api, text};
use crate::machine::{Machine, now, until};
use crate::on_air::{MEDIA, OnAir, RECONNECTS_AFTER};
use crate::outsider::Outsider;

/// Twice the longest way out of any of these, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// How long the segments of these channels are: those of `small_channel`.
pub const SEGMENT: Duration = Duration::from_secs(2);
/// Long enough for more segments.
const SETTLES: Duration = Duration::from_secs(5);
/// How long the store is away.
const STORE_AWAY: Duration = Duration::from_secs(30);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The worker dies at once.
    WorkerKilled,
    /// The worker stands still for longer than its lease. The launcher stops
    /// it before its job goes to another.
    WorkerFrozen,
    /// The same, with nobody to stop it: it wakes up when another has its job.
    ZombieWakes,
    /// FFmpeg dies at once.
    EncoderKilled,
    /// FFmpeg stands still.
    EncoderFrozen,
    /// All of `ezlive up` dies, and is started again.
    MachineKilled,
    /// The worker reaches the database no more.
    DatabaseCut,
    /// The worker reaches the store no more, for 30 s.
    StoreCut,
    /// The worker is told to leave through the API.
    Drained,
    /// The worker's process is told to leave, as by ECS.
    Terminated,
    /// The publisher dies, and another comes.
    PublisherLost,
}

/// How a channel came out of it.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// From the outage to the first segment of the next run in the playlist
    /// (of a run that goes on: to the first that began after the outage, or
    /// where the publisher was lost, to the first with some of the next one's).
    pub next_segment: Duration,
    /// Media that are missing between the segments before and after, by their
    /// wall-clock times.
    pub missing: Duration,
}

impl Outage {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::WorkerKilled,
        Self::WorkerFrozen,
        Self::ZombieWakes,
        Self::EncoderKilled,
        Self::EncoderFrozen,
        Self::MachineKilled,
        Self::DatabaseCut,
        Self::StoreCut,
        Self::Drained,
        Self::Terminated,
        Self::PublisherLost,
    ];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker killed",
            Self::WorkerFrozen => "worker frozen",
            Self::ZombieWakes => "worker frozen, not stopped, wakes up",
            Self::EncoderKilled => "FFmpeg killed",
            Self::EncoderFrozen => "FFmpeg frozen",
            Self::MachineKilled => "all of `ezlive up` killed",
            Self::DatabaseCut => "worker cut off from the database",
            Self::StoreCut => "store away for 30 s",
            Self::Drained => "worker drained",
            Self::Terminated => "worker drained by SIGTERM",
            Self::PublisherLost => "publisher lost, back after 0.5 s",
        }
    }

    /// Lets it happen to a channel on a machine of its own. The channel must
    /// come out of it with its player still playing, the encoder's address
    /// unchanged, and no rule of playlists broken.
    ///
    /// # Errors
    /// It does not.
    pub async fn happen(self) -> anyhow::Result<Recovery> {
        let mut scene = Scene::set(self).await?;
        let recovered = match scene.play(self).await {
            Ok(recovery) => Ok(recovery),
            Err(error) => Err(scene.tell(error).await),
        };
        recovered.with_context(|| self.as_str())
    }

    /// Whether it takes a worker that the machine can't stop, or whose ways
    /// can be cut.
    fn needs_outsider(self) -> bool {
        matches!(self, Self::ZombieWakes | Self::DatabaseCut | Self::StoreCut)
    }

    /// Whether another worker is ready before the channel's leaves.
    fn is_drain(self) -> bool {
        matches!(self, Self::Drained | Self::Terminated)
    }

    /// Whether the job goes to another worker.
    fn moves_the_job(self) -> bool {
        !matches!(self, Self::EncoderKilled | Self::EncoderFrozen) && !self.keeps_the_run()
    }

    /// Whether FFmpeg goes on.
    fn keeps_the_run(self) -> bool {
        matches!(self, Self::StoreCut | Self::PublisherLost)
    }
}

/// A channel on air, and who is on stage with it.
struct Scene {
    machine: Machine,
    on_air: OnAir,
    outsider: Option<Outsider>,
    /// The process of the channel's worker.
    worker: Pid,
    job: Value,
}

impl Scene {
    async fn set(outage: Outage) -> anyhow::Result<Self> {
        let machine = Machine::start(&[]).await?;
        let api = Api::of(&machine)?;
        let outsider = match outage.needs_outsider() {
            true => Some(Outsider::start(&machine, &api).await?),
            false => None,
        };
        let on_air = match &outsider {
            Some(outsider) => OnAir::of(api.clone(), &outsider.create(&api).await?).await?,
            None => OnAir::start(&machine).await?,
        };
        let job = on_air.job().await?;
        let worker = match &outsider {
            Some(outsider) => {
                ensure!(job["worker_id"] == outsider.id(), "another worker has it");
                outsider.pid()
            }
            None => machine.worker()?,
        };
        Ok(Self {
            machine,
            on_air,
            outsider,
            worker: worker.context("no worker")?,
            job,
        })
    }

    async fn play(&mut self, outage: Outage) -> anyhow::Result<Recovery> {
        let mut began = Instant::now();
        let newest = self.on_air.viewer.media(MEDIA)?.segments.last().cloned();
        let run = run_of(&newest.context("no segment yet")?)?;
        let at = Timestamp::now();
        self.strike(outage).await?;
        if outage.is_drain() {
            // The channel goes on until it is handed over: that is what counts.
            self.another_is_ready_first().await?;
            self.handed_over().await?;
            began = Instant::now();
        }
        if outage == Outage::ZombieWakes {
            // It holds the port: this once the encoder needs another address.
            let moved = self.has_moved().await?;
            self.on_air.publish_to(&moved)?;
        }
        let is_after = |segment: &PlaylistSegment| match outage {
            // The run goes on: what began while the store was away counts.
            Outage::StoreCut => segment.begins.is_some_and(|begins| begins >= at),
            Outage::PublisherLost => segment
                .ends()
                .is_some_and(|ends| ends > at + RECONNECTS_AFTER),
            // Until it is known, a worker that is cut off may still publish.
            _ => run_of(segment).is_ok_and(|other| other > run),
        };
        let is_after = |list: &MediaPlaylist| list.segments.iter().any(is_after);
        let viewer = &mut self.on_air.viewer;
        viewer.sees("a new segment", MEDIA, LIMIT, is_after).await?;
        let next_segment = began.elapsed();
        let recovered = now();
        if outage == Outage::ZombieWakes {
            kill(self.worker, Signal::SIGCONT)?;
            let zombie = self.outsider.as_mut().context("no zombie")?;
            zombie.ended(LIMIT).await?;
        }
        if outage == Outage::MachineKilled {
            // FFmpeg gives up where nobody answers, as the server was gone
            // too; the playlists go on all the same.
            self.on_air.viewer.watch(SETTLES).await?;
        } else {
            self.on_air.player.reaches(recovered, LIMIT).await?;
            self.on_air.viewer.look().await?;
        }
        self.judge(outage).await?;
        Ok(Recovery {
            next_segment,
            missing: missing(self.on_air.viewer.media(MEDIA)?)?,
        })
    }

    /// It happens.
    async fn strike(&mut self, outage: Outage) -> anyhow::Result<()> {
        match outage {
            Outage::WorkerKilled => kill(self.worker, Signal::SIGKILL)?,
            Outage::WorkerFrozen | Outage::ZombieWakes => kill(self.worker, Signal::SIGSTOP)?,
            Outage::Terminated => kill(self.worker, Signal::SIGTERM)?,
            Outage::EncoderKilled => kill(self.encoder()?, Signal::SIGKILL)?,
            Outage::EncoderFrozen => kill(self.encoder()?, Signal::SIGSTOP)?,
            Outage::MachineKilled => {
                self.machine.end(Signal::SIGKILL).await?;
                self.machine.restart().await?;
            }
            Outage::DatabaseCut => self.outsider()?.cut_database(),
            Outage::StoreCut => {
                self.outsider()?.cut_store(&self.on_air.id)?;
                self.on_air.viewer.watch(STORE_AWAY).await?;
                self.outsider()?.open_store(&self.on_air.id)?;
            }
            Outage::PublisherLost => self.on_air.publish_to(&self.job)?,
            Outage::Drained => {
                let path = format!("/workers/{}", text(&self.job, "/worker_id")?);
                let api = &self.on_air.api;
                let (status, body) = api.send(Method::DELETE, &path, None).await?;
                ensure!(status.is_success(), "not drained: {status} {body}");
            }
        }
        Ok(())
    }

    /// What must be true of every channel that came out of this.
    async fn judge(&self, outage: Outage) -> anyhow::Result<()> {
        let job = self.on_air.job().await?;
        let moved = job["attempt"] != self.job["attempt"];
        ensure!(
            moved == outage.moves_the_job(),
            "attempt {}",
            job["attempt"]
        );
        ensure!(job["playback"] == self.job["playback"], "playback changed");
        if outage != Outage::ZombieWakes {
            ensure!(job["ingest"] == self.job["ingest"], "ingest changed");
        }
        let viewer = &self.on_air.viewer;
        let runs = u64::from(!outage.keeps_the_run());
        ensure!(
            viewer.discontinuities(MEDIA)? == runs,
            "{} discontinuities",
            viewer.discontinuities(MEDIA)?
        );
        if outage.is_drain() {
            self.judge_hand_over(&job).await?;
        }
        let broken = viewer.violations();
        ensure!(broken.is_empty(), "rules were broken: {broken:#?}");
        Ok(())
    }

    /// Another worker is idle while the channel's is still on air.
    async fn another_is_ready_first(&self) -> anyhow::Result<()> {
        let api = &self.on_air.api;
        until("an idle worker", LIMIT, || async {
            let (_, fleet) = api.send(Method::GET, "/workers?state=idle", None).await?;
            let idle = fleet["workers"].as_array().map_or(0, Vec::len);
            let job = self.on_air.job().await?;
            ensure!(
                job["attempt"] == self.job["attempt"] && job["state"] == "streaming",
                "it left before another was ready: {job:#}"
            );
            Ok((idle > 0).then_some(()))
        })
        .await
    }

    /// When the job was handed over, by its history.
    async fn handed_over(&self) -> anyhow::Result<()> {
        until("the job to be handed over", LIMIT, || async {
            let events = self.on_air.api.events(&self.on_air.id).await?;
            let mut events = events.into_iter();
            Ok(events
                .any(|event| event["type"] == "handed_over")
                .then_some(()))
        })
        .await
    }

    /// The history tells of a drain, and of nobody that was launched or booked
    /// after the channel's worker had left.
    async fn judge_hand_over(&self, job: &Value) -> anyhow::Result<()> {
        let api = &self.on_air.api;
        let mut events = api.events(&self.on_air.id).await?;
        events.sort_by_key(|event| event["seq"].as_u64());
        let kinds: Vec<_> = events
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect();
        let drain = kinds.iter().position(|kind| *kind == "draining");
        let drain = drain.context("no drain in the history")?;
        ensure!(
            kinds[drain..] == ["draining", "handed_over", "listening", "input_started"],
            "{kinds:?}"
        );
        for event in &events[drain..=drain + 1] {
            let said = text(event, "/reason/message")?;
            ensure!(said.contains("told to leave"), "it says: {said}");
        }
        let worker = text(job, "/worker_id")?;
        ensure!(
            text(&events[drain + 1], "/worker_id")? == worker,
            "another has it"
        );
        let (_, next) = api
            .send(Method::GET, &format!("/workers/{worker}"), None)
            .await?;
        let launched: Timestamp = text(&next, "/created_at")?.parse()?;
        let over: Timestamp = text(&events[drain + 1], "/at")?.parse()?;
        ensure!(launched < over, "launched {launched}, handed over {over}");
        let old = format!("/workers/{}", text(&self.job, "/worker_id")?);
        let (_, old) = api.send(Method::GET, &old, None).await?;
        ensure!(old["state"] == "closed", "it stays: {old}");
        Ok(())
    }

    /// Waits until another worker listens for the job.
    async fn has_moved(&self) -> anyhow::Result<Value> {
        until("another worker to listen", LIMIT, || async {
            let job = self.on_air.job().await?;
            let moved = job["attempt"] != self.job["attempt"] && !job["ingest"].is_null();
            Ok(moved.then_some(job))
        })
        .await
    }

    fn encoder(&self) -> anyhow::Result<Pid> {
        match Machine::children_of(self.worker, "ffmpeg")?[..] {
            [encoder] => Ok(encoder),
            ref others => bail!("not one FFmpeg: {others:?}"),
        }
    }

    fn outsider(&self) -> anyhow::Result<&Outsider> {
        self.outsider.as_ref().context("no worker of our own")
    }

    /// Adds what a person would look at to an error.
    async fn tell(&self, error: anyhow::Error) -> anyhow::Error {
        let events = self.on_air.api.events(&self.on_air.id).await;
        let log = self.machine.log().unwrap_or_default();
        error.context(format!("{events:#?}\n{log}"))
    }
}

/// Attempt and run that a segment is of: `{attempt}/{run}/…`.
fn run_of(segment: &PlaylistSegment) -> anyhow::Result<(u64, u64)> {
    let mut folders = segment.uri.split('/').map(str::parse);
    match (folders.next(), folders.next()) {
        (Some(Ok(attempt)), Some(Ok(run))) => Ok((attempt, run)),
        _ => bail!("{} is in no run's folder", segment.uri),
    }
}

/// The sum of the gaps between the segments of a playlist.
fn missing(list: &MediaPlaylist) -> anyhow::Result<Duration> {
    let mut missing = Duration::ZERO;
    for (one, next) in list.segments.iter().zip(&list.segments[1..]) {
        let (ends, begins) = (
            one.ends().context("no time")?,
            next.begins.context("no time")?,
        );
        missing += Duration::try_from(begins.duration_since(ends)).unwrap_or_default();
    }
    Ok(missing)
}
