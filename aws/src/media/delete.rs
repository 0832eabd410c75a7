//! Deleting a channel, whoever still writes it.
//!
//! The fence is a tombstone in `timeline.json`, which nobody can claim and
//! which stays. It is written first; then the playlists are deleted, so that
//! none names what is gone, and the rest. A writer that was frozen meanwhile
//! finds the tombstone at its next step and takes away what came too late.

use domain::ids::JobId;
use domain::timeline::{MPD, TIMELINE, Timeline};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::Error as StoreError;
use object_store::path::Path;

use super::Clock;
use super::channel::ChannelError;
use super::store::{Condition, MediaStore, WriteError};
use super::writer::{RACES, contested};

/// Objects deleted at once: as many as S3 takes in a request.
const PAGE: usize = 1000;

/// Deletes all that a job has published, for good: only the tombstone stays,
/// some 300 bytes. To be repeated until it succeeds.
///
/// # Errors
/// [`ChannelError::Retry`]; [`ChannelError::Corrupt`] where the tombstone
/// can't be written as JSON, which no input makes happen.
pub async fn delete_media(
    store: &MediaStore,
    job: &JobId,
    attempt: u64,
    clock: Clock<'_>,
) -> Result<(), ChannelError> {
    bury(store, job, attempt, clock).await?;
    delete_all(store, job).await.map_err(ChannelError::Retry)
}

/// Deletes what has come into a deleted channel's folder since: of writers
/// that died before they could. Any other channel it leaves alone.
///
/// # Errors
/// [`ChannelError::Retry`].
pub async fn purge_deleted(store: &MediaStore, job: &JobId) -> Result<(), ChannelError> {
    match is_deleted(store, job).await {
        Ok(true) => delete_all(store, job).await.map_err(ChannelError::Retry),
        Ok(false) => Ok(()),
        Err(error) => Err(ChannelError::Retry(error)),
    }
}

/// Deletes every deleted channel's folder, tombstones included: to be called
/// where nobody can be writing, as before the first worker is started.
///
/// # Errors
/// What the store says.
pub async fn remove_tombstones(store: &MediaStore) -> Result<(), StoreError> {
    for job in store.jobs().await? {
        if is_deleted(store, &job).await? {
            delete_all(store, &job).await?;
            delete(store, vec![store.object(&job, TIMELINE)]).await?;
        }
    }
    Ok(())
}

/// What a writer does that has found its channel deleted: what it wrote too
/// late goes. [`ChannelError::Deleted`] once that is done.
pub(super) async fn clear_away(store: &MediaStore, job: &JobId) -> ChannelError {
    match delete_all(store, job).await {
        Ok(()) => ChannelError::Deleted,
        Err(error) => ChannelError::Retry(error),
    }
}

/// Puts the tombstone, over whatever timeline is there, readable or not.
async fn bury(
    store: &MediaStore,
    job: &JobId,
    attempt: u64,
    clock: Clock<'_>,
) -> Result<(), ChannelError> {
    let path = store.object(job, TIMELINE);
    for _ in 0..RACES {
        let found = store.read(&path).await.map_err(ChannelError::Retry)?;
        let (body, version) = found.unzip();
        let found = body.and_then(|body| Timeline::from_json(&body).ok());
        if found.as_ref().is_some_and(Timeline::is_deleted) {
            return Ok(());
        }
        let tombstone = Timeline::tombstone(found.as_ref(), job, attempt, clock());
        let json = tombstone
            .to_json()
            .map_err(domain::timeline::CorruptTimeline::Json)?;
        match store
            .write(&path, json.into(), Condition::Version(version))
            .await
        {
            Ok(_) => return Ok(()),
            Err(WriteError::Conflict) => {}
            Err(WriteError::Store(error)) => return Err(ChannelError::Retry(error)),
        }
    }
    Err(ChannelError::Retry(contested(TIMELINE)))
}

async fn is_deleted(store: &MediaStore, job: &JobId) -> Result<bool, StoreError> {
    let found = store.read(&store.object(job, TIMELINE)).await?;
    let timeline = found.and_then(|(body, _)| Timeline::from_json(&body).ok());
    Ok(timeline.is_some_and(|timeline| timeline.is_deleted()))
}

/// Deletes all but the timeline, playlists first. The rest goes page by page
/// as it is listed: where this breaks off, less is left for the next time.
async fn delete_all(store: &MediaStore, job: &JobId) -> Result<(), StoreError> {
    let (folder, timeline) = (store.folder(job), store.object(job, TIMELINE));
    let channel = store.inner()?.list_with_delimiter(Some(&folder)).await?;
    let playlists = channel.objects.into_iter().map(|meta| meta.location);
    delete(store, playlists.filter(is_playlist).collect()).await?;
    let mut pages = store
        .inner()?
        .list(Some(&folder))
        .map_ok(|meta| meta.location)
        .try_filter(move |path| std::future::ready(*path != timeline))
        .try_chunks(PAGE);
    while let Some(page) = pages.next().await {
        delete(store, page.map_err(|broken| broken.1)?).await?;
    }
    Ok(())
}

async fn delete(store: &MediaStore, paths: Vec<Path>) -> Result<(), StoreError> {
    let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
    let mut outcomes = store.inner()?.delete_stream(paths);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_playlist(path: &Path) -> bool {
    path.extension() == Some("m3u8") || path.filename() == Some(MPD)
}
