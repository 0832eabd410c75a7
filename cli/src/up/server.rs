//! The HTTP server that the world may reach: it bounds what one who connects
//! and says nothing can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long a client may take for the head of its next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// More connections than this are not taken at the same time, however many
/// descriptors there are: each costs some memory.
const MOST_CONNECTIONS: u64 = 10_000;
/// How long to wait where no connection can be taken: for descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `ended`, then lets calls under way come to their end.
///
/// # Errors
/// The limit of descriptors can't be read.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    ended: CancellationToken,
) -> std::io::Result<()> {
    serve_within(HEADER_TIMEOUT, listener, app, ended).await
}

async fn serve_within(
    header_timeout: Duration,
    listener: TcpListener,
    app: Router,
    ended: CancellationToken,
) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(places()?));
    let connections = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    let accept_all = async {
        loop {
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = accept(&listener).await;
            let service = TowerToHyperService::new(app.clone());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // A client that breaks off is no failure of ours.
                let _ = connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = ended.cancelled() => {}
        () = accept_all => {}
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole: nothing is to be waited for.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How many connections may be open at the same time: half the descriptors
/// that this process may have, once it has asked for all it may.
fn places() -> std::io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    Ok(usize::try_from((limit / 2).min(MOST_CONNECTIONS)).unwrap_or(usize::MAX >> 3))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_only_holds_a_connection_open_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = CancellationToken::new();
        let app = Router::new().route("/", get(|| async { "there" }));
        let serving = tokio::spawn(serve_within(
            Duration::from_millis(200),
            listener,
            app,
            ended.clone(),
        ));
        for slow in ["", "GET / HTTP/1.1\r\nX-Slow: ", "GET / HTTP/1.1\r\n\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(slow.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // Cut by the server, with or without an answer before.
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.ends_with("there"), slow.ends_with("\r\n\r\n"));
        }
        ended.cancel();
        serving.await.unwrap().unwrap();
    }
}
