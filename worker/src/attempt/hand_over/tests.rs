//! To whom a job goes when its worker leaves, against the embedded database.

use aws::store::Store;
use aws::store::testing::TestDatabase;
use domain::ids::JobId;
use domain::job::{Job, JobState};
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Worker, WorkerState};
use jiff::Timestamp;

use super::*;

const SIZE: WorkerSize = WorkerSize::Small;

/// A job on its worker, which was told to leave.
struct Scene {
    _database: TestDatabase,
    store: Store,
    reporter: Reporter,
}

impl Scene {
    async fn set() -> Self {
        let database = TestDatabase::start().await.unwrap();
        let store = database.store();
        let sample = include_bytes!("../../../../live_job.json");
        let spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
        let job = Job::new(JobId::generate(), spec, Timestamp::now());
        store.create_job(&job, None).await.unwrap();
        let worker = idle(&store).await;
        book(&store, &job, &worker).await;
        store.drain_worker(&worker, Timestamp::now()).await.unwrap();
        let booking = Booking {
            job: job.id,
            attempt: 1,
        };
        let reporter = Reporter {
            store: store.clone(),
            worker,
            booking,
            timing: domain::protocol::Timing::default(),
        };
        Self {
            _database: database,
            store,
            reporter,
        }
    }

    async fn job(&self) -> Job {
        let stored = self.store.job(&self.reporter.booking.job).await;
        stored.unwrap().unwrap().job
    }

    async fn change(&self, change: Change) {
        let job = self.job().await;
        let changed = job.apply(change, Timestamp::now()).unwrap();
        let written = self.store.commit(&changed, WorkerChange::None).await;
        written.unwrap();
    }

    /// Another job has this worker now.
    async fn take(&self, worker: &WorkerId) {
        let other = Job::new(JobId::generate(), self.job().await.spec, Timestamp::now());
        self.store.create_job(&other, None).await.unwrap();
        book(&self.store, &other, worker).await;
    }

    async fn hand_over(&self, to: &WorkerId) -> Result<(), NotOurs> {
        let over = HandOver {
            to: to.clone(),
            totals: Totals::default(),
        };
        self.reporter.hand_over(over).await
    }

    /// Whatever came of it: the worker has left.
    async fn has_left(&self) -> bool {
        let worker = self.store.worker(&self.reporter.worker).await;
        worker.unwrap().unwrap().state == WorkerState::Closed
    }
}

async fn idle(store: &Store) -> WorkerId {
    let now = Timestamp::now();
    let worker = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let launch = WorkerChange::Launch {
        worker: Box::new(worker.clone()),
        max_workers: None,
    };
    store.commit_worker(launch, now).await.unwrap();
    store.register_worker(&worker, now).await.unwrap();
    worker.id
}

async fn book(store: &Store, job: &Job, worker: &WorkerId) {
    let change = Change::Book {
        worker: worker.clone(),
    };
    let booked = job.apply(change, Timestamp::now()).unwrap();
    let half = WorkerChange::Book {
        worker: worker.clone(),
        booking: Booking {
            job: job.id.clone(),
            attempt: booked.job.attempt,
        },
    };
    store.commit(&booked, half).await.unwrap();
}

#[tokio::test]
async fn the_one_that_was_found_takes_it() {
    let scene = Scene::set().await;
    let (_, found) = (idle(&scene.store).await, idle(&scene.store).await);
    scene.hand_over(&found).await.unwrap();
    assert!(scene.job().await.is_booked_on(&found, 2));
    assert!(scene.has_left().await);
    let again = scene.hand_over(&found).await;
    assert_eq!(again, Err(NotOurs), "an answer that was lost");
}

#[tokio::test]
async fn another_takes_it_where_that_one_has_gone() {
    let scene = Scene::set().await;
    let (gone, other) = (idle(&scene.store).await, idle(&scene.store).await);
    scene.take(&gone).await;
    scene.hand_over(&gone).await.unwrap();
    assert!(scene.job().await.is_booked_on(&other, 2));
    assert!(scene.has_left().await);
}

#[tokio::test]
async fn with_nobody_left_it_is_handed_back() {
    let scene = Scene::set().await;
    let gone = idle(&scene.store).await;
    scene.take(&gone).await;
    scene.hand_over(&gone).await.unwrap();
    let job = scene.job().await;
    assert_eq!((job.state, job.attempt), (JobState::Created, 1));
    assert_eq!(job.reason.unwrap().code, ReasonCode::WorkerDrained);
    assert!(scene.has_left().await);
}

/// Stop wins: nobody else takes it up, and its playlists will be ended.
#[tokio::test]
async fn a_stop_that_came_in_between_ends_it() {
    let scene = Scene::set().await;
    let found = idle(&scene.store).await;
    scene.change(Change::RequestStop).await;
    scene.hand_over(&found).await.unwrap();
    let job = scene.job().await;
    assert_eq!(job.state, JobState::Stopped);
    assert!(job.ending);
    assert!(scene.has_left().await);
    let found = scene.store.worker(&found).await.unwrap().unwrap();
    assert_eq!(found.state, WorkerState::Idle);
}

#[tokio::test]
async fn a_pause_that_came_in_between_goes_along() {
    let scene = Scene::set().await;
    let found = idle(&scene.store).await;
    scene.change(Change::RequestPause).await;
    scene.hand_over(&found).await.unwrap();
    let job = scene.job().await;
    assert!(job.is_booked_on(&found, 2));
    assert_eq!(job.desired, domain::job::Desired::Pause);
}

/// A stop and the hand-over at once, whichever comes first: the job is to
/// stop, and on no worker that does not know it.
#[tokio::test]
async fn a_stop_in_the_same_moment_wins() {
    for _ in 0..8 {
        let scene = Scene::set().await;
        let found = idle(&scene.store).await;
        let stop = async {
            loop {
                let job = scene.job().await;
                let stop = job.apply(Change::RequestStop, Timestamp::now()).unwrap();
                match scene.store.commit(&stop, WorkerChange::None).await {
                    Ok(()) => return,
                    Err(CommitError::JobChanged) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let (over, ()) = tokio::join!(scene.hand_over(&found), stop);
        over.unwrap();
        let job = scene.job().await;
        assert_eq!(job.desired, domain::job::Desired::Stop);
        match job.state {
            // The worker that has it now sees it with its first beat.
            JobState::Stopping => assert!(job.is_booked_on(&found, 2)),
            state => assert_eq!((state, job.ending), (JobState::Stopped, true)),
        }
        assert!(scene.has_left().await);
    }
}

/// An ingest whose name is still on its way holds up what comes after it, but
/// not the attempt's end.
#[tokio::test]
async fn what_is_to_come_is_told_in_its_turn_and_not_waited_for_at_the_end() {
    let scene = Scene::set().await;
    let reporting = scene.reporter.clone().spawn();
    let (there, seen) = tokio::sync::oneshot::channel();
    let listens = async move {
        let () = seen.await.unwrap();
        Change::Listen { ingest: None }
    };
    reporting.tell_later(Box::pin(listens));
    reporting.tell(Change::StartInput);
    tokio::task::yield_now().await;
    assert_eq!(scene.job().await.state, JobState::Assigned);
    there.send(()).unwrap();
    while scene.job().await.state != JobState::Streaming {
        tokio::task::yield_now().await;
    }

    reporting.tell_later(Box::pin(std::future::pending()));
    reporting.tell(Change::Pause);
    reporting.drain().await;
    assert_eq!(scene.job().await.state, JobState::Paused);
}
