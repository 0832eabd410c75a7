//! A database for tests, here and in other crates.

use std::io;
use std::net::SocketAddr;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Store, TableNames};

/// An embedded database in memory, with its tables; gone when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// For what the store does not offer, as spoiling a record.
    pub client: Client,
    /// What its tables are called.
    pub tables: TableNames,
    _stop: oneshot::Sender<()>,
}

impl TestDatabase {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    /// There is no port, or the database did not start.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = client(listener.local_addr()?).await;
        let database =
            dynoxide::Database::memory().map_err(|error| io::Error::other(error.to_string()))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = async {
            // Dropped, it says so too.
            drop(stopped.await);
        };
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener, database, ended,
        ));
        let database = Self::of(client, stop);
        let made = database.store().create_tables().await;
        made.map_err(io::Error::other)?;
        Ok(database)
    }

    /// One that is not there: nobody answers.
    ///
    /// # Errors
    /// There is no port.
    pub async fn away() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = client(listener.local_addr()?).await;
        Ok(Self::of(client, oneshot::channel().0))
    }

    fn of(client: Client, stop: oneshot::Sender<()>) -> Self {
        Self {
            client,
            tables: TableNames::with_prefix("test"),
            _stop: stop,
        }
    }

    /// The records in it.
    pub fn store(&self) -> Store {
        Store::new(self.client.clone(), self.tables.clone())
    }
}

/// A client that tries once.
async fn client(address: SocketAddr) -> Client {
    let sdk = crate::environment::sdk_loader()
        .endpoint_url(format!("http://{address}"))
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::from_keys("test", "test", None))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Client::new(&sdk)
}
