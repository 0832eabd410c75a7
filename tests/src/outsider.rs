//! A worker that `ezlive up` has not started, and so can't stop: the zombie of
//! the protocol. It reaches the database and the store by ways that can be cut.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use aws::store::{Store, TableNames, WorkerChange};
use aws_config::Region;
use aws_credential_types::Credentials;
use domain::ids::WorkerId;
use domain::spec::WorkerSize;
use domain::worker::Worker;
use jiff::Timestamp;
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;
use worker::ffmpeg::shim::Tie;

use crate::api::{Api, text};
use crate::machine::{Machine, program, small_channel, until};

/// All here takes a second or two, and more on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A worker of the test's own; killed when dropped.
pub struct Outsider {
    id: String,
    child: Child,
    database: Cuttable,
    media: PathBuf,
    front: TempDir,
}

impl Outsider {
    /// Starts one and makes it the only idle worker of this machine.
    ///
    /// # Errors
    /// It does not register.
    pub async fn start(machine: &Machine, api: &Api) -> anyhow::Result<Self> {
        let (first, mut environment) = environment_of_a_worker(machine, api).await?;
        let address = environment
            .get("AWS_ENDPOINT_URL_DYNAMODB")
            .and_then(|url| url.strip_prefix("http://"))
            .context("the worker has no database")?;
        let database = Cuttable::before(address).await?;
        let id = WorkerId::generate();
        let worker = Worker::booting(id.clone(), WorkerSize::Small, None, Timestamp::now());
        let launch = WorkerChange::Launch {
            worker: Box::new(worker),
            max_workers: None,
        };
        let store = store_of(&environment).await?;
        store.commit_worker(launch, Timestamp::now()).await?;

        let front = tempfile::tempdir()?;
        let url = Url::from_directory_path(front.path())
            .map_err(|()| anyhow::anyhow!("no path for a URL"))?;
        environment.extend([
            ("EZLIVE_STORE".to_owned(), url.to_string()),
            ("EZLIVE_WORKER_ID".to_owned(), id.to_string()),
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), database.url.clone()),
        ]);
        let log = std::fs::File::options()
            .append(true)
            .open(machine.folder().join("log.txt"))?;
        let ezlive = program("ezlive")?;
        let child = Command::from(Tie::through(&ezlive).command(&ezlive))
            .arg("worker")
            .env_clear()
            .envs(&environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let outsider = Self {
            id: id.to_string(),
            child,
            database,
            media: machine.folder().join("media"),
            front,
        };
        is_in_state(api, &outsider.id, "idle").await?;
        // The machine's own one goes, so that the next job is this one's.
        api.send(Method::DELETE, &format!("/workers/{first}"), None)
            .await?;
        is_in_state(api, &first, "closed").await?;
        Ok(outsider)
    }

    /// Creates a job, which this worker runs.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn create(&self, api: &Api) -> anyhow::Result<String> {
        let job = api.create(&small_channel(|_| {})?).await?;
        let id = text(&job, "/id")?.to_owned();
        self.open_store(&id)?;
        Ok(id)
    }

    /// Its process.
    pub fn pid(&self) -> Option<Pid> {
        let pid = self.child.id()?;
        pid.try_into().ok().map(Pid::from_raw)
    }

    /// Its worker id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From now on nothing of the database's comes through, in either
    /// direction, and no connection is refused either.
    pub fn cut_database(&self) {
        self.database.cut.send_replace(true);
    }

    /// From now on every operation on this job's objects fails.
    ///
    /// # Errors
    /// The file system's.
    pub fn cut_store(&self, job: &str) -> anyhow::Result<()> {
        let link = self.front.path().join(job);
        std::fs::remove_file(&link)?;
        Ok(std::fs::write(link, "")?)
    }

    /// They work (again).
    ///
    /// # Errors
    /// The file system's.
    pub fn open_store(&self, job: &str) -> anyhow::Result<()> {
        let folder = self.media.join(job);
        std::fs::create_dir_all(&folder)?;
        let link = self.front.path().join(job);
        if link.exists() {
            std::fs::remove_file(&link)?;
        }
        Ok(std::os::unix::fs::symlink(folder, link)?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended.context("the worker goes on")??;
        Ok(())
    }
}

/// Makes the machine start a worker; answers its id and its environment.
async fn environment_of_a_worker(
    machine: &Machine,
    api: &Api,
) -> anyhow::Result<(String, BTreeMap<String, String>)> {
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?;
    let job = api.reaches(id, "running", SOON).await?;
    let worker = text(&job, "/worker_id")?.to_owned();
    let pid = machine.worker()?.context("no worker process")?;
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let environment = String::from_utf8(environment)?
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    api.wish(id, "stop").await?;
    api.reaches(id, "stopped", SOON).await?;
    Ok((worker, environment))
}

async fn is_in_state(api: &Api, worker: &str, state: &str) -> anyhow::Result<()> {
    until(&format!("worker {state}"), SOON, || async {
        let path = format!("/workers/{worker}");
        let (_, worker) = api.send(Method::GET, &path, None).await?;
        Ok((worker["state"] == json!(state)).then_some(()))
    })
    .await
}

/// The records, as the worker with this environment reaches them.
async fn store_of(environment: &BTreeMap<String, String>) -> anyhow::Result<Store> {
    let variable = |name: &str| environment.get(name).with_context(|| format!("no {name}"));
    let key = variable("AWS_ACCESS_KEY_ID")?;
    let sdk = aws::environment::sdk_loader()
        .endpoint_url(variable("AWS_ENDPOINT_URL_DYNAMODB")?)
        .region(Region::new(variable("AWS_REGION")?.clone()))
        .credentials_provider(Credentials::from_keys(key, key, None))
        .load()
        .await;
    let client = aws_sdk_dynamodb::Client::new(&sdk);
    let tables = TableNames::with_prefix(variable("EZLIVE_TABLE_PREFIX")?);
    Ok(Store::new(client, tables))
}

/// A way to a server that can be cut as a firewall does it: silently.
struct Cuttable {
    url: String,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Cuttable {
    async fn before(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (cut, is_cut) = watch::channel(false);
        let server = server.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, server.clone(), is_cut.clone()));
            }
        });
        Ok(Self { url, cut, task })
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes until the way is cut; then holds the connection, open and
/// silent, for as long as the way exists.
async fn pass(mut client: TcpStream, server: String, mut is_cut: watch::Receiver<bool>) {
    let passing = async {
        if let Ok(mut server) = TcpStream::connect(server).await {
            // However it ends, the connection ends.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    };
    let cut = async {
        // Not cut while the way exists: it is as good as open.
        let _ = is_cut.wait_for(|cut| *cut).await;
    };
    tokio::select! {
        biased;
        () = cut => std::future::pending().await,
        () = passing => {}
    }
}
