//! The writes of a channel, each under its fence.

use std::collections::HashMap;

use bytes::Bytes;
use domain::timeline::{MPD, MULTIVARIANT, Stamp, TIMELINE, Timeline, media_playlist_name};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{Error as StoreError, UpdateVersion};

use super::channel::ChannelError;
use super::delete::clear_away;
use super::store::{Condition, MediaStore, WriteError};

/// So many pending deletions are carried out after a segment: more than come
/// up, so that a backlog shrinks, and few enough not to hold up the next.
const DELETIONS_PER_SEGMENT: usize = 8;
/// Times that one object is read again after a lost race, before the caller
/// is told to come back later.
pub(super) const RACES: usize = 8;

/// A channel as the store has it, as far as this attempt knows.
#[derive(Debug)]
pub(super) struct Writer {
    pub store: MediaStore,
    pub timeline: Timeline,
    pub version: UpdateVersion,
    pub playlists: HashMap<String, Playlist>,
}

/// A playlist as it was last written or found.
#[derive(Debug, Clone, Default)]
pub(super) struct Playlist {
    pub version: Option<UpdateVersion>,
    /// Without the stamp, to tell whether it would say anything new; empty
    /// where it is to be written in any case.
    pub text: String,
}

impl Writer {
    /// Puts the objects, all at once; those that failed stay in the list.
    pub async fn upload(&self, objects: &mut Vec<(Path, Bytes)>) -> Result<(), ChannelError> {
        let put = |(path, body): &(Path, Bytes)| {
            let (path, body) = (path.clone(), body.clone());
            async move { self.store.write(&path, body, Condition::None).await }
        };
        let outcomes = join_all(objects.iter().map(put)).await;
        let mut outcomes = outcomes.into_iter();
        let mut failure = None;
        objects.retain(|_| match outcomes.next() {
            Some(Ok(_)) => false,
            Some(Err(WriteError::Store(error))) => {
                failure = Some(error);
                true
            }
            // A write without a condition has none to fail.
            Some(Err(WriteError::Conflict)) | None => true,
        });
        match failure {
            Some(error) => Err(ChannelError::Retry(error)),
            None if objects.is_empty() => Ok(()),
            None => Err(ChannelError::Retry(contested(TIMELINE))),
        }
    }

    /// Replaces `timeline.json` by compare-and-swap.
    pub async fn commit(&mut self, next: &Timeline, json: &Bytes) -> Result<(), ChannelError> {
        let path = self.path(TIMELINE);
        for _ in 0..RACES {
            let condition = Condition::Version(Some(self.version.clone()));
            match self.store.write(&path, json.clone(), condition).await {
                Ok(version) => {
                    self.committed(next, version);
                    return Ok(());
                }
                Err(WriteError::Store(error)) => return Err(ChannelError::Retry(error)),
                Err(WriteError::Conflict) => {}
            }
            let found = self.store.read(&path).await.map_err(ChannelError::Retry)?;
            let Some((body, version)) = found else {
                return Err(self.clear_away().await);
            };
            if body == *json {
                // Ours: its answer got lost.
                self.committed(next, version);
                return Ok(());
            }
            let found = Timeline::from_json(&body)?;
            if found.is_deleted() {
                return Err(self.clear_away().await);
            }
            let holder = found.stamp();
            if holder.fences(next.stamp()) {
                return Err(ChannelError::Fenced {
                    holder: holder.attempt,
                });
            }
            self.version = version;
        }
        Err(ChannelError::Retry(contested(TIMELINE)))
    }

    fn committed(&mut self, next: &Timeline, version: UpdateVersion) {
        self.version = version;
        self.timeline = next.clone();
    }

    /// Writes every playlist that has something new to say: media playlists
    /// and MPD, and when all are there the multivariant playlist.
    pub async fn write_playlists(&mut self) -> Result<(), ChannelError> {
        if !self.timeline.has_playlists() {
            return Ok(());
        }
        let mut bodies = vec![(MPD.to_owned(), self.timeline.mpd())];
        for label in self.timeline.labels() {
            if let Some(body) = self.timeline.media_playlist(label) {
                bodies.push((media_playlist_name(label), body));
            }
        }
        self.write_all(bodies).await?;
        match self.timeline.multivariant_playlist() {
            Some(body) => self.write_all(vec![(MULTIVARIANT.to_owned(), body)]).await,
            None => Ok(()),
        }
    }

