//! A store of which every write is judged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::Rules;

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A store of which every write is judged by the [`Rules`]. Writes take
/// effect one at a time, so that the rules see them in their order.
#[derive(Clone)]
pub struct Checked {
    store: Arc<dyn ObjectStore>,
    rules: Arc<Mutex<Rules>>,
    order: Arc<tokio::sync::Mutex<()>>,
    clock: Clock,
}

impl Checked {
    /// Watches over an empty store. The clock is that of the rule on
    /// deletions: the writers' own.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            rules: Arc::default(),
            order: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    /// The rules, with what they have seen so far.
    pub fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every breach so far.
    pub fn violations(&self) -> Vec<String> {
        self.rules().violations().to_vec()
    }
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checked({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Checked {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let body: Vec<u8> = payload.iter().flatten().copied().collect();
        let _one_at_a_time = self.order.lock().await;
        let written = self.store.put_opts(location, payload, options).await?;
        let now = (self.clock)();
        self.rules().put(location.as_ref(), &body, now);
        Ok(written)
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
        let this = self.clone();
        self.store
            .delete_stream(locations)
            .inspect(move |outcome| {
                if let Ok(path) = outcome {
                    let now = (this.clock)();
                    this.rules().delete(path.as_ref(), now);
                }
            })
            .boxed()
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
