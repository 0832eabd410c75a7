//! What a placement asks of DynamoDB, and that schedulers at work at once
//! neither book a worker twice nor a job: `bench-scheduling`, in small.

use std::collections::BTreeMap;

use tests::scheduling::{Calls, Placed, Rush};

const QUERY: &str = "Query";

/// Five jobs, one after the other, on a fleet of this size.
async fn five_on(workers: usize, min_idle: u64) -> anyhow::Result<Calls> {
    let rush = Rush {
        workers,
        jobs: 5,
        schedulers: 1,
        min_idle,
    };
    let Placed {
        calls,
        sent_again,
        launched,
        ..
    } = rush.place().await?;
    assert_eq!((calls.conflicts, sent_again, launched), (0, 0, 0));
    Ok(calls)
}

fn without_queries(mut calls: Calls) -> BTreeMap<String, u64> {
    calls.by_operation.remove(QUERY);
    calls.by_operation
}

fn named<const N: usize>(calls: [(&str, u64); N]) -> BTreeMap<String, u64> {
    calls.map(|(name, calls)| (name.to_owned(), calls)).into()
}

/// The index of idle workers is read from a random point on, by one query, or
/// two where its end comes before the page is full: always with few workers,
/// seldom with many.
#[tokio::test]
async fn a_placement_takes_as_many_calls_in_a_large_fleet_as_in_a_small_one() {
    let (few, many) = (
        five_on(10, 0).await.unwrap(),
        five_on(500, 0).await.unwrap(),
    );
    assert_eq!(few.of(QUERY), 10);
    assert!((5..=10).contains(&many.of(QUERY)), "{many:?}");
    for calls in [few, many] {
        let expected = [("GetItem", 10), ("TransactWriteItems", 5)];
        assert_eq!(without_queries(calls), named(expected));
    }
}

#[tokio::test]
async fn so_it_does_where_standbys_are_kept() {
    let (few, many) = (
        five_on(10, 3).await.unwrap(),
        five_on(500, 3).await.unwrap(),
    );
    // For the idle twice or once, for the idle and the booting to be counted.
    assert!((15..=25).contains(&few.of(QUERY)), "{few:?}");
    assert!((15..=25).contains(&many.of(QUERY)), "{many:?}");
    for calls in [few, many] {
        let expected = [
            ("BatchGetItem", 5),
            ("GetItem", 15),
            ("TransactWriteItems", 5),
        ];
        assert_eq!(without_queries(calls), named(expected));
    }
}

/// That each is placed once, and on a worker of its own, [`Rush::place`] makes
/// sure of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedulers_at_once_place_every_job_once_and_launch_nothing() {
    for workers in [500, 60] {
        let rush = Rush {
            workers,
            jobs: 60,
            schedulers: 8,
            min_idle: 0,
        };
        let placed = rush.place().await.unwrap();
        assert_eq!((placed.sent_again, placed.launched), (0, 0), "{placed:?}");
        let bookings = placed.calls.of("TransactWriteItems");
        assert_eq!(bookings, 60 + placed.calls.conflicts, "{placed:?}");
    }
}
