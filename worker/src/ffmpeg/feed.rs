//! FFmpeg's standard input, where the worker feeds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, watch};

use super::run::Want;
use super::stall::Flow;

/// How many chunks may wait for FFmpeg: less than a second of FLV tags.
const WAITING: usize = 32;

/// Where input for FFmpeg goes. Dropping it ends the input, and so the run.
#[derive(Debug)]
pub struct Feed {
    chunks: mpsc::Sender<Bytes>,
}

/// FFmpeg takes no more input: it has ended, or was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("FFmpeg takes no more input")]
pub struct FeedClosed;

impl Feed {
    /// Hands on a chunk; waits while FFmpeg is behind. Cancelling the wait
    /// hands on nothing.
    pub async fn write(&self, chunk: Bytes) -> Result<(), FeedClosed> {
        self.chunks.send(chunk).await.map_err(|_| FeedClosed)
    }
}

/// The two ends of a feed.
pub(super) fn feed() -> (Feed, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Feed { chunks: sender }, receiver)
}

/// Writes what comes in to FFmpeg until either end closes, or the run is to
/// end: then it still writes what waits.
pub(super) async fn pump(
    mut chunks: mpsc::Receiver<Bytes>,
    mut stdin: ChildStdin,
    mut want: watch::Receiver<Want>,
    flow: Arc<Flow>,
) {
    let mut open = true;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            // Also when the run's owner is gone.
            _ = want.wait_for(|want| *want != Want::Go), if open => {
                open = false;
                chunks.close();
                continue;
            }
        };
        let Some(chunk) = chunk else { break };
        flow.feed_waits.store(true, Ordering::Relaxed);
        let written = stdin.write_all(&chunk).await;
        flow.feed_waits.store(false, Ordering::Relaxed);
        // A broken pipe: FFmpeg has gone; its exit tells why.
        if written.is_err() {
            break;
        }
        flow.fed.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}
