//! Opening and probing stores.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    Attribute, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::super::{OpenError, ProbeError};
use super::*;

#[tokio::test]
async fn a_folder_is_made_and_fit() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/a%20b/media", folder.path().display());
    let store = MediaStore::open(&url).unwrap();
    store.probe().await.unwrap();
    assert!(folder.path().join("a b/media").is_dir());
    assert!(store.to_string().ends_with("a b/media"), "{store}");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("a b/media"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "the probe is gone: {left:?}");
}

#[test]
fn what_names_no_store_is_refused_with_the_remedy() {
    for url in ["media", "http://host/x", "s3:///x", "file://host/x", ""] {
        let error = MediaStore::open(url).unwrap_err();
        assert!(matches!(error, OpenError::Url { .. }), "{url}: {error}");
        assert!(error.to_string().contains("s3://BUCKET/PREFIX"), "{error}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = MediaStore::open(&format!("file://{}/x", file.path().display())).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[test]
fn a_bucket_opens_without_asking_it() {
    let store = MediaStore::open("s3://bucket/live/media").unwrap();
    assert!(store.to_string().ends_with("/live/media"), "{store}");
}

#[tokio::test]
async fn a_store_that_is_away_is_told_from_an_unfit_one() {
    let world = World::new();
    let (store, faults) = world.faulty();
    faults.set_away(true);
    let error = store.probe().await.unwrap_err();
    assert!(matches!(error, ProbeError::NotWritable { .. }), "{error}");
    faults.set_away(false);
    store.probe().await.unwrap();
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    for (ignores, condition) in [("create", "If-None-Match"), ("update", "If-Match")] {
        let store = MediaStore::new(Arc::new(Careless {
            store: InMemory::new(),
            ignores,
        }));
        let error = store.probe().await.unwrap_err();
        assert!(
            matches!(error, ProbeError::IgnoresConditions { condition: c, .. } if c == condition),
            "{error}"
        );
        assert!(error.to_string().contains("conditional writes"), "{error}");
    }
}

#[tokio::test]
async fn objects_carry_their_type_and_how_long_to_cache_them() {
    let memory = Arc::new(InMemory::new());
    let world = World::on(memory.clone());
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    for (name, content_type, caching) in [
        ("master.m3u8", "application/vnd.apple.mpegurl", "max-age=1"),
        ("manifest.mpd", "application/dash+xml", "max-age=1"),
        ("1/1/video-init.mp4", "video/mp4", "immutable"),
        ("1/1/audio-0.m4s", "video/iso.segment", "immutable"),
        ("timeline.json", "application/json", "no-store"),
    ] {
        let path = Path::from(format!("{}/{name}", world.job));
        let found = memory.get(&path).await.unwrap().attributes;
        assert_eq!(
            found.get(&Attribute::ContentType).unwrap().as_ref(),
            content_type,
            "{name}"
        );
        assert!(
            found
                .get(&Attribute::CacheControl)
                .unwrap()
                .contains(caching),
            "{name}"
        );
    }
}

/// A store that leaves out the conditions of one kind.
#[derive(Debug)]
struct Careless {
    store: InMemory,
    ignores: &'static str,
}

impl std::fmt::Display for Careless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let kind = match options.mode {
            PutMode::Overwrite => "",
            PutMode::Create => "create",
            PutMode::Update(_) => "update",
        };
        if kind == self.ignores {
            options.mode = PutMode::Overwrite;
        }
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
