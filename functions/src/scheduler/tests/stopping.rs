//! `StopBy` and `Delete`: an end that is certain to come.

use aws::media::MediaStores;
use domain::ids::JobId;
use domain::job::{Change, Deletion, JobState, ReasonCode, Totals};
use domain::message::Message;
use domain::timeline::{TIMELINE, Timeline};
use domain::worker::WorkerState;

use super::harness::World;

fn stop_by(job: &JobId, attempt: u64) -> Message {
    Message::StopBy {
        job: job.clone(),
        attempt,
    }
}

/// The attempt that holds a channel, and whether it has ended.
pub(super) fn fence(world: &World, id: &JobId) -> Option<(u64, bool)> {
    let timeline: serde_json::Value =
        serde_json::from_str(&world.published(id, TIMELINE)?).unwrap();
    Some((
        timeline["attempt"].as_u64().unwrap(),
        timeline["ended"].as_bool().unwrap(),
    ))
}

#[tokio::test]
async fn a_worker_that_does_not_stop_is_stopped_without() {
    let world = World::new().await;
    let (id, worker, watch) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    assert!(world.take(&stop_by(&id, 1)).await);

    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Stopped, 2));
    assert_eq!(job.reason.unwrap().code, ReasonCode::StopForced);
    assert_eq!(job.worker_id, None);
    assert_eq!(world.launcher.stopped(), std::slice::from_ref(&worker));
    assert_eq!(world.worker(&worker).await.state, WorkerState::Closed);
    assert_eq!(fence(&world, &id), Some((2, true)));
    // What was still on its way says nothing any more.
    world.sent();
    for message in [
        Message::Watch(watch),
        Message::schedule(id.clone()),
        Message::TaskStopped { worker },
        stop_by(&id, 1),
    ] {
        assert!(world.take(&message).await);
    }
    assert!(world.sent().is_empty());
    assert_eq!(world.record(&id).await.version, job.version);
}

#[tokio::test]
async fn a_forced_stop_closes_the_playlists() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    assert!(world.take(&stop_by(&id, 1)).await);
    let media = format!("file://{}", world.media.path().display());
    let media = MediaStores::open(&media, &[]).unwrap();
    // Nobody of a lower attempt gets in any more.
    let spec = world.record(&id).await.spec;
    let late =
        aws::media::end_channel(media.of(&spec).clone(), &id, 1, &jiff::Timestamp::now).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn a_stop_in_time_is_not_forced() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    let finish = Change::Finish {
        reason: None,
        totals: Totals::default(),
        playlists_ended: true,
    };
    let finished = world.change(&id, finish).await;
    assert!(world.take(&stop_by(&id, 1)).await);
    assert_eq!(world.record(&id).await, finished);
    assert!(world.launcher.stopped().is_empty());
}

#[tokio::test]
async fn an_old_stop_does_not_touch_a_job_that_was_started_again() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    assert!(world.take(&stop_by(&id, 1)).await);
    world.change(&id, Change::RequestResume).await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Assigned, 3));
    for attempt in 1..=2 {
        assert!(world.take(&stop_by(&id, attempt)).await);
    }
    assert_eq!(world.record(&id).await, job);
}

#[tokio::test]
async fn a_stop_during_the_boot_is_forced_too() {
    let world = World::new().await;
    let id = world.job().await;
    assert!(world.take(&Message::schedule(id.clone())).await);
    world.change(&id, Change::RequestStop).await;
    // The launch is not driven any further.
    let launches = world.launcher.launched().len();
    assert!(world.take(&Message::schedule(id.clone())).await);
    assert_eq!(world.launcher.launched().len(), launches);
    assert!(world.take(&stop_by(&id, 1)).await);
    assert_eq!(world.record(&id).await.state, JobState::Stopped);
    assert!(world.open_workers().await.is_empty());
}

#[tokio::test]
async fn a_worker_lost_while_it_stops_ends_the_job() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    world.change(&id, Change::RequestStop).await;
    assert!(world.take(&Message::TaskStopped { worker }).await);
    let job = world.record(&id).await;
    assert_eq!((job.state, job.attempt), (JobState::Stopped, 2));
    assert_eq!(fence(&world, &id), Some((2, true)));
    assert!(world.sent_schedules().is_empty());
}

#[tokio::test]
async fn a_deletion_waits_for_the_end_and_takes_everything() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    let deletion = Deletion { media: true };
    world.change(&id, Change::RequestDelete { deletion }).await;
    let delete = Message::Delete { job: id.clone() };
    assert!(world.take(&delete).await);
    assert_eq!(world.record(&id).await.state, JobState::Stopping);
    assert_eq!(world.sent()[0].0, delete, "it looks again");

    assert!(world.take(&stop_by(&id, 1)).await);
    assert!(world.take(&delete).await);
    assert_eq!(world.store.job(&id).await.unwrap(), None);
    assert!(world.store.events(&id, 0, 10).await.unwrap().is_empty());
    let left = world.published(&id, TIMELINE).unwrap();
    assert!(Timeline::from_json(left.as_bytes()).unwrap().is_deleted());
    // Whatever is still on its way finds nothing to do.
    for message in [delete, stop_by(&id, 1), Message::schedule(id.clone())] {
        assert!(world.take(&message).await);
    }
}

/// Later than any request of a writer that died.
#[tokio::test]
async fn what_comes_after_a_deletion_is_purged() {
    let world = World::new().await;
    let (id, ..) = world.running().await;
    world.publish(&id, "master.m3u8", "named");
    let purge = Message::Purge {
        job: id.clone(),
        bucket: None,
    };
    assert!(world.take(&purge).await);
    let found = world.published(&id, "master.m3u8");
    assert_eq!(found.as_deref(), Some("named"), "it is not deleted");

    let deletion = Deletion { media: true };
    world.change(&id, Change::RequestDelete { deletion }).await;
    assert!(world.take(&stop_by(&id, 1)).await);
    assert!(world.take(&Message::Delete { job: id.clone() }).await);
    let (message, delay) = world.sent().pop().unwrap();
    assert_eq!(message, purge);
    assert!(delay > world.scheduler.timing.lease, "after {delay:?}");
    world.publish(&id, "master.m3u8", "too late");
    assert!(world.take(&purge).await);
    assert_eq!(world.published(&id, "master.m3u8"), None);
}

/// With the record gone, no `StopBy` could end the playlists any more.
#[tokio::test]
async fn a_deletion_that_keeps_the_media_ends_the_playlists_first() {
    let world = World::new().await;
    let (id, worker, _) = world.running().await;
    assert!(world.take(&Message::TaskStopped { worker }).await);
    let deletion = Deletion { media: false };
    let job = world.change(&id, Change::RequestDelete { deletion }).await;
    assert_eq!(job.state, JobState::Stopped);
    assert!(world.take(&Message::Delete { job: id.clone() }).await);
    assert_eq!(world.store.job(&id).await.unwrap(), None);
    assert_eq!(fence(&world, &id), Some((2, true)));
}
