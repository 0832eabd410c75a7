//! What happens to the channel, told with milliseconds since the POST.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::LOOK_EVERY;
use tokio::time::Instant;

use crate::playlist::{self, Playlist};
use crate::screen::Screen;

const STATUS_EVERY: Duration = Duration::from_secs(10);
/// As above, for a person at a terminal.
const LIVE_STATUS_EVERY: Duration = Duration::from_secs(1);

/// Tells what happens.
pub struct Timeline<'a> {
    screen: &'a Screen,
    zero: Timestamp,
}

impl<'a> Timeline<'a> {
    /// Time zero is now.
    pub fn begin(screen: &'a Screen) -> Self {
        Self {
            screen,
            zero: Timestamp::now(),
        }
    }

    /// Something that happened just now.
    pub fn note(&self, text: &str) {
        self.note_at(Timestamp::now(), text);
    }

    /// Something that happened then.
    pub fn note_at(&self, at: Timestamp, text: &str) {
        let since: SignedDuration = at.duration_since(self.zero);
        self.screen
            .line(&format!("{:>9} ms  {text}", since.as_millis()));
    }
}

/// A channel that is watched.
pub struct Watched {
    api: Api,
    id: String,
    hls: String,
    told: u64,
    /// The media playlists, at the first look and at the last.
    media: BTreeMap<String, (Playlist, Playlist)>,
}

impl Watched {
    /// A channel, from its beginning.
    pub fn new(api: &Api, job: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            api: api.clone(),
            id: text(job, "/id")?.to_owned(),
            hls: text(job, "/playback/hls")?.to_owned(),
            told: 0,
            media: BTreeMap::new(),
        })
    }

    /// Tells what the history has that has not been told.
    pub async fn tell(&mut self, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        let mut events = self.api.events(&self.id).await?;
        events.sort_by_key(|event| event["seq"].as_u64());
        for event in events {
            let number = event["seq"].as_u64().context("an event without a number")? + 1;
            if number <= self.told {
                continue;
            }
            self.told = number;
            let at: Timestamp = text(&event, "/at")?.parse()?;
            let state = event["to"].as_str().or(event["type"].as_str());
            let reason = match event.pointer("/reason/message").and_then(Value::as_str) {
                Some(reason) => format!(": {reason}"),
                None => String::new(),
            };
            timeline.note_at(at, &format!("{}{reason}", state.unwrap_or("?")));
            if state == Some("failed") {
                bail!("the job failed{reason}");
            }
        }
        Ok(())
    }

    /// Until every rendition can be played.
    pub async fn first_playlists(&mut self, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        loop {
            self.tell(timeline).await?;
            self.measure().await?;
            let playable = self.media.values().all(|(_, now)| now.segments > 0);
            if !self.media.is_empty() && playable {
                let playable = Timestamp::now();
                // The store is faster than the record.
                self.api
                    .reaches(&self.id, "streaming", Duration::from_secs(10))
                    .await?;
                self.tell(timeline).await?;
                timeline.note_at(playable, "every playlist has its first segment");
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tells what happens and how the channel does, for so long or for ever.
    pub async fn go_on(
        &mut self,
        timeline: &mut Timeline<'_>,
        seconds: Option<Duration>,
    ) -> anyhow::Result<()> {
        let end = seconds.map(|seconds| Instant::now() + seconds);
        let every = match timeline.screen.is_terminal() {
            true => LIVE_STATUS_EVERY,
            false => STATUS_EVERY,
        };
        let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
        loop {
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            let done = tokio::select! {
                () = over => true,
                _ = ticks.tick() => false,
            };
            self.tell(timeline).await?;
            self.measure().await?;
            if done {
                return Ok(());
            }
            self.status(timeline.screen).await?;
        }
    }

    async fn status(&self, screen: &Screen) -> anyhow::Result<()> {
        let job = self.api.job(&self.id).await?;
        let number = |pointer| job.pointer(pointer).and_then(Value::as_f64);
        let mut parts = vec![text(&job, "/state")?.to_owned()];
        parts.extend(number("/stats/fps").map(|fps| format!("{fps:.1} fps")));
        parts.extend(number("/stats/speed").map(|speed| format!("{speed:.2}x")));
        let input = number("/stats/input/bitrate_kbps");
        parts.extend(input.map(|kbps| format!("{kbps:.0} kbit/s in")));
        let segments = self.media.values().map(|(_, now)| now.next_sequence).min();
        parts.extend(segments.map(|segments| format!("{segments} segments")));
        let age = number("/stats/last_segment_age_ms");
        parts.extend(age.map(|ms| format!("the last {:.1} s ago", ms / 1000.0)));
        screen.status(&format!("  {}", parts.join(" · ")));
        Ok(())
    }

    /// Reads every media playlist.
    async fn measure(&mut self) -> anyhow::Result<()> {
        for (name, url) in playlist::media_playlists(&self.api, &self.hls).await? {
            let playlist = Playlist::fetch(&self.api, &url).await?;
            self.media
                .entry(name)
                .and_modify(|(_, now)| *now = playlist)
                .or_insert((playlist, playlist));
        }
        Ok(())
    }

    /// Whether every rendition has grown by the time that has passed.
    ///
    /// # Errors
    /// One has not.
    pub fn has_advanced(&self, passed: Duration) -> anyhow::Result<()> {
        for (name, (first, last)) in &self.media {
            let segment = last.seconds / last.segments as f64;
            let grown = (last.next_sequence - first.next_sequence) as f64 * segment;
            // Less than the segment under way, and one that is on its way out.
            if grown + 2.0 * segment < passed.as_secs_f64() {
                bail!(
                    "{name} has grown by {grown:.1} s in {} s: the channel does not keep up{}",
                    passed.as_secs(),
                    load()
                );
            }
        }
        Ok(())
    }
}

/// How busy this machine is, where it tells: the usual reason.
fn load() -> String {
    let Ok(told) = std::fs::read_to_string("/proc/loadavg") else {
        return String::new();
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = told.split(' ').next().unwrap_or_default();
    format!(" (the load of this machine is {load}, its processors are {processors})")
}
