//! A place for media: a prefix in a bucket, or a folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::ids::JobId;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Certificate, ClientOptions, Error as StoreError, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use url::Url;
use uuid::Uuid;

use super::FileStore;
use crate::address::is_loopback;
use crate::lazy::{Lazy, lazy};
use crate::trust;

/// One request of the S3 client, its own retries not counted.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A place that media is written to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaStore {
    store: Lazy<Result<Arc<dyn ObjectStore>, StoreError>>,
    /// The store's own name: no credentials are in it.
    name: String,
    prefix: Path,
}

/// Why a media store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL that names a store.
    #[error("{url:?} names no media store: use s3://BUCKET/PREFIX or file:///FOLDER")]
    Url {
        /// What was given.
        url: String,
    },
    /// The folder can't be made or opened.
    #[error("the media folder {} can't be used: {source}; give one that can be written", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Why a media store can't be published to.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Writing, reading or deleting fails.
    #[error(
        "the media store {store} can't be written: {source}; \
         it needs s3:PutObject, s3:GetObject and s3:DeleteObject, or a folder of its own"
    )]
    NotWritable {
        /// The store's name.
        store: String,
        /// What it says.
        source: StoreError,
    },
    /// It accepts writes whose condition does not hold: two workers could
    /// write one channel.
    #[error(
        "the media store {store} ignores {condition}: \
         use one with conditional writes (Amazon S3, MinIO, R2 or a local folder)"
    )]
    IgnoresConditions {
        /// The store's name.
        store: String,
        /// The condition it ignores.
        condition: &'static str,
    },
}

/// How an object is written.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// Whatever is there.
    None,
    /// There must be nothing, or this version.
    Version(Option<UpdateVersion>),
}

/// Why a conditional write wasn't made.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The condition doesn't hold: read again.
    Conflict,
    /// Unknown whether it took effect.
    Store(StoreError),
}

impl MediaStore {
    /// Opens `s3://bucket/prefix` or `file:///folder` (made if need be).
    ///
    /// S3 takes region, credentials and endpoint from the environment as the
    /// SDK does (`AWS_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`; keys,
    /// web identity, ECS task or EC2 instance role). An endpoint on loopback
    /// may be plain http; any other only where `AWS_ALLOW_HTTP` is `true`.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing is asked of the store yet, nor a client made for
    /// S3, which is 0.1 ms that a starting Lambda function does not wait for:
    /// see [`MediaStore::probe`].
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let bad = || OpenError::Url {
            url: url.to_owned(),
        };
        let parsed = Url::parse(url).map_err(|_| bad())?;
        match parsed.scheme() {
            "file" => {
                let path = parsed.to_file_path().map_err(|()| bad())?;
                let store =
                    FileStore::open(&path).map_err(|source| OpenError::Folder { path, source })?;
                Ok(Self::new(Arc::new(store)))
            }
            "s3" => {
                let bucket = parsed.host_str().ok_or_else(bad)?.to_owned();
                let prefix = Path::from_url_path(parsed.path()).map_err(|_| bad())?;
                Ok(Self {
                    name: format!("AmazonS3({bucket})"),
                    store: lazy(move || s3(&bucket)),
                    prefix,
                })
            }
            _ => Err(bad()),
        }
    }

    /// A store that is open already, at its root.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: store.to_string(),
            store: lazy(|| Ok(store)),
            prefix: Path::default(),
        }
    }

    /// Whether channels can be published here: writes what it needs, deletes
    /// it again, and checks that conditions are kept. To be asked once, when
    /// a process starts.
    ///
    /// # Errors
    /// [`ProbeError`], with the remedy in its text.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        let path = self.at(&format!("probe-{}", Uuid::new_v4()));
        let verdict = self.probe_at(&path).await;
        let deleted = self.delete(&path).await;
        verdict?;
        deleted.map_err(|source| self.not_writable(source))
    }

    async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        self.inner()?.delete(path).await
    }

    async fn probe_at(&self, path: &Path) -> Result<(), ProbeError> {
        let write = async |body: &'static str, condition| {
            self.write(path, Bytes::from_static(body.as_bytes()), condition)
                .await
        };
        let none = Condition::Version(None);
        let first = match write("1", none.clone()).await {
            Ok(version) => version,
            Err(WriteError::Store(source)) => return Err(self.not_writable(source)),
            Err(WriteError::Conflict) => return Err(self.ignores("what was never written")),
        };
        self.expect_conflict("If-None-Match", write("2", none).await)?;
        match write("3", Condition::Version(Some(first.clone()))).await {
            Ok(_) => {}
            Err(WriteError::Store(source)) => return Err(self.not_writable(source)),
            Err(WriteError::Conflict) => return Err(self.ignores("the version it gave itself")),
        }
        self.expect_conflict(
            "If-Match",
            write("4", Condition::Version(Some(first))).await,
        )?;
        match self.read(path).await {
            Ok(Some((body, _))) if body == "3" => Ok(()),
            Ok(_) => Err(self.ignores("what was written last")),
            Err(source) => Err(self.not_writable(source)),
        }
    }

    fn expect_conflict(
        &self,
        condition: &'static str,
        outcome: Result<UpdateVersion, WriteError>,
    ) -> Result<(), ProbeError> {
        match outcome {
            Err(WriteError::Conflict) => Ok(()),
            // A store that refuses the header as such is as unfit.
            Err(WriteError::Store(
                StoreError::NotImplemented { .. } | StoreError::NotSupported { .. },
            ))
            | Ok(_) => Err(self.ignores(condition)),
            Err(WriteError::Store(source)) => Err(self.not_writable(source)),
        }
    }

    fn not_writable(&self, source: StoreError) -> ProbeError {
        ProbeError::NotWritable {
            store: self.to_string(),
            source,
        }
    }

    fn ignores(&self, condition: &'static str) -> ProbeError {
        ProbeError::IgnoresConditions {
            store: self.to_string(),
            condition,
        }
    }

    fn at(&self, name: &str) -> Path {
        if self.prefix.as_ref().is_empty() {
            Path::from(name)
        } else {
            Path::from(format!("{}/{name}", self.prefix))
        }
    }

    /// The folder of a job.
    pub(super) fn folder(&self, job: &JobId) -> Path {
        self.at(job.as_str())
    }

    /// The jobs that have a folder here.
    pub(super) async fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let root = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.inner()?.list_with_delimiter(root).await?;
        let names = listed.common_prefixes.into_iter();
        Ok(names
            .filter_map(|folder| JobId::parse(folder.filename()?))
            .collect())
    }

    /// An object of a job.
    pub(super) fn object(&self, job: &JobId, name: &str) -> Path {
        self.at(&format!("{job}/{name}"))
    }

    pub(super) fn inner(&self) -> Result<&dyn ObjectStore, StoreError> {
        match &**self.store {
            Ok(store) => Ok(&**store),
            Err(error) => Err(StoreError::Generic {
                store: "S3",
                source: format!(
                    "no client: {error}; check AWS_REGION, AWS_ENDPOINT_URL and the credentials"
                )
                .into(),
            }),
        }
    }

    /// What is there and its version; `None` where nothing is.
    pub(super) async fn read(
        &self,
        path: &Path,
    ) -> Result<Option<(Bytes, UpdateVersion)>, StoreError> {
        let found = match self.inner()?.get(path).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let version = UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        };
        Ok(Some((found.bytes().await?, version)))
    }

    pub(super) async fn write(
        &self,
        path: &Path,
        body: Bytes,
        condition: Condition,
    ) -> Result<UpdateVersion, WriteError> {
        let mode = match condition {
            Condition::None => PutMode::Overwrite,
            Condition::Version(None) => PutMode::Create,
            Condition::Version(Some(version)) => PutMode::Update(version),
        };
        let options = PutOptions {
            mode,
            attributes: attributes(path),
            ..PutOptions::default()
        };
        let replaces = matches!(options.mode, PutMode::Update(_));
        let store = self.inner().map_err(WriteError::Store)?;
        match store.put_opts(path, body.into(), options).await {
            Ok(written) => Ok(written.into()),
            // What S3 answers where the version to be replaced is gone.
            Err(StoreError::NotFound { .. }) if replaces => Err(WriteError::Conflict),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                Err(WriteError::Conflict)
            }
            Err(error) => Err(WriteError::Store(error)),
        }
    }
}

