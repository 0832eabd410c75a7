//! The worker was told to leave: it serves on and looks at the fleet with each
//! beat, until another worker is idle or it need not wait any longer.

use aws::store::{Store, StoreError};
use domain::ids::WorkerId;
use domain::job::Reason;
use domain::protocol::{OnDrain, on_drain};
use domain::worker::{Worker, WorkerState};
use jiff::Timestamp;
use tokio::time::Instant;

use super::beat::Beat;

/// Idle workers looked at: of several that leave at once each finds one.
const LOOKED_AT: usize = 16;

/// Whether the worker is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// It stays.
    Stay,
    /// It is to leave, and serves on until another is ready.
    Draining,
    /// This one is ready for the job.
    HandOver(WorkerId),
    /// It is to leave, and nobody is ready.
    HandBack(Reason),
}

/// What a worker that is to leave has seen of the fleet.
#[derive(Debug, Default)]
pub struct Drain {
    since: Option<Instant>,
    /// The idle workers of the last look.
    seen: Vec<Worker>,
}

impl Drain {
    /// A look, with the worker's record as its beat has found it.
    pub async fn look(&mut self, beat: &Beat, worker: &Worker) -> Departure {
        let told = worker.state == WorkerState::Draining;
        if !told && !beat.draining.is_cancelled() {
            return Departure::Stay;
        }
        let since = *self.since.get_or_insert_with(|| {
            tracing::info!("told to leave: another worker is to be ready first");
            Instant::now()
        });
        if !told {
            // The looks of the scheduler see it there, and launch a standby.
            if let Err(error) = beat.store.drain_worker(&worker.id, Timestamp::now()).await {
                tracing::warn!(%error, "the fleet could not be told of the drain yet");
            }
        }
        let ready = self
            .ready(&beat.store, worker)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "could not look for another worker");
                None
            });
        match on_drain(worker, since.elapsed(), ready) {
            OnDrain::Wait => Departure::Draining,
            OnDrain::HandOver(to) => Departure::HandOver(to),
            OnDrain::HandBack(reason) => Departure::HandBack(reason),
        }
    }

    /// An idle worker whose beat has moved between two looks: the record of
    /// one that died idle stands until the sweep.
    async fn ready(
        &mut self,
        store: &Store,
        worker: &Worker,
    ) -> Result<Option<WorkerId>, StoreError> {
        let idle = store.idle_now(worker.size, LOOKED_AT).await?;
        let beats = |now: &&Worker| {
            let mut before = self.seen.iter();
            before.any(|before| before.id == now.id && before.beat != now.beat)
        };
        let ready = idle.iter().find(beats).map(|worker| worker.id.clone());
        // By chance the next look may not find those of this one.
        self.seen
            .retain(|seen| !idle.iter().any(|now| now.id == seen.id));
        self.seen.extend(idle);
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use aws::store::testing::TestDatabase;
    use aws::store::{Expected, WorkerChange};
    use domain::spec::WorkerSize;

    use super::*;

    async fn idle(store: &Store, size: WorkerSize) -> Worker {
        let now = Timestamp::now();
        let worker = Worker::booting(WorkerId::generate(), size, None, now);
        let launch = WorkerChange::Launch {
            worker: Box::new(worker.clone()),
            max_workers: None,
        };
        store.commit_worker(launch, now).await.unwrap();
        store.register_worker(&worker, now).await.unwrap()
    }

    #[tokio::test]
    async fn ready_is_who_is_idle_and_beats() {
        let database = TestDatabase::start().await.unwrap();
        let store = database.store();
        let own = idle(&store, WorkerSize::Small).await;
        store.drain_worker(&own.id, Timestamp::now()).await.unwrap();
        let (dead, large) = (
            idle(&store, WorkerSize::Small).await,
            idle(&store, WorkerSize::Large).await,
        );
        let mut drain = Drain::default();
        for _ in 0..3 {
            store.beat(&large.id, &Expected::Open, None).await.unwrap();
            store.beat(&own.id, &Expected::Open, None).await.unwrap();
            assert_eq!(drain.ready(&store, &own).await.unwrap(), None);
        }
        let alive = idle(&store, WorkerSize::Small).await;
        assert_eq!(drain.ready(&store, &own).await.unwrap(), None, "seen once");
        store.beat(&alive.id, &Expected::Open, None).await.unwrap();
        let ready = drain.ready(&store, &own).await.unwrap();
        assert_eq!(ready, Some(alive.id.clone()));
        store
            .drain_worker(&alive.id, Timestamp::now())
            .await
            .unwrap();
        store.beat(&alive.id, &Expected::Open, None).await.unwrap();
        assert_eq!(
            drain.ready(&store, &own).await.unwrap(),
            None,
            "idle no more"
        );
        assert_eq!(store.worker(&dead.id).await.unwrap(), Some(dead));
    }
}
