//! The embedded database: a DynamoDB server on loopback, kept on disk.

use std::fs::{File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use aws::store::{Store, TableNames};
use aws_credential_types::Credentials;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::dynamo;

/// Where the SDK looks for a region; the embedded database has none.
pub const REGION: &str = "local";
/// The prefix of the tables' names.
pub const TABLE_PREFIX: &str = "ezlive";

/// How often records past their time are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// The running database.
pub struct Database {
    address: SocketAddr,
    access_key: String,
    store: Store,
    server: JoinHandle<()>,
    /// Held as long as this runs: two of us on one folder would corrupt it.
    _lock: File,
}

impl Database {
    /// Opens, or makes, the database in this folder and serves it on a free
    /// loopback port until `ended`.
    ///
    /// # Errors
    /// The folder can't be written, or another `ezlive up` uses it.
    pub async fn open(folder: &Path, ended: CancellationToken) -> anyhow::Result<Self> {
        let lock = lock(folder)?;
        let path = folder.join("ezlive.db");
        make_private(&path)
            .with_context(|| format!("{} can't be kept from others", path.display()))?;
        let opened = dynoxide::Database::new(&path.to_string_lossy());
        let database = match opened {
            Ok(database) => database,
            Err(error) => bail!("the database {} can't be opened: {error}", path.display()),
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no loopback port for the embedded database")?;
        let address = listener.local_addr()?;
        let access_key = uuid::Uuid::new_v4().simple().to_string();
        let router = dynamo::router(database.clone(), &access_key);
        let server = tokio::spawn(serve(listener, router, database, ended));
        let credentials = Credentials::new(&access_key, &access_key, None, None, "ezlive up");
        let sdk = aws::environment::sdk_loader()
            .endpoint_url(format!("http://{address}"))
            .region(aws_config::Region::new(REGION))
            .credentials_provider(credentials)
            .load()
            .await;
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        Ok(Self {
            address,
            access_key,
            store: Store::new(client, TableNames::with_prefix(TABLE_PREFIX)),
            server,
            _lock: lock,
        })
    }

    /// The records in it.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The access key it asks for, new at each start: a secret of this
    /// process and its workers.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Waits until it has closed its files, after `ended`.
    pub async fn closed(self) {
        // It ends by itself; a panic in it has been printed.
        let _ = self.server.await;
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    database: dynoxide::Database,
    ended: CancellationToken,
) {
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(ended.cancelled_owned())
        .into_future();
    tokio::pin!(served);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    // A machine that slept has one pass to make up for, not many.
    expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            result = &mut served => {
                if let Err(error) = result {
                    tracing::error!(%error, "the embedded database ended");
                }
                return;
            }
            _ = expire.tick() => {
                let database = database.clone();
                // Not waited for: the server goes on meanwhile.
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = database.sweep_ttl() {
                        tracing::warn!(%error, "old records could not be removed");
                    }
                });
            }
        }
    }
}

/// Makes the database's files this user's alone, as its records hold stream
/// keys: the folder may have been there before us, open to others. SQLite gives
/// the files that it adds the rights of the database.
fn make_private(path: &Path) -> std::io::Result<()> {
    const MODE: u32 = 0o600;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(MODE);
    options.open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::set_permissions(file, Permissions::from_mode(MODE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let shown = folder.display();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| {
            format!("the data folder {shown} can't be written; give another by --data DIR")
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another `ezlive up` uses the data folder {shown}; stop it, or give another by --data DIR"
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("the data folder {shown} can't be locked"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_client_makes_and_reads_the_tables() {
        let folder = tempfile::tempdir().unwrap();
        let ended = CancellationToken::new();
        let database = Database::open(folder.path(), ended.clone()).await.unwrap();
        database.store().create_tables().await.unwrap();
        let workers = database.store().workers(&[]).await.unwrap();
        assert!(workers.is_empty());
        let any = domain::ids::JobId::generate();
        assert_eq!(database.store().job(&any).await.unwrap(), None);
        ended.cancel();
        database.closed().await;
    }

    /// Whatever the folder lets others do, and whatever the files did.
    #[tokio::test]
    async fn nobody_else_reads_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let open_to_all = |path: &Path| {
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        };
        open_to_all(folder.path());
        for _ in 0..2 {
            let ended = CancellationToken::new();
            let database = Database::open(folder.path(), ended.clone()).await.unwrap();
            database.store().create_tables().await.unwrap();
            let files: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|file| file.unwrap().path())
                .filter(|file| file.file_stem().is_some_and(|name| name == "ezlive"))
                .collect();
            assert!(files.len() > 1, "{files:?}");
            for file in &files {
                let mode = file.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{}", file.display());
                open_to_all(file);
            }
            ended.cancel();
            database.closed().await;
        }
    }
}
