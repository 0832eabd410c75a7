//! The embedded database: a DynamoDB server on loopback, kept on disk.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use aws::store::{Store, TableNames};
use aws_credential_types::Credentials;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the SDK looks for a region; the embedded database has none.
pub const REGION: &str = "local";
/// The embedded database takes any credentials.
pub const CREDENTIALS: &str = "local";
/// The prefix of the tables' names.
pub const TABLE_PREFIX: &str = "ezlive";

/// How often records past their time are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);

/// The running database.
pub struct Database {
    address: SocketAddr,
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
        let opened = dynoxide::Database::new(&path.to_string_lossy());
        let database = match opened {
            Ok(database) => database,
            Err(error) => bail!("the database {} can't be opened: {error}", path.display()),
        };
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no loopback port for the embedded database")?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, database, ended));
        let credentials = Credentials::new(CREDENTIALS, CREDENTIALS, None, None, "ezlive up");
        let sdk = aws::environment::sdk_loader()
            .endpoint_url(format!("http://{address}"))
            .region(aws_config::Region::new(REGION))
            .credentials_provider(credentials)
            .load()
            .await;
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        Ok(Self {
            address,
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

    /// Waits until it has closed its files, after `ended`.
    pub async fn closed(self) {
        // It ends by itself; a panic in it has been printed.
        let _ = self.server.await;
    }
}

async fn serve(listener: TcpListener, database: dynoxide::Database, ended: CancellationToken) {
    let shutdown = ended.clone().cancelled_owned();
    let served = dynoxide::server::serve_with_shutdown(listener, database.clone(), shutdown);
    tokio::pin!(served);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tokio::select! {
            result = &mut served => {
                if let Err(error) = result {
                    tracing::error!(error, "the embedded database ended");
                }
                return;
            }
            _ = expire.tick() => {
                let database = database.clone();
                let swept = tokio::task::spawn_blocking(move || {
                    database.sweep_ttl().map_err(|error| error.to_string())
                });
                if let Ok(Err(error)) = swept.await {
                    tracing::warn!(error, "old records could not be removed");
                }
            }
        }
    }
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
