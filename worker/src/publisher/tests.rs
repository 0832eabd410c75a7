//! A publisher on stores that fail, with the clock in the test's hands.

use std::sync::Arc;
use std::time::Duration;

use aws::media::check::{Checked, Fault, Faults, Faulty, Manifest, MediaPlaylist};
use aws::media::end_channel;
use bytes::Bytes;
use domain::plan::TrackKind;
use object_store::memory::InMemory;
use tokio::time::{advance, timeout};

use super::*;
use crate::segment::{Media, TrackSegment};

struct World {
    checked: Checked,
    faults: Faults,
    config: Config,
}

impl World {
    fn new() -> Self {
        let config = Config {
            job: JobId::generate(),
            attempt: 1,
            presentation: Presentation {
                target_duration: 4,
                dvr_window: 120,
            },
            limits: Limits {
                segments: 16,
                bytes: 1 << 20,
            },
            timing: Timing::default(),
        };
        let checked = Checked::new(Arc::new(InMemory::new()), Timestamp::now);
        Self {
            checked,
            faults: Faults::default(),
            config,
        }
    }

    fn start(&self) -> Publisher {
        let store = Faulty::new(Arc::new(self.checked.clone()), self.faults.clone());
        let publisher = Publisher::start(MediaStore::new(Arc::new(store)), self.config.clone());
        publisher
            .intake()
            .start_run(1, Timestamp::now(), &tracks(), inits())
            .unwrap();
        publisher
    }

