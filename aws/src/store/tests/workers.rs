//! Workers: registering, beats, the idle, and who is closed.

use super::*;

#[tokio::test]
async fn only_a_launched_worker_registers_and_only_once() {
    let records = Records::new().await;
    let now = Timestamp::now();
    let unknown = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let refused = records.store.register_worker(&unknown, now).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    let worker = records.idle().await;
    assert_eq!((worker.state, worker.beat), (WorkerState::Idle, 1));
    // Repeated by the SDK after a lost answer; later it is somebody else's.
    let booting = Worker {
        state: WorkerState::Booting,
        ..worker.clone()
    };
    let repeated = records.store.register_worker(&booting, now).await.unwrap();
    assert_eq!(repeated, worker);
    records
        .store
        .beat(&worker.id, &Expected::Open, None)
        .await
        .unwrap();
    let again = records.store.register_worker(&booting, now).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    // Given up before it came.
    let given_up = Worker::booting(WorkerId::generate(), SIZE, None, now);
    records
        .store
        .commit_worker(launch(&given_up, None), now)
        .await
        .unwrap();
    records
        .store
        .commit_worker(close(&given_up, Some(0)), now)
        .await
        .unwrap();
    let late = records.store.register_worker(&given_up, now).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    let task = records.store.note_task(&given_up.id, "task").await;
    assert!(matches!(task, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_beat_needs_the_booking_it_believes_in() {
    let records = Records::new().await;
    let (job, worker, booking) = records.booked().await;
    let believed = Expected::Booked(booking.clone());
    let stats = Stats {
        fps: 25.0,
        ..Stats::default()
    };
    // Repeated after a lost answer it is as good as another beat.
    for beats in 1..=2 {
        let beaten = records
            .store
            .beat(&worker.id, &believed, Some(&stats))
            .await
            .unwrap();
        assert_eq!(beaten.beat, worker.beat + beats);
        assert_eq!(beaten.stats.as_ref(), Some(&stats));
    }
    let without = records.store.beat(&worker.id, &believed, None).await;
    assert_eq!(without.unwrap().stats, None);
    for wrong in [
        Booking {
            attempt: 2,
            ..booking.clone()
        },
        Booking {
            job: JobId::generate(),
            ..booking
        },
    ] {
        let wrong = Expected::Booked(wrong);
        let beaten = records.store.beat(&worker.id, &wrong, None).await;
        assert!(matches!(beaten, Err(StoreError::Conflict)));
    }
    records.apply(&job, lost(), close(&worker, None)).await;
    for expected in [believed, Expected::Open] {
        let beaten = records.store.beat(&worker.id, &expected, None).await;
        assert!(matches!(beaten, Err(StoreError::Conflict)), "{expected:?}");
    }
    let unknown = WorkerId::generate();
    let beaten = records.store.beat(&unknown, &Expected::Open, None).await;
    assert!(matches!(beaten, Err(StoreError::Conflict)), "{beaten:?}");
    assert_eq!(records.store.worker(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn the_idle_are_listed_and_nobody_else() {
    let records = Records::new().await;
    let worker = records.idle().await;
    assert_eq!(records.idle_ids().await, std::slice::from_ref(&worker.id));
    let (job, booked, booking) = records.booked().await;
    let idle = records.idle_ids().await;
    assert!(!idle.contains(&booked.id) || !idle.contains(&worker.id));
    let large = records
        .store
        .idle_workers(WorkerSize::Large, &WorkerId::generate(), 10)
        .await;
    assert!(large.unwrap().is_empty());

    // Released it is there again, with nothing left of the booking.
    let finish = Change::Finish {
        reason: None,
        totals: Totals::default(),
        playlists_ended: true,
    };
    let release = WorkerChange::Release {
        worker: booked.id.clone(),
        booking,
    };
    records.apply(&job, finish, release).await;
    let freed = records.worker(&booked.id).await;
    assert_eq!((freed.state, freed.booking), (WorkerState::Idle, None));
    assert!(records.idle_ids().await.contains(&booked.id));

    records
        .store
        .drain_worker(&booked.id, Timestamp::now())
        .await
        .unwrap();
    assert!(!records.idle_ids().await.contains(&booked.id));
}

/// Wherever the search begins, it comes round to all.
#[tokio::test]
async fn the_search_for_the_idle_comes_round() {
    let records = Records::new().await;
    for _ in 0..5 {
        records.idle().await;
    }
    for _ in 0..20 {
        let mut ids = records.idle_ids().await;
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }
    let from = WorkerId::generate();
    let few = records.store.idle_workers(SIZE, &from, 3).await.unwrap();
    assert_eq!(few.len(), 3);
}

#[tokio::test]
async fn a_draining_worker_is_not_freed_but_leaves() {
    let records = Records::new().await;
    let (job, worker, booking) = records.booked().await;
    let now = Timestamp::now();
    records.store.drain_worker(&worker.id, now).await.unwrap();
    let finish = Change::Finish {
        reason: None,
        totals: Totals::default(),
        playlists_ended: true,
    };
    let finished = job.apply(finish, now).unwrap();
    let release = WorkerChange::Release {
        worker: worker.id.clone(),
        booking,
    };
    let freed = records.store.commit(&finished, release).await;
    assert!(matches!(freed, Err(CommitError::WorkerChanged)));
    records
        .store
        .commit(&finished, close(&worker, None))
        .await
        .unwrap();
    assert_eq!(records.live().await, 0);
}

#[tokio::test]
async fn a_close_depends_on_the_beat_that_was_seen() {
    let records = Records::new().await;
    let now = Timestamp::now();
    let worker = records.idle().await;
    let stale = records
        .store
        .commit_worker(close(&worker, Some(worker.beat - 1)), now)
        .await;
    assert!(matches!(stale, Err(CommitError::WorkerChanged)));
    // A booking counts as a movement.
    let (_, booked, _) = records.booked().await;
    let seen_idle = records
        .store
        .commit_worker(close(&booked, Some(1)), now)
        .await;
    assert!(matches!(seen_idle, Err(CommitError::WorkerChanged)));
    // Twice gone is once counted.
    for first in [true, false] {
        let closed = records
            .store
            .commit_worker(close(&worker, Some(worker.beat)), now)
            .await;
        assert_eq!(closed.is_ok(), first);
    }
    let nobody = Worker::booting(WorkerId::generate(), SIZE, None, now);
    let closed = records.store.commit_worker(close(&nobody, None), now).await;
    assert!(matches!(closed, Err(CommitError::WorkerChanged)));
}
