//! Looks at a store from outside, as players do.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};

use super::{Manifest, Rules};

/// Reads every playlist of one job's folder, again and again, and looks for
/// every object that one of them names. What comes and goes between two looks
/// it doesn't see.
#[derive(Debug)]
pub struct Watcher {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    rules: Rules,
    /// The bodies seen last: an unchanged playlist is not judged again.
    bodies: BTreeMap<Path, bytes::Bytes>,
    looks: u64,
}

impl Watcher {
    /// Watches `{folder}/`, that of a job.
    pub fn new(store: Arc<dyn ObjectStore>, folder: Path) -> Self {
        Self {
            store,
            folder,
            rules: Rules::default(),
            bodies: BTreeMap::new(),
            looks: 0,
        }
    }

    /// Every breach so far.
    pub fn violations(&self) -> &[String] {
        self.rules.violations()
    }

    /// How many looks there were.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// The newest version seen of a playlist, as `master.m3u8`.
    pub fn manifest(&self, name: &str) -> Option<&Manifest> {
        self.rules.manifest(self.folder.clone().join(name).as_ref())
    }

    /// One look.
    ///
    /// # Errors
    /// Those of the store; a missing object is a violation instead.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        self.looks += 1;
        let listed = self.store.list_with_delimiter(Some(&self.folder)).await?;
        let mut playlists: Vec<Path> = listed
            .objects
            .into_iter()
            .map(|meta| meta.location)
            .collect();
        playlists.retain(|path| matches!(path.extension(), Some("m3u8" | "mpd")));
        for path in playlists {
            let body = match self.store.get(&path).await {
                Ok(found) => found.bytes().await?,
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            if self.bodies.get(&path) != Some(&body) {
                self.see(&path, &body).await?;
                self.bodies.insert(path, body);
            }
        }
        Ok(())
    }

    /// Looks for what a playlist names before judging it.
    async fn see(&mut self, path: &Path, body: &[u8]) -> Result<(), StoreError> {
        let text = String::from_utf8_lossy(body);
        let named = match Manifest::parse(path.as_ref(), &text) {
            Ok(Manifest::Media(playlist)) => {
                playlist.named().into_iter().map(|(uri, _)| uri).collect()
            }
            Ok(Manifest::Multivariant(uris) | Manifest::Mpd(uris)) => uris,
            Err(_) => Vec::new(),
        };
        let named = named
            .into_iter()
            .map(|uri| Path::from(format!("{}/{uri}", self.folder)));
        let store = &self.store;
        let found: Vec<(Path, bool)> = stream::iter(named)
            .map(|path| async move {
                match store.head(&path).await {
                    Ok(_) => Ok((path, true)),
                    Err(StoreError::NotFound { .. }) => Ok((path, false)),
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(16)
            .try_collect()
            .await?;
        let now = Timestamp::now();
        for (path, there) in found {
            match there {
                true => self.rules.found(path.as_ref()),
                false => self.rules.missing(path.as_ref()),
            }
        }
        self.rules.put(path.as_ref(), body, now);
        Ok(())
    }
}