    fn playlist(&self, label: &str) -> MediaPlaylist {
        let path = format!("{}/{label}.m3u8", self.config.job);
        match self.checked.rules().manifest(&path) {
            Some(Manifest::Media(playlist)) => playlist.clone(),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[track_caller]
    fn assert_in_order(&self) {
        let violations = self.checked.violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

fn tracks() -> Vec<Track> {
    let video = TrackKind::Video {
        width: 640,
        height: 360,
        framerate: 25.0,
        max_bitrate: 500_000,
        bitrate: 365_000,
    };
    let audio = TrackKind::Audio {
        bitrate: 128_000,
        sample_rate: 48_000,
        channels: 2,
    };
    vec![
        Track {
            label: "video".to_owned(),
            kind: video,
        },
        Track {
            label: "audio".to_owned(),
            kind: audio,
        },
    ]
}

fn inits() -> Vec<TrackInit> {
    let init = |media, codec: &str, timescale| TrackInit {
        media,
        codec: codec.to_owned(),
        timescale,
        data: Bytes::from_static(b"init"),
    };
    vec![
        init(Media::Video, "avc1.64001e", 12_800),
        init(Media::Audio, "mp4a.40.2", 48_000),
    ]
}

/// The nth segment of a run, of 1,000 bytes a track.
fn segment(n: u64) -> CutSegment {
    let track = |timescale| TrackSegment {
        start: n * 4 * timescale,
        duration: 4 * timescale,
        data: Bytes::from(format!("{n:01000}")),
    };
    CutSegment {
        tracks: vec![track(12_800), track(48_000)],
    }
}

/// Waits until the status says so, on the paused clock: at most ten minutes.
async fn until(publisher: &Publisher, what: impl FnMut(&Status) -> bool) -> Status {
    let mut status = publisher.status();
    let found = timeout(Duration::from_secs(600), status.wait_for(what)).await;
    found.expect("in time").expect("publisher alive").clone()
}

#[tokio::test(start_paused = true)]
async fn segments_come_out_in_order_and_the_end_is_an_end() {
    let world = World::new();
    let mut publisher = world.start();
    for n in 0..5 {
        publisher.intake().segment(segment(n));
    }
    until(&publisher, |status| status.published_segments == 5).await;
    assert_eq!(world.playlist("audio").segments.len(), 5);
    publisher
        .intake()
        .start_run(2, Timestamp::now(), &tracks(), inits())
        .unwrap();
    publisher.intake().segment(segment(0));
    publisher.end();
    publisher.intake().segment(segment(1));
    let status = publisher.status();
    assert!(matches!(publisher.outcome().await, Outcome::Ended));
    let playlist = world.playlist("video");
    assert!(playlist.ended && playlist.segments.len() == 6 && playlist.segments[5].discontinuity);
    let status = status.borrow().clone();
    assert_eq!((status.published_segments, status.dropped_segments), (6, 0));
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_30_s_costs_no_segment() {
    let world = World::new();
    let publisher = world.start();
    publisher.intake().segment(segment(0));
    until(&publisher, |status| status.published_segments == 1).await;
    world.faults.set_away(true);
    for n in 1..9 {
        publisher.intake().segment(segment(n));
        advance(Duration::from_secs(4)).await;
    }
    let failing = until(&publisher, |status| status.store_error.is_some()).await;
    assert_eq!(failing.published_segments, 1);
    world.faults.set_away(false);
    let back = Instant::now();
    let status = until(&publisher, |status| status.published_segments == 9).await;
    assert!(
        back.elapsed() <= Duration::from_secs(6),
        "{:?}",
        back.elapsed()
    );
    assert_eq!((status.dropped_segments, status.store_error), (0, None));
    let playlist = world.playlist("video");
    assert_eq!(playlist.segments.len(), 9);
    assert!(
        playlist
            .segments
            .iter()
            .all(|segment| !segment.discontinuity)
    );
    world.assert_in_order();
}

/// What the job's record says of the end is what the store has said.
#[tokio::test(start_paused = true)]
async fn an_end_that_the_store_does_not_take_is_not_told_as_one() {
    let patience = Duration::from_secs(10);
    for (away, ended) in [(false, true), (true, false)] {
        let world = World::new();
        let publisher = world.start();
        publisher.intake().segment(segment(0));
        until(&publisher, |status| status.published_segments == 1).await;
        world.faults.set_away(away);
        let told = crate::attempt::end_playlists(publisher, patience).await;
        assert_eq!(told, ended);
        assert_eq!(world.playlist("video").ended, ended);
    }
    // Ended before by itself: there is nobody to ask any more.
    let world = World::new();
    let mut publisher = world.start();
    let store = MediaStore::new(Arc::new(world.checked.clone()));
    let job = &world.config.job;
    end_channel(store, job, 2, &Timestamp::now).await.unwrap();
    publisher.intake().segment(segment(0));
    let outcome = publisher.outcome().await;
    assert!(matches!(outcome, Outcome::Fenced { .. }), "{outcome:?}");
    assert!(!crate::attempt::end_playlists(publisher, patience).await);
}

#[tokio::test(start_paused = true)]
async fn what_the_buffer_cannot_hold_is_left_out_behind_a_discontinuity() {
    let world = World::new();
    let publisher = world.start();
    publisher.intake().segment(segment(0));
    until(&publisher, |status| status.published_segments == 1).await;
    world.faults.set_away(true);
    publisher.intake().segment(segment(1));
    until(&publisher, |status| status.store_error.is_some()).await;
    // Segment 1 is under way, and 15 may wait.
    for n in 2..40 {
        publisher.intake().segment(segment(n));
    }
    world.faults.set_away(false);
    let status = until(&publisher, |status| status.published_segments == 17).await;
    assert_eq!(status.dropped_segments, 23);
    let playlist = world.playlist("audio");
    assert_eq!(playlist.next_sequence(), 17, "numbers without a gap");
    let tags: Vec<bool> = playlist
        .segments
        .iter()
        .map(|segment| segment.discontinuity)
        .collect();
    assert_eq!(tags.iter().filter(|tag| **tag).count(), 1);
    assert!(tags[2], "between segment 1 and the first that was kept");
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_no_playlist_can_hold_is_counted_and_the_next_one_published() {
    let world = World::new();
    let publisher = world.start();
    publisher.intake().segment(segment(0));
    let mut long = segment(1);
    long.tracks[0].duration *= 2;
    publisher.intake().segment(long);
    publisher.intake().segment(segment(3));
    let status = until(&publisher, |status| status.published_segments == 2).await;
    assert_eq!(status.dropped_segments, 1);
    assert!(world.playlist("video").segments[1].discontinuity);
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn a_fenced_publisher_ends_at_once_with_all_that_waits() {
    let world = World::new();
    let mut publisher = world.start();
    publisher.intake().segment(segment(0));
    until(&publisher, |status| status.published_segments == 1).await;
    let store = MediaStore::new(Arc::new(world.checked.clone()));
    end_channel(store, &world.config.job, 2, &Timestamp::now)
        .await
        .unwrap();
    publisher.intake().segment(segment(1));
    publisher.intake().segment(segment(2));
    assert!(matches!(
        publisher.outcome().await,
        Outcome::Fenced { holder: 2 }
    ));
    assert_eq!(world.playlist("video").segments.len(), 1);
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_stays_open_for_the_next_attempt() {
    let mut world = World::new();
    let mut publisher = world.start();
    publisher.intake().segment(segment(0));
    publisher.close();
    assert!(matches!(publisher.outcome().await, Outcome::Closed));
    assert!(!world.playlist("video").ended);

    world.config.attempt = 2;
    let publisher = world.start();
    publisher.intake().segment(segment(0));
    until(&publisher, |status| status.published_segments == 1).await;
    let playlist = world.playlist("video");
    assert!(playlist.segments.len() == 2 && playlist.segments[1].discontinuity);
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn it_shows_that_it_lives_while_it_waits_and_while_the_store_hangs() {
    let world = World::new();
    world.faults.plan(3, Fault::Freeze);
    let publisher = world.start();
    let idle = until(&publisher, |status| status.progress > 10).await;
    publisher.intake().segment(segment(0));
    world.faults.frozen().await;
    until(&publisher, |status| status.progress > idle.progress + 10).await;
    // A try that hangs is given up and made again.
    until(&publisher, |status| status.published_segments == 1).await;
    world.assert_in_order();
}

#[tokio::test(start_paused = true)]
async fn dropped_it_sends_nothing_more() {
    let world = World::new();
    world.faults.set_away(true);
    let publisher = world.start();
    until(&publisher, |status| status.store_error.is_some()).await;
    publisher.intake().segment(segment(0));
    let mut status = publisher.status();
    drop(publisher);
    // The loop is gone when its sender is.
    while status.changed().await.is_ok() {}
    let before = world.faults.operations();
    world.faults.set_away(false);
    advance(Duration::from_secs(60)).await;
    assert_eq!(world.faults.operations(), before);
}

#[test]
fn the_buffer_holds_a_minute_of_the_output() {
    let limits = |segment_ms, max_bitrate| {
        let mut output = sample_output();
        output.segment_duration = domain::spec::Seconds { millis: segment_ms };
        output.video_outputs[0].max_bitrate = max_bitrate;
        Limits::of(&output)
    };
    assert_eq!(
        limits(4000, 500_000),
        Limits {
            segments: 16,
            bytes: 8 << 20
        }
    );
    let big = limits(1000, 10_000_000);
    assert_eq!(big.segments, 61);
    assert!(big.bytes > 60 * 10_128_000 / 8, "{big:?}");
}

fn sample_output() -> Output {
    use domain::spec::{AudioCodec, AudioOutput, Seconds, SegmentFormat, StreamType};
    use domain::spec::{VideoCodec, VideoOutput};
    Output {
        stream_type: StreamType::Both,
        segment_format: SegmentFormat::Fmp4,
        segment_duration: Seconds { millis: 4000 },
        fragment_duration: Seconds { millis: 2000 },
        low_latency_mode: false,
        time_shift_buffer_depth: 120,
        s3_output: None,
        video_outputs: vec![VideoOutput {
            label: "video".to_owned(),
            codec: VideoCodec::H264,
            framerate: Some(25.0),
            width: 640,
            height: 360,
            bitrate: 365_000,
            max_bitrate: 500_000,
            buf_size: 500_000,
            preset: "faster".to_owned(),
            crf: None,
            threads: 2,
            gop_size: Seconds { millis: 2000 },
        }],
        audio_outputs: vec![AudioOutput {
            label: "audio".to_owned(),
            codec: AudioCodec::Aac,
            bitrate: 128_000,
            sample_rate: 48_000,
            channels: 2,
        }],
    }
}
