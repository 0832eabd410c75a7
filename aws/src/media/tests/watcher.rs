//! The checker that looks from outside.

use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::super::FileStore;
use super::super::check::{Manifest, Watcher};
use super::*;

fn folder() -> (tempfile::TempDir, World, Watcher) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on(Arc::new(FileStore::open(folder.path()).unwrap()));
    let seen = Arc::new(FileStore::open(folder.path()).unwrap());
    let watcher = Watcher::new(seen, Path::from(world.job.as_str()));
    (folder, world, watcher)
}

#[tokio::test]
async fn a_sound_channel_shows_no_breach_at_any_look() {
    let (_folder, world, mut watcher) = folder();
    watcher.look().await.unwrap();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    for n in 0..8 {
        world.publish(&mut channel, n).await.unwrap();
        if n % 3 != 1 {
            watcher.look().await.unwrap();
        }
    }
    world.end(&mut channel).await.unwrap();
    watcher.look().await.unwrap();
    assert_eq!(watcher.violations(), [""; 0]);
    let Some(Manifest::Media(playlist)) = watcher.manifest("video.m3u8") else {
        panic!("{watcher:?}")
    };
    assert!(playlist.ended && playlist.next_sequence() == 8);
    assert_eq!(watcher.looks(), 7);
}

#[tokio::test]
async fn a_hole_and_a_zombie_are_seen() {
    let (_folder, world, mut watcher) = folder();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    watcher.look().await.unwrap();
    let path = |name: &str| Path::from(format!("{}/{name}", world.job));
    let old = world
        .checked
        .get(&path("audio.m3u8"))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let mut successor = world.claim(world.store(), 2).await.unwrap();
    world.start_run(&mut successor, 1);
    world.publish(&mut successor, 0).await.unwrap();
    world
        .checked
        .delete(&path("2/1/video-1.m4s"))
        .await
        .unwrap();
    watcher.look().await.unwrap();
    world
        .checked
        .put(&path("audio.m3u8"), old.into())
        .await
        .unwrap();
    watcher.look().await.unwrap();
    for breach in [
        "2/1/video-1.m4s is named and missing",
        "after attempt 2 has published",
    ] {
        let found = watcher.violations();
        assert!(
            found.iter().any(|text| text.contains(breach)),
            "{breach}: {found:#?}"
        );
    }
}

/// On S3, as in a folder, the version of an object is a hash of its body: a
/// playlist that is claimed must not read as before.
#[tokio::test]
async fn a_claim_makes_every_version_that_a_predecessor_knows_stale() {
    let (_folder, world, _) = folder();
    let mut channel = world.claim(world.store(), 1).await.unwrap();
    world.start_run(&mut channel, 1);
    world.publish(&mut channel, 0).await.unwrap();
    world.end(&mut channel).await.unwrap();
    let names = [
        "timeline.json",
        "video.m3u8",
        "audio.m3u8",
        "master.m3u8",
        "manifest.mpd",
    ];
    let versions = async || {
        let mut versions = Vec::new();
        for name in names {
            let path = Path::from(format!("{}/{name}", world.job));
            versions.push(world.checked.get(&path).await.unwrap().meta.e_tag.unwrap());
        }
        versions
    };
    let before = versions().await;
    super::super::end_channel(world.store(), &world.job, 2, &|| world.now())
        .await
        .unwrap();
    for ((name, before), after) in names.iter().zip(before).zip(versions().await) {
        assert_ne!(before, after, "{name}");
    }
}
