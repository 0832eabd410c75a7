//! Who stays and who leaves, against the embedded database.

use std::net::Ipv4Addr;

use aws::store::testing::TestDatabase;
use domain::ids::WorkerId;
use domain::protocol::{Standbys, Timing};
use domain::spec::{OperatorPolicy, WorkerSize};
use futures::future::join_all;
use tempfile::TempDir;

use super::*;

/// A fleet of idle workers.
struct Fleet {
    database: TestDatabase,
    members: Vec<Member>,
    _media: TempDir,
}

impl Fleet {
    async fn of(workers: usize, min_idle: u64) -> Self {
        let database = TestDatabase::start().await.unwrap();
        let store = database.store();
        let media = TempDir::new().unwrap();
        let size = WorkerSize::Small;
        let standbys = Standbys { min_idle, size };
        store.set_standbys(standbys).await.unwrap();
        let mut members = Vec::new();
        for _ in 0..workers {
            let now = Timestamp::now();
            let worker = Worker::booting(WorkerId::generate(), size, None, now);
            let launch = WorkerChange::Launch {
                worker: Box::new(worker.clone()),
                max_workers: None,
            };
            store.commit_worker(launch, now).await.unwrap();
            store.register_worker(&worker, now).await.unwrap();
            let leaving = CancellationToken::new();
            members.push(Member {
                config: config(worker.id, &database, &media),
                store: store.clone(),
                media: MediaStores::open(&media_url(&media), &[]).unwrap(),
                naming: None,
                draining: leaving.child_token(),
                leaving,
                alive: Alive::default(),
            });
        }
        Self {
            database,
            members,
            _media: media,
        }
    }

    async fn idle(&self) -> usize {
        let idle = self.database.store().workers(&[WorkerState::Idle]).await;
        idle.unwrap().len()
    }
}

fn media_url(media: &TempDir) -> String {
    format!("file://{}", media.path().display())
}

fn config(id: WorkerId, database: &TestDatabase, media: &TempDir) -> WorkerConfig {
    WorkerConfig {
        id,
        tables: database.tables.clone(),
        store_url: media_url(media),
        buckets: Vec::new(),
        rtmp_address: Ipv4Addr::LOCALHOST.into(),
        rtmp_ports: 1935..=1935,
        ingest_host: "127.0.0.1".to_owned(),
        zone: None,
        timing: Timing::default(),
        idle_timeout: Duration::ZERO,
        policy: OperatorPolicy::default(),
        tie: crate::ffmpeg::shim::Tie::default(),
        ffmpeg: "ffmpeg".to_owned(),
    }
}

/// All have been idle for too long and ask at the same time, again and again.
#[tokio::test]
async fn workers_that_leave_at_once_leave_enough_behind() {
    for min_idle in 0..=3 {
        let fleet = Fleet::of(4, min_idle).await;
        let mut open: Vec<&Member> = fleet.members.iter().collect();
        loop {
            let asked = join_all(open.iter().map(|member| member.leave_if_spare())).await;
            let told: Vec<Spare> = asked.into_iter().map(Result::unwrap).collect();
            assert!(fleet.idle().await as u64 >= min_idle);
            // One that was kept as it saw another leave asks again, too.
            if told.iter().all(|spare| matches!(spare, Spare::Kept)) {
                break;
            }
            let told = told.into_iter().zip(open);
            let stay = told.filter(|(spare, _)| !matches!(spare, Spare::Left));
            open = stay.map(|(_, member)| member).collect();
        }
        assert_eq!(fleet.idle().await as u64, min_idle);
    }
}

#[tokio::test]
async fn a_worker_that_was_booked_in_time_stays() {
    let fleet = Fleet::of(1, 0).await;
    let member = &fleet.members[0];
    let now = Timestamp::now();
    fleet
        .database
        .store()
        .drain_worker(&member.config.id, now)
        .await
        .unwrap();
    let spare = member.leave_if_spare().await.unwrap();
    assert!(
        matches!(spare, Spare::Unclear),
        "the look that follows tells"
    );
}

#[tokio::test]
async fn a_worker_that_has_been_idle_for_too_long_ends() {
    let fleet = Fleet::of(1, 0).await;
    let found = fleet.members[0].wait_for_booking().await.unwrap();
    assert!(matches!(found, Found::Leave));
    assert_eq!(fleet.idle().await, 0);
}
