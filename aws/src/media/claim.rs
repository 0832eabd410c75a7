//! Claiming a channel: the timeline first, then every playlist.

use std::collections::HashMap;

use bytes::Bytes;
use domain::ids::JobId;
use domain::timeline::{
    Claim, ClaimError, MPD, MULTIVARIANT, Presentation, TIMELINE, Timeline, media_playlist_name,
};
use futures::future::try_join_all;

use super::Clock;
use super::channel::{Channel, ChannelError};
use super::delete::clear_away;
use super::store::{Condition, MediaStore, WriteError};
use super::writer::{Playlist, RACES, Writer, contested, stamp};

impl Channel {
    /// Claims the channel for this attempt, so that no lower one writes any
    /// more: the timeline by compare-and-swap, then every playlist, written
    /// again so that versions which a predecessor knows are stale. A channel
    /// that had ended is opened again, with an empty window.
    ///
    /// # Errors
    /// [`ChannelError`]. After [`ChannelError::Retry`] it may be called again.
    pub async fn claim(
        store: MediaStore,
        job: &JobId,
        attempt: u64,
        presentation: Presentation,
        clock: Clock<'_>,
    ) -> Result<Self, ChannelError> {
        let claim = Claim::Publish(presentation);
        Writer::take(store, job, attempt, claim, clock)
            .await
            .map(Self::new)
    }
}

impl Writer {
    pub async fn take(
        store: MediaStore,
        job: &JobId,
        attempt: u64,
        claim: Claim,
        clock: Clock<'_>,
    ) -> Result<Self, ChannelError> {
        let mut writer = Self::take_timeline(store, job, attempt, claim, clock).await?;
        if writer.timeline.has_playlists() {
            // A predecessor may be about to create those that aren't there:
            // all are written. Before the first segment nobody creates any.
            writer.read_playlists().await?;
            writer.write_playlists().await?;
            writer.timeline.playlists_written(clock());
        }
        Ok(writer)
    }

    async fn take_timeline(
        store: MediaStore,
        job: &JobId,
        attempt: u64,
        claim: Claim,
        clock: Clock<'_>,
    ) -> Result<Self, ChannelError> {
        let path = store.object(job, TIMELINE);
        for _ in 0..RACES {
            let found = store.read(&path).await.map_err(ChannelError::Retry)?;
            let (found, version) = match found {
                Some((body, version)) => (Some(Timeline::from_json(&body)?), Some(version)),
                None => (None, None),
            };
            let timeline = match Timeline::claimed(found, job, attempt, claim, clock()) {
                Ok(timeline) => timeline,
                Err(ClaimError::Fenced { holder }) => return Err(ChannelError::Fenced { holder }),
                Err(ClaimError::Deleted) => return Err(clear_away(&store, job).await),
            };
            let json: Bytes = timeline
                .to_json()
                .map_err(domain::timeline::CorruptTimeline::Json)?
                .into();
            match store.write(&path, json, Condition::Version(version)).await {
                Ok(version) => {
                    return Ok(Self {
                        store,
                        timeline,
                        version,
                        playlists: HashMap::new(),
                    });
                }
                // Another was faster; or an answer got lost, and the next
                // round claims anew what is ours already.
                Err(WriteError::Conflict) => {}
                Err(WriteError::Store(error)) => return Err(ChannelError::Retry(error)),
            }
        }
        Err(ChannelError::Retry(contested(TIMELINE)))
    }

    /// Learns the versions of the playlists that are there.
    async fn read_playlists(&mut self) -> Result<(), ChannelError> {
        let labels = self.timeline.labels().map(media_playlist_name);
        let names = labels.chain([MULTIVARIANT.to_owned(), MPD.to_owned()]);
        let this = &*self;
        let reads = names.map(|name| async move {
            let found = this
                .store
                .read(&this.path(&name))
                .await
                .map_err(ChannelError::Retry)?;
            let version = match found {
                None => None,
                Some((body, version)) => match stamp(&body) {
                    // The same attempt may be ended by two schedulers at once:
                    // the one that claimed later has been here.
                    Some(holder) if holder > this.timeline.stamp() => {
                        return Err(ChannelError::Fenced {
                            holder: holder.attempt,
                        });
                    }
                    _ => Some(version),
                },
            };
            Ok((
                name,
                version.map(|v| Playlist {
                    version: Some(v),
                    text: String::new(),
                }),
            ))
        });
        for (name, playlist) in try_join_all(reads).await? {
            if let Some(playlist) = playlist {
                self.playlists.insert(name, playlist);
            }
        }
        Ok(())
    }
}
