//! Looks at a channel as players do, over HTTP, and holds what it sees
//! against the rules of the order checker.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{Api, text};
use crate::machine::until;
use anyhow::Context;
use aws::media::check::{Manifest, MediaPlaylist, Rules};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What the playlists' paths begin with, for the rules.
const FOLDER: &str = "job";

/// One who watches a channel.
pub struct Viewer {
    api: Api,
    base: String,
    rules: Rules,
    /// The bodies seen last: an unchanged playlist is not judged again.
    bodies: BTreeMap<String, Vec<u8>>,
    /// How often it has looked.
    pub looks: u64,
}

impl Viewer {
    /// Of this job.
    pub fn of(api: &Api, job: &Value) -> anyhow::Result<Self> {
        let master = text(job, "/playback/hls")?;
        let (base, _) = master.rsplit_once('/').context("no path")?;
        Ok(Self {
            api: api.clone(),
            base: base.to_owned(),
            rules: Rules::default(),
            bodies: BTreeMap::new(),
            looks: 0,
        })
    }

    /// The URL of a file in the channel's folder.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// Every breach so far.
    pub fn violations(&self) -> &[String] {
        self.rules.violations()
    }

    /// The media playlists that the multivariant one names.
    pub fn renditions(&self) -> Vec<String> {
        match self.rules.manifest(&format!("{FOLDER}/master.m3u8")) {
            Some(Manifest::Multivariant(names)) => names.clone(),
            _ => Vec::new(),
        }
    }

    /// The newest version seen of a media playlist.
    pub fn media(&self, name: &str) -> anyhow::Result<&MediaPlaylist> {
        match self.rules.manifest(&format!("{FOLDER}/{name}")) {
            Some(Manifest::Media(playlist)) => Ok(playlist),
            other => anyhow::bail!("{name} is {other:?}"),
        }
    }

    /// Every discontinuity of a media playlist so far.
    pub fn discontinuities(&self, name: &str) -> anyhow::Result<u64> {
        let playlist = self.media(name)?;
        let in_window = playlist.segments.iter().filter(|one| one.discontinuity);
        Ok(playlist.discontinuity_sequence + in_window.count() as u64)
    }

    /// Looks at every playlist, and for every object that a changed one names.
    pub async fn look(&mut self) -> anyhow::Result<()> {
        self.looks += 1;
        let mut names = vec!["manifest.mpd".to_owned(), "master.m3u8".to_owned()];
        names.extend(self.renditions());
        for name in names {
            let Some(body) = self.api.fetch(&self.url(&name)).await? else {
                continue;
            };
            if self.bodies.get(&name) != Some(&body) {
                self.judge(&name, &body).await?;
                self.bodies.insert(name, body);
            }
        }
        Ok(())
    }

    async fn judge(&mut self, name: &str, body: &[u8]) -> anyhow::Result<()> {
        let named = match Manifest::parse(name, &String::from_utf8_lossy(body)) {
            Ok(Manifest::Media(playlist)) => {
                playlist.named().into_iter().map(|(uri, _)| uri).collect()
            }
            Ok(Manifest::Multivariant(uris) | Manifest::Mpd(uris)) => uris,
            // The rules say so.
            Err(_) => Vec::new(),
        };
        for uri in named {
            let path = format!("{FOLDER}/{uri}");
            match self.api.is_there(&self.url(&uri)).await? {
                true => self.rules.found(&path),
                false => self.rules.missing(&path),
            }
        }
        let path = format!("{FOLDER}/{name}");
        self.rules.put(&path, body, Timestamp::now());
        Ok(())
    }

    /// Looks again and again for this long.
    pub async fn watch(&mut self, duration: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + duration;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < end {
            ticks.tick().await;
            self.look().await?;
        }
        Ok(())
    }

    /// Looks until a media playlist is as wished.
    pub async fn sees(
        &mut self,
        what: &str,
        name: &str,
        limit: Duration,
        is: impl Fn(&MediaPlaylist) -> bool,
    ) -> anyhow::Result<MediaPlaylist> {
        let this = tokio::sync::Mutex::new(self);
        until(what, limit, || async {
            let mut viewer = this.lock().await;
            viewer.look().await?;
            Ok(viewer.media(name).ok().filter(|found| is(found)).cloned())
        })
        .await
    }
}
