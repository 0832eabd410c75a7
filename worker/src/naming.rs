//! The stable name of a job's ingest, where the operator has a zone: on its
//! way to this worker beside the attempt's loop.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use aws::names::{IngestNames, NameError, Pointed};
use domain::ids::JobId;
use domain::job::Ingest;
use domain::protocol::Timing;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::backoff::Backoff;

/// How long publishers are not told of an ingest that is to have a name:
/// Route 53 says that a new one is everywhere within a minute. Then they are
/// told the address.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pauses between two tries: an account has five calls a second, and all
/// its workers are told of an outage at once.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8)).with_jitter();
/// How often it is asked whether a new name is everywhere.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// How long a name's end may take.
const RELEASE: Duration = Duration::from_secs(5);

/// What a worker names its ingests with.
#[derive(Debug, Clone)]
pub struct Naming {
    names: Arc<IngestNames>,
    address: Ipv4Addr,
    timing: Timing,
}

/// Whose name it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The job.
    pub job: JobId,
    /// Its attempt.
    pub attempt: u64,
}

impl Naming {
    /// Names for ingests at this address.
    pub fn new(names: IngestNames, address: Ipv4Addr, timing: Timing) -> Self {
        Self {
            names: Arc::new(names),
            address,
            timing,
        }
    }

    /// Points the job's name at this worker, again and again until it is.
    pub fn point(&self, holder: Holder) -> (Pointing, PointedAt) {
        let (there, seen) = oneshot::channel();
        let stop = CancellationToken::new();
        let at = PointedAt {
            host: self.names.of(&holder.job),
            seen,
            patience: self.timing.paced(PATIENCE),
        };
        let (naming, stopped) = (self.clone(), stop.clone());
        let pointing = async move {
            if naming.keep_at_it(&holder, &stopped).await {
                // Nobody waits any more: it is pointed all the same.
                let _ = there.send(());
            }
        };
        let task = tokio::spawn(pointing.in_current_span());
        (Pointing { stop, task }, at)
    }

    /// Whether the name is pointed here, and everywhere known.
    async fn keep_at_it(&self, holder: &Holder, stop: &CancellationToken) -> bool {
        let mut backoff = PAUSES;
        let new = loop {
            let pointed = self.names.point(&holder.job, holder.attempt, self.address);
            match pointed.await {
                Ok(Pointed::Moved) => return true,
                Ok(Pointed::New(change)) => break change,
                Err(error @ NameError::Fenced { .. }) => {
                    tracing::warn!(%error, "the ingest's name is not ours");
                    return false;
                }
                Err(error) => tracing::warn!(%error, "the ingest's name does not lead here yet"),
            }
            if self.sleep(backoff.pause(), stop).await {
                return false;
            }
        };
        loop {
            match self.names.is_everywhere(&new).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "not known whether the ingest's name is there")
                }
            }
            if self.sleep(ASK_EVERY, stop).await {
                return false;
            }
        }
    }

    /// Whether it was stopped meanwhile.
    async fn sleep(&self, pause: Duration, stop: &CancellationToken) -> bool {
        let awake = tokio::time::sleep(self.timing.paced(pause));
        stop.run_until_cancelled(awake).await.is_none()
    }

    /// Takes the name of a job that has ended away; whether that is done.
    pub async fn release(&self, holder: &Holder) -> bool {
        let release = self.names.release(&holder.job, holder.attempt);
        match tokio::time::timeout(self.timing.paced(RELEASE), release).await {
            Ok(Ok(())) | Ok(Err(NameError::Fenced { .. })) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the ingest's name still leads here");
                false
            }
            Err(_) => false,
        }
    }
}

/// A name on its way. Dropped, it stops at once.
#[derive(Debug)]
pub struct Pointing {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Pointing {
    /// Stops between two calls: what was sent has been answered.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic in it has been printed.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Pointing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a name comes to be pointed.
#[derive(Debug)]
pub struct PointedAt {
    host: String,
    seen: oneshot::Receiver<()>,
    patience: Duration,
}

impl PointedAt {
    /// The ingest by its name, once that leads here; where that takes too
    /// long, by its address.
    pub async fn ingest(self, by: impl Fn(&str) -> Ingest, address: &str) -> Ingest {
        match tokio::time::timeout(self.patience, self.seen).await {
            Ok(Ok(())) => by(&self.host),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    host = self.host,
                    "publishers are told the address, not the name"
                );
                by(address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seen: oneshot::Receiver<()>) -> PointedAt {
        PointedAt {
            host: "x.live.example.com".to_owned(),
            seen,
            patience: PATIENCE,
        }
    }

    async fn told(at: PointedAt) -> String {
        let by = |host: &str| Ingest {
            protocol: "rtmp".to_owned(),
            url: host.to_owned(),
            port: 1935,
        };
        at.ingest(by, "203.0.113.1").await.url
    }

    #[tokio::test(start_paused = true)]
    async fn publishers_are_told_the_name_once_it_is_there_else_the_address() {
        let (there, seen) = oneshot::channel();
        there.send(()).unwrap();
        assert_eq!(told(at(seen)).await, "x.live.example.com");
        let (never, seen) = oneshot::channel::<()>();
        assert_eq!(told(at(seen)).await, "203.0.113.1");
        drop(never);
        let (fenced, seen) = oneshot::channel::<()>();
        drop(fenced);
        let before = tokio::time::Instant::now();
        assert_eq!(told(at(seen)).await, "203.0.113.1");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