    async fn write_all(&mut self, bodies: Vec<(String, String)>) -> Result<(), ChannelError> {
        let stamp = self.timeline.stamp().to_string();
        let this = &*self;
        let writes = bodies.into_iter().filter_map(|(name, body)| {
            let text = body.replacen(&stamp, "", 1);
            let known = this.playlists.get(&name);
            let unchanged = known.is_some_and(|k| k.version.is_some() && k.text == text);
            let version = known.and_then(|known| known.version.clone());
            if unchanged {
                return None;
            }
            Some(async move {
                let written = this.write_playlist(&name, body.into(), version).await;
                (name, written, text)
            })
        });
        let mut verdict = Ok(());
        for (name, written, text) in join_all(writes).await {
            match written {
                Ok(version) => {
                    self.playlists.insert(
                        name,
                        Playlist {
                            version: Some(version),
                            text,
                        },
                    );
                }
                Err(fenced @ ChannelError::Fenced { .. }) => verdict = Err(fenced),
                Err(error) if verdict.is_ok() => verdict = Err(error),
                Err(_) => {}
            }
        }
        verdict
    }

    /// Writes one playlist over the version known, or over whatever a writer
    /// of no higher attempt has left there. Of a channel that is deleted none
    /// stays: what was there when the tombstone came is deleted with it, a
    /// version known can't be replaced then, and what is created looks for
    /// the tombstone after that.
    async fn write_playlist(
        &self,
        name: &str,
        body: Bytes,
        mut known: Option<UpdateVersion>,
    ) -> Result<UpdateVersion, ChannelError> {
        let path = self.path(name);
        for _ in 0..RACES {
            let replaces = known.is_some();
            let condition = Condition::Version(known);
            match self.store.write(&path, body.clone(), condition).await {
                Ok(version) if replaces => return Ok(version),
                Ok(version) => return self.unless_deleted().await.map(|()| version),
                Err(WriteError::Store(error)) => return Err(ChannelError::Retry(error)),
                Err(WriteError::Conflict) => {}
            }
            known = match self.store.read(&path).await.map_err(ChannelError::Retry)? {
                // It was there a moment ago: with all the channel, perhaps.
                None => {
                    self.unless_deleted().await?;
                    None
                }
                // Ours: its answer got lost.
                Some((found, version)) if found == body => {
                    return self.unless_deleted().await.map(|()| version);
                }
                Some((found, version)) => {
                    if let Some(holder) = stamp(&found)
                        && holder.fences(self.timeline.stamp())
                    {
                        return Err(ChannelError::Fenced {
                            holder: holder.attempt,
                        });
                    }
                    Some(version)
                }
            };
        }
        Err(ChannelError::Retry(contested(name)))
    }

    /// Fails where the channel has been deleted.
    async fn unless_deleted(&self) -> Result<(), ChannelError> {
        let path = self.path(TIMELINE);
        let found = self.store.read(&path).await.map_err(ChannelError::Retry)?;
        match found {
            Some((body, _)) if !Timeline::from_json(&body)?.is_deleted() => Ok(()),
            _ => Err(self.clear_away().await),
        }
    }

    async fn clear_away(&self) -> ChannelError {
        clear_away(&self.store, self.timeline.job()).await
    }

    /// Deletes what may go by now. What fails stays pending: it is tried
    /// again after the next segment, or by the next attempt.
    pub async fn delete_due(&mut self, now: Timestamp) {
        let mut due = self.timeline.due(now);
        due.truncate(DELETIONS_PER_SEGMENT);
        if due.is_empty() {
            return;
        }
        let names = due
            .iter()
            .flat_map(|retired| self.timeline.retired_paths(retired));
        let paths: Vec<_> = names.map(|name| Ok(self.path(&name))).collect();
        // Without a client nothing was ever written here.
        let Ok(store) = self.store.inner() else {
            return;
        };
        let mut outcomes = store.delete_stream(stream::iter(paths).boxed());
        while let Some(outcome) = outcomes.next().await {
            if let Err(error) = outcome
                && !matches!(error, StoreError::NotFound { .. })
            {
                let job = self.timeline.job();
                tracing::warn!(%job, %error, "old segments were not deleted; tried again later");
                return;
            }
        }
        self.timeline.deleted(&due, now);
    }

    pub fn path(&self, name: &str) -> Path {
        self.store.object(self.timeline.job(), name)
    }
}

pub(super) fn stamp(body: &[u8]) -> Option<Stamp> {
    std::str::from_utf8(body).ok().and_then(Stamp::find)
}

/// Others write the object all the time.
pub(super) fn contested(name: &str) -> StoreError {
    StoreError::Generic {
        store: "channel",
        source: format!("{name} is contested").into(),
    }
}
