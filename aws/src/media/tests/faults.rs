//! A channel on a store that fails, with writers that die and freeze.

use super::super::ChannelError;
use super::super::check::{Fault, Manifest};
use super::super::{delete_media, end_channel};
use super::*;
use futures::StreamExt;

/// Long enough that segments leave the window and are deleted.
const SEGMENTS: u64 = 7;

/// One attempt: two runs and an end. Stops at the first error.
async fn attempt(world: &World, store: MediaStore, attempt: u64) -> Result<(), ChannelError> {
    let mut channel = world.claim(store, attempt).await?;
    for run in 1..=2 {
        world.wait(1);
        world.start_run(&mut channel, run);
        for n in 0..SEGMENTS {
            world.publish(&mut channel, n).await?;
        }
    }
    world.end(&mut channel).await
}

/// How many operations an undisturbed attempt takes.
async fn operations() -> u64 {
    let world = World::new();
    let (store, faults) = world.faulty();
    attempt(&world, store, 1).await.unwrap();
    faults.operations()
}

fn shown(world: &World) -> (u64, bool) {
    match world
        .checked
        .rules()
        .manifest(&format!("{}/video.m3u8", world.job))
    {
        Some(Manifest::Media(playlist)) => (playlist.next_sequence(), playlist.ended),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_writer_may_die_at_any_operation() {
    for operation in 0..operations().await {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let what = format!("{fault:?} at operation {operation}");
            let world = World::new();
            let (store, faults) = world.faulty();
            faults.plan(operation, fault);
            let died = attempt(&world, store, 1).await;
            // The last operation may be a deletion, which may fail.
            assert!(
                matches!(died, Err(ChannelError::Retry(_)) | Ok(())),
                "{what}: {died:?}"
            );

            world.wait(8);
            attempt(&world, world.store(), 2).await.unwrap();
            world.assert_in_order(&what);
            assert!(shown(&world).1, "{what}: ended");
        }
    }
}

#[tokio::test]
async fn a_successor_may_die_as_well() {
    let operations = operations().await;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let world = World::new();
        let mut plan = Vec::new();
        for number in 1..=3 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let fault = if seed >> 63 == 0 {
                Fault::CrashBefore
            } else {
                Fault::CrashAfter
            };
            let operation = (seed >> 32) % operations;
            plan.push((operation, fault));
            let (store, faults) = world.faulty();
            faults.plan(operation, fault);
            let _ = attempt(&world, store, number).await;
            world.wait(8);
        }
        attempt(&world, world.store(), 4).await.unwrap();
        world.assert_in_order(&format!("round {round}: {plan:?}"));
    }
}

#[tokio::test]
async fn one_failure_costs_no_segment() {
    for operation in 0..operations().await {
        for fault in [Fault::Before, Fault::After] {
            let what = format!("{fault:?} at operation {operation}");
            let world = World::new();
            let (store, faults) = world.faulty();
            faults.plan(operation, fault);
            persistent(&world, store).await.unwrap();
            world.assert_in_order(&what);
            assert_eq!(shown(&world), (2 * SEGMENTS, true), "{what}");
        }
    }
}

/// As `attempt`, but every call is repeated until it succeeds.
async fn persistent(world: &World, store: MediaStore) -> Result<(), ChannelError> {
    let mut channel = loop {
        match world.claim(store.clone(), 1).await {
            Err(ChannelError::Retry(_)) => {}
            other => break other?,
        }
    };
    for run in 1..=2 {
        world.start_run(&mut channel, run);
        for n in 0..SEGMENTS {
            world.wait(4);
            channel.begin_segment(tracks(n), world.now()).unwrap();
            drive(world, &mut channel).await?;
        }
    }
    channel.begin_end(world.now()).unwrap();
    drive(world, &mut channel).await
}

async fn drive(world: &World, channel: &mut Channel) -> Result<(), ChannelError> {
    loop {
        match channel.drive(&|| world.now()).await {
            Err(ChannelError::Retry(_)) => {}
            other => return other,
        }
    }
}

