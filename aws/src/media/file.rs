//! A folder as an object store with compare-and-swap.
//!
//! `object_store` writes and reads local files, but has no conditional update
//! there. This adapter adds it: a lock file per object is held while the
//! version is compared and the new file renamed into place. The version is a
//! hash of the content (as on S3), for which every body must be unique: inode
//! and time stamp come back too easily.
//!
//! A process may die between any two steps: its locks go with it, readers see
//! the old file or the new one, and what it staged is swept up later. What the
//! kernel had not yet written when the power fails is lost.
//!
//! Locks and staged files lie in `.ezlive` in the folder itself, as only there
//! they are sure to be on the same file system: whoever serves the folder
//! leaves names that begin with a dot alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const NAME: &str = "FileStore";
const HIDDEN: &str = ".ezlive";
/// Objects share so many lock files.
const LOCKS: u8 = 128;
/// A lock is held for two system calls, unless its holder is frozen.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(2);
/// What lies staged for longer belongs to a process that died.
const STAGED_FOR: Duration = Duration::from_secs(3600);

/// A folder with compare-and-swap.
#[derive(Debug, Clone)]
pub struct FileStore {
    files: LocalFileSystem,
    hidden: Arc<PathBuf>,
}

impl FileStore {
    /// Opens a folder; makes it if need be.
    ///
    /// # Errors
    /// Those of the system, where it can't be made or written.
    pub fn open(folder: &FilePath) -> io::Result<Self> {
        let hidden = folder.join(HIDDEN);
        fs::create_dir_all(hidden.join("locks"))?;
        fs::create_dir_all(hidden.join("staging"))?;
        sweep(&hidden.join("staging"));
        let files = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
        Ok(Self {
            files,
            hidden: Arc::new(hidden),
        })
    }

    fn put_blocking(&self, location: &Path, payload: &PutPayload, mode: PutMode) -> Result<String> {
        let target = self.files.path_to_filesystem(location)?;
        let staged = Staged::write(&self.hidden, payload).map_err(generic)?;
        let _lock = self.lock(location)?;
        match mode {
            PutMode::Overwrite => {}
            PutMode::Create => {
                if target.try_exists().map_err(generic)? {
                    return Err(StoreError::AlreadyExists {
                        path: location.to_string(),
                        source: "it is there".into(),
                    });
                }
            }
            PutMode::Update(expected) => {
                let found = match fs::read(&target) {
                    Ok(body) => Some(etag(&body)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    Err(error) => return Err(generic(error)),
                };
                if found.is_none() || found != expected.e_tag {
                    return Err(StoreError::Precondition {
                        path: location.to_string(),
                        source: "another version is there".into(),
                    });
                }
            }
        }
        staged.rename(&target).map_err(generic)
    }

    /// Waits for the object's lock, not for ever: a frozen process may hold it.
    fn lock(&self, location: &Path) -> Result<File> {
        let number = Sha256::digest(location.as_ref().as_bytes())[0] % LOCKS;
        let path = self.hidden.join("locks").join(number.to_string());
        let open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
        };
        let file = open().map_err(generic)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    let held = format!("the lock {} is held by another process", path.display());
                    return Err(generic(io::Error::new(io::ErrorKind::TimedOut, held)));
                }
                Err(TryLockError::Error(error)) => return Err(generic(error)),
            }
        }
    }
}

/// A file that isn't in its place yet; removed unless it gets there.
struct Staged {
    path: PathBuf,
    etag: String,
}

impl Staged {
    fn write(hidden: &FilePath, payload: &PutPayload) -> io::Result<Self> {
        let path = hidden.join("staging").join(Uuid::new_v4().to_string());
        let mut file = File::create_new(&path)?;
        let mut hash = Sha256::new();
        let staged = Self {
            path,
            etag: String::new(),
        };
        for part in payload {
            file.write_all(part)?;
            hash.update(part);
        }
        file.flush()?;
        Ok(Self {
            etag: quoted(&hash.finalize()),
            path: staged.keep(),
        })
    }

    /// Hands the path on instead of removing it.
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }

    fn try_rename(&self, target: &FilePath) -> io::Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(&self.path, target)
    }

    fn rename(mut self, target: &FilePath) -> io::Result<String> {
        // Deletions remove folders they leave empty, also under our hands.
        let mut tries = 100;
        while let Err(error) = self.try_rename(target) {
            // "Already exists" is what making a folder says that another has
            // made, and a third removed, meanwhile.
            let vanished = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            );
            if !vanished || tries == 0 {
                return Err(error);
            }
            tries -= 1;
        }
        self.path.clear();
        Ok(std::mem::take(&mut self.etag))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what dead processes left; what can't be removed harms nobody.
fn sweep(staging: &FilePath) {
    let Ok(entries) = fs::read_dir(staging) else {
        return;
    };
    for entry in entries.flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > STAGED_FOR) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn etag(body: &[u8]) -> String {
    quoted(&Sha256::digest(body))
}

fn quoted(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn generic(error: io::Error) -> StoreError {
    StoreError::Generic {
        store: NAME,
        source: Box::new(error),
    }
}

fn hidden(meta: &ObjectMeta) -> bool {
    meta.location
        .parts()
        .next()
        .is_some_and(|first| first.as_ref() == HIDDEN)
}

fn without_version(meta: ObjectMeta) -> ObjectMeta {
    // The file system's own has nothing to do with ours.
    ObjectMeta {
        e_tag: None,
        ..meta
    }
}

impl std::fmt::Display for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}",
            self.hidden.parent().unwrap_or(&self.hidden).display()
        )
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    /// Attributes are left out: files have none.
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (store, location) = (self.clone(), location.clone());
        let put = move || store.put_blocking(&location, &payload, options.mode);
        let e_tag = tokio::task::spawn_blocking(put).await??;
        Ok(PutResult {
            e_tag: Some(e_tag),
            version: None,
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put_multipart"))
    }

    /// The version comes with whole objects only.
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head || options.range.is_some() {
            let found = self.files.get_opts(location, options).await?;
            return Ok(GetResult {
                meta: without_version(found.meta.clone()),
                ..found
            });
        }
        let found = self.files.get_opts(location, GetOptions::new()).await?;
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let body: Bytes = found.bytes().await?;
        let size = body.len() as u64;
        let meta = ObjectMeta {
            e_tag: Some(etag(&body)),
            size,
            ..meta
        };
        options.check_preconditions(&meta)?;
        let payload = GetResultPayload::Stream(futures::stream::iter([Ok(body)]).boxed());
        Ok(GetResult {
            payload,
            meta,
            range: 0..size,
            attributes,
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files
            .list(prefix)
            .try_filter(|meta| std::future::ready(!hidden(meta)))
            .map_ok(without_version)
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.files.list_with_delimiter(prefix).await?;
        found
            .common_prefixes
            .retain(|prefix| prefix.as_ref() != HIDDEN);
        found.objects = found
            .objects
            .into_iter()
            .filter(|m| !hidden(m))
            .map(without_version)
            .collect();
        Ok(found)
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unsupported("copy"))
    }
}

/// What nobody here needs and would go past the locks.
fn unsupported(operation: &str) -> StoreError {
    StoreError::NotImplemented {
        operation: operation.to_owned(),
        implementer: NAME.to_owned(),
    }
}
