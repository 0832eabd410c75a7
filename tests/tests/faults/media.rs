//! The object store as one component reaches it: it fails, and it answers
//! late. Behind it is the order checker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws::media::check::Checked;
use aws::media::{MediaStore, MediaStores};
use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use rand::RngExt;
use tokio::runtime::Handle;

use crate::dice::Dice;
use crate::weather::Weather;

/// The object store of one world.
#[derive(Debug, Clone)]
pub struct Shore {
    memory: Arc<InMemory>,
    /// Judges every write.
    pub checked: Checked,
    network: Handle,
    /// It takes every write, whatever its condition: what the order checker
    /// must not let pass.
    pub ignores_conditions: bool,
}

impl Shore {
    pub fn new(network: Handle) -> Self {
        let memory = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = memory.clone();
        Self {
            memory,
            checked: Checked::new(store, jiff::Timestamp::now),
            network,
            ignores_conditions: false,
        }
    }

    /// The store as a worker or a scheduler reaches it.
    pub fn view(&self, dice: Dice, weather: Weather) -> MediaStores {
        let view = View {
            shore: self.clone(),
            dice,
            weather,
        };
        MediaStores::only(MediaStore::new(Arc::new(view)))
    }

    /// What lies under this folder.
    pub async fn objects(&self, folder: &str) -> Vec<String> {
        let folder = Path::from(folder);
        let listed = self.memory.list(Some(&folder));
        listed
            .filter_map(async |meta| Some(meta.ok()?.location.to_string()))
            .collect()
            .await
    }
}

#[derive(Debug, Clone)]
struct View {
    shore: Shore,
    dice: Dice,
    weather: Weather,
}

/// What happens to a call.
enum Fate {
    Served,
    Before,
    After,
    /// It is made after this long, whatever its caller does meanwhile.
    Late(Duration),
    Silence,
}

impl View {
    fn fate(&self, operation: &str) -> Fate {
        let mut dice = self.dice.throw(operation);
        if self.weather.no_store.is_on() {
            self.weather.storm.brings("object store: cut off");
            return match dice.random_bool(0.7) {
                true => Fate::Before,
                false => Fate::Silence,
            };
        }
        if !self.weather.storm.is_on() {
            return Fate::Served;
        }
        let (fate, name) = match dice.random_range(0..1000) {
            0..15 => (Fate::Before, "object store: not reached"),
            15..35 => (Fate::After, "object store: answer lost"),
            35..65 => {
                let delay = Duration::from_millis(dice.random_range(1..600));
                (Fate::Late(delay), "object store: late")
            }
            65..68 => (Fate::Silence, "object store: no answer"),
            _ => return Fate::Served,
        };
        self.weather.storm.brings(name);
        fate
    }

    async fn meet<T: Send + 'static>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // Over a network others get their turn.
        tokio::task::yield_now().await;
        match self.fate(operation) {
            Fate::Served => call.await,
            Fate::Before => Err(injected()),
            Fate::After => {
                call.await?;
                Err(injected())
            }
            Fate::Late(delay) => {
                let late = self.shore.network.spawn(async move {
                    tokio::time::sleep(delay).await;
                    call.await
                });
                late.await.map_err(|_| injected())?
            }
            Fate::Silence => std::future::pending().await,
        }
    }
}

fn injected() -> Error {
    Error::Generic {
        store: "Shore",
        source: "injected fault".into(),
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shore")
    }
}

#[async_trait]
impl ObjectStore for View {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if self.shore.ignores_conditions {
            options.mode = PutMode::Overwrite;
        }
        let (checked, path) = (self.shore.checked.clone(), location.clone());
        let put = async move { checked.put_opts(&path, payload, options).await };
        self.meet("put", put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.shore
            .checked
            .put_multipart_opts(location, options)
            .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (checked, path) = (self.shore.checked.clone(), location.clone());
        let get = async move { checked.get_opts(&path, options).await };
        self.meet("get", get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let checked = this.shore.checked.clone();
                    let one = futures::stream::iter([Ok(location?)]).boxed();
                    let delete = async move {
                        let deleted = checked.delete_stream(one).next().await;
                        deleted.unwrap_or_else(|| Err(injected()))
                    };
                    this.meet("delete", delete).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fate("list") {
            Fate::Before | Fate::Silence => futures::stream::iter([Err(injected())]).boxed(),
            _ => self.shore.checked.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.shore.checked.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.shore.checked.copy_opts(from, to, options).await
    }
}