/// The zombie freezes before an operation, a successor takes over, and the
/// zombie goes on where it was, as a stopped process or a late packet does.
#[tokio::test]
async fn a_zombie_writes_nothing_after_its_successor() {
    for operation in 0..operations().await {
        let what = format!("frozen at operation {operation}");
        let world = World::new();
        let (store, faults) = world.faulty();
        faults.plan(operation, Fault::Freeze);
        let zombie = tokio::spawn({
            let world = world.clone();
            async move { attempt(&world, store, 1).await }
        });
        faults.frozen().await;

        let mut channel = world.claim(world.store(), 2).await.unwrap();
        world.start_run(&mut channel, 1);
        world.publish(&mut channel, 0).await.unwrap();
        faults.thaw();
        let end = zombie.await.unwrap();
        // Frozen at its last deletion it has nothing more to write.
        assert!(
            matches!(end, Err(ChannelError::Fenced { holder: 2 }) | Ok(())),
            "{what}: {end:?}"
        );
        for n in 1..SEGMENTS {
            world.publish(&mut channel, n).await.unwrap();
        }
        world.end(&mut channel).await.unwrap();
        world.assert_in_order(&what);
    }
}

/// Both write as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_race_never_mix() {
    for _ in 0..20 {
        let world = World::new();
        let race = |number| {
            let world = world.clone();
            tokio::spawn(async move { attempt(&world, world.store(), number).await })
        };
        let (low, high) = (race(1), race(2));
        let (low, high) = (low.await.unwrap(), high.await.unwrap());
        assert!(high.is_ok(), "{high:?}");
        assert!(
            matches!(low, Ok(()) | Err(ChannelError::Fenced { .. })),
            "{low:?}"
        );
        // Their clocks run together here, so the rule on deletions holds too.
        world.assert_in_order("race");
        assert!(shown(&world).1);
    }
}

/// Two schedulers may end a channel in the name of the same attempt at the
/// same time: the slower one takes back nothing of the faster one's.
#[tokio::test]
async fn ends_of_the_same_attempt_may_meet() {
    // Timeline, four playlists: each is read, and written.
    for operation in 0..10 {
        let world = World::new();
        let mut channel = world.claim(world.store(), 1).await.unwrap();
        world.start_run(&mut channel, 1);
        world.publish(&mut channel, 0).await.unwrap();
        let (store, faults) = world.faulty();
        faults.plan(operation, Fault::Freeze);
        let clock = || world.now();
        let slow = end_channel(store, &world.job, 2, &clock);
        let fast = async {
            faults.frozen().await;
            let ended = end_channel(world.store(), &world.job, 2, &clock).await;
            faults.thaw();
            ended
        };
        let (slow, fast) = futures::future::join(slow, fast).await;
        fast.unwrap();
        let what = format!("frozen at operation {operation}");
        assert!(
            matches!(slow, Ok(()) | Err(ChannelError::Retry(_))),
            "{what}: {slow:?}"
        );
        world.assert_in_order(&what);
        assert!(shown(&world).1, "{what}: ended");
    }
}

/// What is there under a world's job.
async fn left(store: &InMemory) -> Vec<String> {
    let listed = store.list(None);
    let names = listed.filter_map(async |meta| Some(meta.ok()?.location.to_string()));
    names.collect().await
}

/// Whoever still writes while a channel is deleted, and after, leaves nothing
/// behind: an end in the name of the last attempt, a worker, or one that is
/// about to create its playlists.
#[tokio::test]
async fn a_deletion_fences_whoever_still_writes() {
    for operation in 0..24 {
        for (by_worker, published) in [(false, true), (true, true), (true, false)] {
            let memory = Arc::new(InMemory::new());
            let world = World::on(memory.clone());
            let store = MediaStore::new(memory.clone());
            let faults = Faults::default();
            let slow = MediaStore::new(Arc::new(Faulty::new(memory.clone(), faults.clone())));
            let clock = || world.now();
            let mut channel = world.claim(slow.clone(), 1).await.unwrap();
            world.start_run(&mut channel, 1);
            if published {
                world.publish(&mut channel, 0).await.unwrap();
            }
            faults.plan(faults.operations() + operation, Fault::Freeze);
            let writes = async {
                match by_worker {
                    true => drop(world.publish(&mut channel, 1).await),
                    false => drop(end_channel(slow, &world.job, 2, &clock).await),
                }
            };
            let deletes = async {
                faults.frozen().await;
                delete_media(&store, &world.job, 2, &clock).await.unwrap();
                faults.thaw();
            };
            let mut writes = std::pin::pin!(writes);
            let deleted = tokio::select! {
                biased;
                // It has come to its end without coming to the fault.
                () = &mut writes => false,
                () = deletes => true,
            };
            if !deleted {
                continue;
            }
            writes.await;
            let mut left = left(&memory).await;
            left.retain(|path| !path.ends_with("timeline.json"));
            assert!(
                left.is_empty(),
                "operation {operation}, by a worker: {by_worker}, published: {published}: {left:?}"
            );
        }
    }
}
