//! The operator's stores: the default one, and the buckets that jobs may name.

use std::collections::BTreeMap;

use domain::spec::Spec;

use super::{MediaStore, OpenError, ProbeError};

/// Where jobs may publish.
#[derive(Debug, Clone)]
pub struct MediaStores {
    default: MediaStore,
    buckets: BTreeMap<String, MediaStore>,
}

impl MediaStores {
    /// Opens the default store and each bucket that jobs may name.
    ///
    /// # Errors
    /// [`OpenError`] where one can't be.
    pub fn open(default: &str, buckets: &[String]) -> Result<Self, OpenError> {
        let open = |bucket: &String| {
            MediaStore::open(&format!("s3://{bucket}")).map(|store| (bucket.clone(), store))
        };
        Ok(Self {
            default: MediaStore::open(default)?,
            buckets: buckets.iter().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// One store that is open already, and no buckets that jobs may name.
    pub fn only(store: MediaStore) -> Self {
        Self {
            default: store,
            buckets: BTreeMap::new(),
        }
    }

    /// Where a job is published: the bucket it names, where the operator has
    /// listed that, and the default store otherwise.
    pub fn of(&self, spec: &Spec) -> &MediaStore {
        self.named(spec.output.bucket())
    }

    /// The store of jobs that name this bucket, or none.
    pub fn named(&self, bucket: Option<&str>) -> &MediaStore {
        bucket
            .and_then(|bucket| self.buckets.get(bucket))
            .unwrap_or(&self.default)
    }

    /// Refuses a default store that is of no use.
    ///
    /// # Errors
    /// [`ProbeError`], which says what is wrong with it.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        self.default.probe().await
    }
}