impl std::fmt::Display for MediaStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        match self.prefix.as_ref() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // reqwest takes the process's TLS provider; installed already is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let mut client = ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT);
    let plain_allowed = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true");
    if plain_allowed || endpoint.as_deref().is_some_and(is_local) {
        client = client.with_allow_http(true);
    }
    if let Some(roots) = trust::roots() {
        client = client.with_no_system_certificates(true);
        for root in Certificate::from_pem_bundle(roots)? {
            client = client.with_root_certificate(root);
        }
    }
    // The callers retry, and must hear of an outage soon.
    let retry = RetryConfig {
        max_retries: 1,
        retry_timeout: REQUEST_TIMEOUT,
        ..RetryConfig::default()
    };
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry)
        .build()?;
    Ok(Arc::new(store))
}

/// Whether what is sent there does not leave this machine.
fn is_local(endpoint: &str) -> bool {
    Url::parse(endpoint).is_ok_and(|url| {
        let is_below = |name: &str| name.ends_with(".localhost");
        is_loopback(&url) || url.domain().is_some_and(is_below)
    })
}

/// Content type and `Cache-Control` of an object, by the end of its name;
/// `None` for what is none of ours. Playlists change all the time; a
/// segment's bytes never do once a playlist names it.
pub fn headers_of(name: &str) -> Option<(&'static str, &'static str)> {
    const LIVE: &str = "max-age=1";
    const FOREVER: &str = "public, max-age=31536000, immutable";
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension {
        "m3u8" => ("application/vnd.apple.mpegurl", LIVE),
        "mpd" => ("application/dash+xml", LIVE),
        "m4s" => ("video/iso.segment", FOREVER),
        "mp4" => ("video/mp4", FOREVER),
        "json" => ("application/json", "no-store"),
        _ => return None,
    })
}

fn attributes(path: &Path) -> Attributes {
    let Some((content_type, caching)) = headers_of(path.as_ref()) else {
        return Attributes::default();
    };
    Attributes::from_iter([
        (Attribute::ContentType, content_type),
        (Attribute::CacheControl, caching),
    ])
}
