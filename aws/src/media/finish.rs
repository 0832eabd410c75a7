//! What is done to a channel from outside: forced ends and deletion.

use domain::ids::JobId;
use domain::timeline::{Claim, MPD, TIMELINE, Timeline};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::Error as StoreError;
use object_store::path::Path;

use super::Clock;
use super::channel::ChannelError;
use super::store::MediaStore;
use super::writer::{Writer, contested};

/// Ends a channel in the name of this attempt: the fence falls on all lower
/// ones, and every playlist is closed. To be repeated until it succeeds; on a
/// channel that has ended it changes nothing that players see.
///
/// # Errors
/// [`ChannelError`]; [`ChannelError::Fenced`] where a higher attempt has it.
pub async fn end_channel(
    store: MediaStore,
    job: &JobId,
    attempt: u64,
    clock: Clock<'_>,
) -> Result<(), ChannelError> {
    let taken = Writer::take(store, job, attempt, Claim::End, clock).await;
    match taken.map(drop) {
        // Somebody else is about to end it, for the same attempt: whether all
        // of it is ended then is not ours to say.
        Err(ChannelError::Fenced { holder }) if holder == attempt => {
            Err(ChannelError::Retry(contested(TIMELINE)))
        }
        taken => taken,
    }
}

/// Deletes all that a job has published, up to this attempt: playlists first,
/// so that none names what is gone, and the timeline last. Before that the
/// fence falls on whoever still writes, as an end that is under way or a
/// worker thought dead: what it wrote after the deletion would stay for ever.
/// To be repeated until it succeeds; the job must have no worker, and get none.
///
/// # Errors
/// [`ChannelError::Retry`].
pub async fn delete_media(
    store: &MediaStore,
    job: &JobId,
    attempt: u64,
    clock: Clock<'_>,
) -> Result<(), ChannelError> {
    let timeline = store.object(job, TIMELINE);
    let found = store.read(&timeline).await.map_err(ChannelError::Retry)?;
    // A deletion before this one has fenced already: to do so again would write
    // playlists that name what it deletes.
    let is_open = |body: &[u8]| {
        Timeline::from_json(body).is_ok_and(|timeline| timeline.stamp().attempt <= attempt)
    };
    if found.is_some_and(|(body, _)| is_open(&body)) {
        let fence = end_channel(store.clone(), job, attempt + 1, clock).await;
        if let Err(error @ ChannelError::Retry(_)) = fence {
            return Err(error);
        }
    }
    delete_all(store, job, timeline)
        .await
        .map_err(ChannelError::Retry)
}

async fn delete_all(store: &MediaStore, job: &JobId, timeline: Path) -> Result<(), StoreError> {
    let folder = store.folder(job);
    let listed: Vec<Path> = store
        .inner()
        .list(Some(&folder))
        .map_ok(|meta| meta.location)
        .try_collect()
        .await?;
    let (playlists, rest): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .filter(|path| *path != timeline)
        .partition(is_playlist);
    for group in [playlists, rest, vec![timeline]] {
        let paths = stream::iter(group.into_iter().map(Ok)).boxed();
        let mut outcomes = store.inner().delete_stream(paths);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_playlist(path: &Path) -> bool {
    path.extension() == Some("m3u8") || path.filename() == Some(MPD)
}
