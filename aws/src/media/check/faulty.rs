//! A store that fails on command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without any effect.
    Before,
    /// It takes effect, and the answer is lost.
    After,
    /// The caller freezes before it, until [`Faults::thaw`]; then it is made.
    Freeze,
    /// As `Before`, and all later ones fail too: the caller is dead.
    CrashBefore,
    /// As `After`, and all later ones fail: the caller is dead.
    CrashAfter,
}

/// Commands a [`Faulty`] store. Clones command the same one.
#[derive(Debug, Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    /// Whether somebody is frozen.
    frozen: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct State {
    operations: u64,
    planned: BTreeMap<u64, Fault>,
    away: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            frozen: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations were begun so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Plans a fault of the operation of this number, counted from 0.
    pub fn plan(&self, operation: u64, fault: Fault) {
        self.state().planned.insert(operation, fault);
    }

    /// Whether the store is away: every operation fails without effect.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Waits until an operation is frozen.
    pub async fn frozen(&self) {
        // The sender is in self: it can't be gone.
        let _ = self.frozen.subscribe().wait_for(|frozen| *frozen).await;
    }

    /// Lets what is frozen go on.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    fn next(&self) -> Option<Fault> {
        let mut state = self.state();
        let number = state.operations;
        state.operations += 1;
        let fault = state.planned.remove(&number);
        if matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfter)) {
            state.away = true;
            return fault;
        }
        match state.away {
            true => Some(Fault::Before),
            false => fault,
        }
    }

    async fn run<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next() {
            None => operation.await,
            Some(Fault::Before | Fault::CrashBefore) => Err(injected()),
            Some(Fault::After | Fault::CrashAfter) => {
                operation.await?;
                Err(injected())
            }
            Some(Fault::Freeze) => {
                self.frozen.send_replace(true);
                let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
                operation.await
            }
        }
    }
}

fn injected() -> StoreError {
    StoreError::Generic {
        store: "Faulty",
        source: "injected fault".into(),
    }
}

/// A store that fails on command. Its operations are put, get and delete of
/// one object each.
#[derive(Debug)]
pub struct Faulty {
    store: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl Faulty {
    /// Wraps a store: one client's view of it, with faults of its own.
    pub fn new(store: Arc<dyn ObjectStore>, faults: Faults) -> Self {
        Self { store, faults }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.faults
            .run(self.store.put_opts(location, payload, options))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.faults
            .run(self.store.put_multipart_opts(location, options))
            .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults
            .run(self.store.get_opts(location, options))
            .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (store, faults) = (Arc::clone(&self.store), self.faults.clone());
        locations
            .then(move |location| {
                let (store, faults) = (Arc::clone(&store), faults.clone());
                async move {
                    let one = futures::stream::iter([location]).boxed();
                    let delete = async {
                        let mut outcomes = store.delete_stream(one);
                        outcomes.next().await.unwrap_or_else(|| Err(injected()))
                    };
                    faults.run(delete).await
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
        self.faults
            .run(self.store.copy_opts(from, to, options))
            .await
    }
}
