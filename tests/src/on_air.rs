//! A channel on air, with a publisher and a player that behave as people's
//! do: the publisher connects again whenever it is cut off, the player just
//! plays on.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{Api, text};
use crate::machine::{Machine, small_channel};
use crate::player::Player;
use crate::publisher::{Publisher, test_picture};
use crate::viewer::Viewer;

/// The playlist that is looked at.
pub const MEDIA: &str = "video365k.m3u8";
/// To its first segments: a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(40);
/// How soon an encoder tries again.
pub const RECONNECTS_AFTER: Duration = Duration::from_millis(500);

/// A channel that plays.
pub struct OnAir {
    /// A client of its machine.
    pub api: Api,
    /// The job.
    pub id: String,
    /// Looks at what is published.
    pub viewer: Viewer,
    /// Plays it.
    pub player: KeptPlayer,
    publisher: KeptPublisher,
}

impl OnAir {
    /// Creates a job on this machine and waits until it plays.
    ///
    /// # Errors
    /// It does not.
    pub async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let api = Api::of(machine)?;
        let job = api.create(&small_channel(|_| {})?).await?;
        Self::of(api, text(&job, "/id")?).await
    }

    /// Brings a job on air that has just been created.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn of(api: Api, id: &str) -> anyhow::Result<Self> {
        let job = api.reaches(id, "running", SOON).await?;
        let publisher = KeptPublisher::start(ingest_of(&job)?);
        let mut viewer = Viewer::of(&api, &job)?;
        viewer
            .sees("three segments", MEDIA, SOON, |list| {
                list.segments.len() >= 3
            })
            .await?;
        let player = KeptPlayer::start(text(&job, "/playback/hls")?)?;
        player.reaches(1, SOON).await?;
        Ok(Self {
            api,
            id: id.to_owned(),
            viewer,
            player,
            publisher,
        })
    }

    /// The job as it stands.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn job(&self) -> anyhow::Result<Value> {
        self.api.job(&self.id).await
    }

    /// Ends the publisher, and starts another to this address: as an encoder
    /// that is started again, or by a person who has to tell it another one.
    ///
    /// # Errors
    /// The job has no ingest.
    pub fn publish_to(&self, job: &Value) -> anyhow::Result<()> {
        self.publisher.target.send_replace(ingest_of(job)?);
        Ok(())
    }
}

fn ingest_of(job: &Value) -> anyhow::Result<String> {
    let (url, key) = (text(job, "/ingest/url")?, text(job, "/ingest/stream_key")?);
    Ok(format!("{url}/{key}"))
}

/// A publisher that connects again whenever it is cut off; ended when dropped.
struct KeptPublisher {
    target: watch::Sender<String>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl KeptPublisher {
    fn start(target: String) -> Self {
        let (sender, target) = watch::channel(target);
        let task = tokio::spawn(keep_publishing(target));
        Self {
            target: sender,
            task,
        }
    }
}

impl Drop for KeptPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_publishing(mut target: watch::Receiver<String>) -> anyhow::Result<()> {
    let picture = test_picture("640x360", "25")?;
    loop {
        let url = target.borrow_and_update().clone();
        let mut publisher = Publisher::push(&url, &picture)?;
        tokio::select! {
            ended = publisher.wait() => { ended?; }
            changed = target.changed() => changed?,
        }
        tokio::time::sleep(RECONNECTS_AFTER).await;
    }
}

/// A player that is never touched; ended when dropped.
pub struct KeptPlayer {
    clock: watch::Receiver<u64>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl KeptPlayer {
    fn start(url: &str) -> anyhow::Result<Self> {
        let mut player = Player::start(url)?;
        let (sender, clock) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Some(clock) = player.next_clock().await? {
                sender.send_replace(clock);
            }
            Ok(())
        });
        Ok(Self { clock, task })
    }

    /// Waits until the picture's clock shows this time (milliseconds since
    /// 1970) or a later one.
    ///
    /// # Errors
    /// It does not within `limit`, or the player has ended.
    pub async fn reaches(&self, millis: u64, limit: Duration) -> anyhow::Result<()> {
        let mut clock = self.clock.clone();
        let reached = clock.wait_for(|clock| *clock >= millis);
        match tokio::time::timeout(limit, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("the player has ended"),
            Err(_) => Err(anyhow::anyhow!("not within {limit:?}")).with_context(|| {
                format!(
                    "the player stands at {}, not {millis}",
                    *self.clock.borrow()
                )
            }),
        }
    }
}

impl Drop for KeptPlayer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
