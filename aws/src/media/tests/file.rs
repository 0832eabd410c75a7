//! Compare-and-swap in a folder.

use std::fs::File;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use super::super::FileStore;
use super::*;

fn update(version: &UpdateVersion) -> PutOptions {
    PutMode::Update(version.clone()).into()
}

#[tokio::test]
async fn conditions_hold_and_stale_versions_fail() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let path = Path::from("job/timeline.json");
    let create = || PutOptions::from(PutMode::Create);
    let first: UpdateVersion = store
        .put_opts(&path, "1".into(), create())
        .await
        .unwrap()
        .into();
    let again = store.put_opts(&path, "2".into(), create()).await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { .. })),
        "{again:?}"
    );
    let second: UpdateVersion = store
        .put_opts(&path, "2".into(), update(&first))
        .await
        .unwrap()
        .into();
    let stale = store.put_opts(&path, "3".into(), update(&first)).await;
    assert!(
        matches!(stale, Err(Error::Precondition { .. })),
        "{stale:?}"
    );

    let found = store.get(&path).await.unwrap();
    assert_eq!(
        found.meta.e_tag, second.e_tag,
        "a reader gets the version a writer needs"
    );
    assert_eq!(found.bytes().await.unwrap(), "2");
    store.delete(&path).await.unwrap();
    let gone = store.put_opts(&path, "3".into(), update(&second)).await;
    assert!(matches!(gone, Err(Error::Precondition { .. })), "{gone:?}");
}

/// Two stores on one folder are two processes to each other: a lock belongs
/// to an open file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_between_writers() {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::from("job/counter");
    let one = FileStore::open(folder.path()).unwrap();
    one.put(&path, "0".into()).await.unwrap();
    let writer = || {
        let (store, path) = (FileStore::open(folder.path()).unwrap(), path.clone());
        tokio::spawn(async move {
            let mut won = 0;
            while won < 50 {
                let found = store.get(&path).await.unwrap();
                let version = UpdateVersion {
                    e_tag: found.meta.e_tag.clone(),
                    version: None,
                };
                let text = String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap();
                let next = (text.parse::<u32>().unwrap() + 1).to_string();
                match store.put_opts(&path, next.into(), update(&version)).await {
                    Ok(_) => won += 1,
                    Err(Error::Precondition { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    let writers: Vec<_> = (0..4).map(|_| writer()).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(one.get(&path).await.unwrap().bytes().await.unwrap(), "200");
}

#[tokio::test]
async fn locks_and_staged_files_are_no_objects_and_leftovers_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join(".ezlive/staging");
    let store = FileStore::open(folder.path()).unwrap();
    store.put(&Path::from("job/a"), "1".into()).await.unwrap();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    let top = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(top.common_prefixes, [Path::from("job")]);

    let old = File::create(staging.join("dead")).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(7200))
        .unwrap();
    File::create(staging.join("alive")).unwrap();
    FileStore::open(folder.path()).unwrap();
    assert!(!staging.join("dead").exists() && staging.join("alive").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_vanishes_under_a_write_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let (ours, theirs) = (Path::from("job/1/1/a"), Path::from("job/1/1/b"));
    let other = store.clone();
    let churn = tokio::spawn(async move {
        for _ in 0..200 {
            other.put(&theirs, "x".into()).await.unwrap();
            other.delete(&theirs).await.unwrap();
        }
    });
    for _ in 0..200 {
        store.put(&ours, "x".into()).await.unwrap();
        store.delete(&ours).await.unwrap();
    }
    churn.await.unwrap();
}
