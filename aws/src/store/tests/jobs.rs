//! Jobs: transitions, history, listing, and the chain of looks.

use futures::future::join_all;

use super::*;

#[tokio::test]
async fn a_transition_is_written_whole_or_not_at_all() {
    let records = Records::new().await;
    let (job, worker) = (records.job().await, records.idle().await);
    let transition = job.apply(book(&worker), Timestamp::now()).unwrap();
    records
        .store
        .commit(&transition, takes(&worker, 1, &job))
        .await
        .unwrap();
    // Again, from the version before; and for a worker that is taken.
    let other = records.idle().await;
    let again = records
        .store
        .commit(&transition, takes(&other, 1, &job))
        .await;
    assert!(matches!(again, Err(CommitError::JobChanged)), "{again:?}");
    assert_eq!(records.worker(&other.id).await, other);

    let late = records.job().await;
    let late_booked = late.apply(book(&worker), Timestamp::now()).unwrap();
    let taken = records
        .store
        .commit(&late_booked, takes(&worker, 1, &late))
        .await;
    assert!(
        matches!(taken, Err(CommitError::WorkerChanged)),
        "{taken:?}"
    );
    let read = records.store.job(&late.id).await.unwrap().unwrap();
    assert_eq!(read.job, late);
    let events = records.store.events(&late.id, 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn events_come_in_the_order_of_the_transitions() {
    let records = Records::new().await;
    let (job, worker, _) = records.booked().await;
    let job = records.apply(&job, lost(), close(&worker, None)).await;
    let job = records
        .apply(&job, Change::RequestStop, WorkerChange::None)
        .await;
    let events = records.store.events(&job.id, 0, 10).await.unwrap();
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert!(events.windows(2).all(|two| two[1].from == Some(two[0].to)));
    assert_eq!(
        records.store.events(&job.id, 2, 1).await.unwrap(),
        events[2..3]
    );
}

#[tokio::test]
async fn an_idempotency_key_gives_one_job() {
    let records = Records::new().await;
    let key = |body: &str| Idempotency {
        key: "key".to_owned(),
        body: body.to_owned(),
    };
    let jobs: Vec<Job> = (0..8).map(|_| job()).collect();
    let one = key("one");
    let created = join_all(
        jobs.iter()
            .map(|job| records.store.create_job(job, Some(&one))),
    )
    .await;
    let new: Vec<_> = created
        .iter()
        .zip(&jobs)
        .filter(|(created, _)| matches!(created, Ok(Created::New)))
        .collect();
    assert_eq!(new.len(), 1);
    let winner = &new[0].1.id;
    let later = records.store.create_job(&job(), Some(&one)).await.unwrap();
    assert_eq!(later, Created::Before(winner.clone()));
    let other_body = records.store.create_job(&job(), Some(&key("two"))).await;
    assert_eq!(other_body.unwrap(), Created::KeyReused);
    let page = records.store.jobs(&JobState::ALL, 100, None).await.unwrap();
    assert_eq!(page.jobs.len(), 1);
}

#[tokio::test]
async fn a_chain_of_looks_does_not_fork() {
    let records = Records::new().await;
    let (job, ..) = records.booked().await;
    let messages: Vec<String> = (0..8).map(|look| format!("message {look}")).collect();
    let advance = |seq, by| records.store.advance_watch(&job.id, 1, seq, by);
    let looks = join_all(messages.iter().map(|by| advance(0, by))).await;
    assert_eq!(looks.iter().filter(|look| look.is_ok()).count(), 1);
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!((stored.watch_seq, stored.job.version), (1, job.version));
    for (attempt, seq) in [(1, 0), (2, 1), (1, 2)] {
        let look = records.store.advance_watch(&job.id, attempt, seq, "late");
        assert!(matches!(look.await, Err(StoreError::Conflict)));
    }
    // The winner may say it again, as its answer may have been lost.
    let winner = stored.watch_by.unwrap();
    advance(0, &winner).await.unwrap();
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!(stored.watch_seq, 1);
    assert_eq!(stored.watch_seq_for(&winner), 0);
    assert_eq!(stored.watch_seq_for("another"), 1);
    // A transition leaves the chain where it is.
    records
        .apply(&job, Change::RequestPause, WorkerChange::None)
        .await;
    let stored = records.store.job(&job.id).await.unwrap().unwrap();
    assert_eq!(stored.watch_seq, 1);
    advance(1, "next").await.unwrap();
    let late = advance(0, &winner).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_job_that_is_gone_comes_not_back_by_a_late_write() {
    let records = Records::new().await;
    let job = records.job().await;
    let stopped = records
        .apply(&job, Change::RequestStop, WorkerChange::None)
        .await;
    let stale = records.store.delete_job(&job).await;
    assert!(matches!(stale, Err(CommitError::JobChanged)));
    records.store.delete_job(&stopped).await.unwrap();
    let resumed = stopped
        .apply(Change::RequestResume, Timestamp::now())
        .unwrap();
    let written = records.store.commit(&resumed, WorkerChange::None).await;
    assert!(matches!(written, Err(CommitError::JobChanged)));
    for look in [
        records.store.advance_watch(&job.id, 0, 0, "late").await,
        records.store.note_watch(&job.id, 0).await,
    ] {
        assert!(matches!(look, Err(StoreError::Conflict)));
    }
    assert_eq!(records.store.job(&job.id).await.unwrap(), None);
    assert!(
        records
            .store
            .events(&job.id, 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let records = Records::new().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(records.job().await.id);
    }
    ids.reverse();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = records
            .store
            .jobs(&JobState::ALL, 3, before.as_ref())
            .await
            .unwrap();
        assert!(page.jobs.len() <= 3);
        listed.extend(page.jobs.into_iter().map(|job| job.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
}
