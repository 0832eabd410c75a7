//! A channel's life on a healthy store.

use futures::TryStreamExt;
use object_store::ObjectStore;

use super::super::check::Manifest;
use super::super::{
    BeginError, ChannelError, FileStore, delete_media, end_channel, remove_tombstones,
};
use super::*;

async fn listed(world: &World) -> Vec<String> {
    let listing = world
        .checked
        .list(None)
        .map_ok(|meta| meta.location.to_string());
    let mut paths: Vec<String> = listing.try_collect().await.unwrap();
    // A folder has no order.
    paths.sort();
    paths
}

fn media(world: &World, label: &str) -> super::super::check::MediaPlaylist {
    let path = format!("{}/{label}.m3u8", world.job);
    match world.checked.rules().manifest(&path) {
        Some(Manifest::Media(playlist)) => playlist.clone(),
        other => panic!("{path}: {other:?}"),
    }
}

/// Three attempts, two runs of the first, stop and resume.
async fn whole_life(world: World) {
    let mut first = world.claim(world.store(), 1).await.unwrap();
    assert_eq!(listed(&world).await.len(), 1, "only the timeline");
    world.start_run(&mut first, 1);
    for n in 0..8 {
        assert_eq!(world.publish(&mut first, n).await.unwrap(), n);
    }
    world.wait(10);
    world.start_run(&mut first, 2);
    assert_eq!(world.publish(&mut first, 0).await.unwrap(), 8);
    assert_eq!(media(&world, "video").segments.len(), 3);

    let mut second = world.claim(world.store(), 2).await.unwrap();
    assert_eq!(
        media(&world, "video").next_sequence(),
        9,
        "the predecessor's window stays"
    );
    world.start_run(&mut second, 1);
    for n in 0..12 {
        world.publish(&mut second, n).await.unwrap();
    }
    assert_eq!(media(&world, "audio").discontinuity_sequence, 2);
    world.end(&mut second).await.unwrap();
    assert!(media(&world, "video").ended);

    world.wait(3600);
    let mut third = world.claim(world.store(), 4).await.unwrap();
    let reopened = media(&world, "video");
    assert!(!reopened.ended && reopened.segments.is_empty());
    assert_eq!(reopened.media_sequence, 21);
    world.start_run(&mut third, 1);
    for n in 0..16 {
        world.publish(&mut third, n).await.unwrap();
    }
    world.assert_in_order("whole life");

    // Of 37 segments the window and what is still kept are there.
    let objects = listed(&world).await;
    let segments = objects.iter().filter(|path| path.ends_with(".m4s")).count();
    assert!(segments <= 2 * (3 + 6), "{segments} segments left");
    assert!(
        !objects.iter().any(|path| path.contains("/1/1/")),
        "{objects:#?}"
    );
}

#[tokio::test]
async fn a_channel_lives_in_memory() {
    whole_life(World::new()).await;
}

#[tokio::test]
async fn a_channel_lives_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().join("media")).unwrap();
    whole_life(World::on(Arc::new(store))).await;
}

#[tokio::test]
async fn a_lower_attempt_cannot_claim() {
    let world = World::new();
    world.claim(world.store(), 5).await.unwrap();
    let refused = world.claim(world.store(), 4).await;
    assert!(
        matches!(refused, Err(ChannelError::Fenced { holder: 5 })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_forced_end_closes_the_playlists_and_fences_the_worker() {
    let world = World::new();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    for _ in 0..2 {
        end_channel(world.store(), &world.job, 2, &|| world.now())
            .await
            .unwrap();
        assert!(media(&world, "video").ended && media(&world, "audio").ended);
        assert_eq!(media(&world, "video").segments.len(), 1);
    }
    let refused = world.publish(&mut channel, 1).await;
    assert!(
        matches!(refused, Err(ChannelError::Fenced { holder: 2 })),
        "{refused:?}"
    );
    world.assert_in_order("forced end");
}

#[tokio::test]
async fn a_forced_end_before_the_first_segment_fences_too() {
    let world = World::new();
    end_channel(world.store(), &world.job, 2, &|| world.now())
        .await
        .unwrap();
    let refused = world.claim(world.store(), 1).await;
    assert!(
        matches!(refused, Err(ChannelError::Fenced { holder: 2 })),
        "{refused:?}"
    );
    let mut resumed = world.claim(world.store(), 3).await.unwrap();
    world.start_run(&mut resumed, 1);
    assert_eq!(world.publish(&mut resumed, 0).await.unwrap(), 0);
    let target = f64::from(PRESENTATION.target_duration);
    assert_eq!(media(&world, "video").target_duration, target);
    world.assert_in_order("resumed");
}

#[tokio::test]
async fn a_refused_segment_leaves_the_channel_as_it_was() {
    let world = World::new();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    let mut long = tracks(1);
    long[0].duration *= 2;
    let refused = channel.begin_segment(long, world.now());
    assert!(
        matches!(refused, Err(BeginError::Segment(_))),
        "{refused:?}"
    );
    assert_eq!(world.publish(&mut channel, 2).await.unwrap(), 1);
    assert!(
        media(&world, "video").segments[1].discontinuity,
        "what was left out shows"
    );
    world.assert_in_order("refused");
}

#[tokio::test]
async fn nothing_is_begun_before_the_last_change_is_done() {
    let world = World::new();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    channel.begin_segment(tracks(0), world.now()).unwrap();
    assert!(matches!(
        channel.begin_segment(tracks(1), world.now()),
        Err(BeginError::Busy)
    ));
    assert!(matches!(
        channel.begin_end(world.now()),
        Err(BeginError::Busy)
    ));
}

#[tokio::test]
async fn a_corrupt_timeline_is_no_reason_to_begin_anew() {
    let world = World::new();
    let path = object_store::path::Path::from(format!("{}/timeline.json", world.job));
    world
        .checked
        .put_opts(&path, "{}".into(), Default::default())
        .await
        .unwrap();
    let refused = world.claim(world.store(), 1).await;
    assert!(
        matches!(refused, Err(ChannelError::Corrupt(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_deleted_job_leaves_nothing_and_stops_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let world = World::on(Arc::new(store));
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    let other = World {
        job: JobId::generate(),
        ..world.clone()
    };
    other.claim(other.store(), 1).await.unwrap();

    delete_media(&world.store(), &world.job, 1, &|| world.now())
        .await
        .unwrap();
    let timeline = |job: &JobId| format!("{job}/timeline.json");
    let mut left = [timeline(&world.job), timeline(&other.job)];
    left.sort();
    assert_eq!(listed(&world).await, left);
    delete_media(&world.store(), &world.job, 1, &|| world.now())
        .await
        .unwrap();
    let refused = world.publish(&mut channel, 1).await;
    assert!(matches!(refused, Err(ChannelError::Deleted)), "{refused:?}");
    let refused = world.claim(world.store(), 7).await;
    assert!(matches!(refused, Err(ChannelError::Deleted)), "{refused:?}");
    assert_eq!(listed(&world).await, left, "what came too late is there");

    remove_tombstones(&world.store()).await.unwrap();
    assert_eq!(listed(&world).await, [timeline(&other.job)]);
}
