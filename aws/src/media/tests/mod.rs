//! Channels on real and faulty stores.

mod channel;
mod faults;
mod file;
mod store;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use domain::ids::JobId;
use domain::timeline::{Bandwidth, Media, NewRun, Presentation, Rendition};
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::check::{Checked, Faults, Faulty};
use super::{Channel, ChannelError, Init, MediaStore, SegmentTrack};

pub const PRESENTATION: Presentation = Presentation {
    target_duration: 4,
    dvr_window: 12,
};

/// One store, its judge, and the time.
#[derive(Debug, Clone)]
pub struct World {
    pub checked: Checked,
    pub clock: Arc<AtomicI64>,
    pub job: JobId,
}

impl World {
    pub fn on(store: Arc<dyn ObjectStore>) -> Self {
        let clock = Arc::new(AtomicI64::new(1_700_000_000));
        let time = Arc::clone(&clock);
        let now = move || Timestamp::from_second(time.load(Ordering::SeqCst)).unwrap();
        Self {
            checked: Checked::new(store, now),
            clock,
            job: JobId::generate(),
        }
    }

    pub fn new() -> Self {
        Self::on(Arc::new(InMemory::new()))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    pub fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The store as a client without faults sees it.
    pub fn store(&self) -> MediaStore {
        MediaStore::new(Arc::new(self.checked.clone()))
    }

    /// The store as one client sees it, with faults.
    pub fn faulty(&self) -> (MediaStore, Faults) {
        let faults = Faults::default();
        let store = Faulty::new(Arc::new(self.checked.clone()), faults.clone());
        (MediaStore::new(Arc::new(store)), faults)
    }

    pub async fn claim(&self, store: MediaStore, attempt: u64) -> Result<Channel, ChannelError> {
        Channel::claim(store, &self.job, attempt, PRESENTATION, &|| self.now()).await
    }

    pub fn start_run(&self, channel: &mut Channel, number: u32) {
        let run = NewRun {
            number,
            start: self.now(),
            renditions: renditions(),
        };
        channel.start_run(run, inits()).unwrap();
    }

    /// Publishes the nth segment of a run; 4 s pass.
    pub async fn publish(&self, channel: &mut Channel, n: u64) -> Result<u64, ChannelError> {
        self.wait(4);
        let sequence = channel.begin_segment(tracks(n), self.now()).unwrap();
        channel.drive(&|| self.now()).await?;
        Ok(sequence)
    }

    pub async fn end(&self, channel: &mut Channel) -> Result<(), ChannelError> {
        channel.begin_end(self.now()).unwrap();
        channel.drive(&|| self.now()).await
    }

    #[track_caller]
    pub fn assert_in_order(&self, what: &str) {
        let violations = self.checked.violations();
        assert!(violations.is_empty(), "{what}: {violations:#?}");
    }
}

pub fn renditions() -> Vec<Rendition> {
    vec![
        Rendition {
            label: "video".to_owned(),
            codec: "avc1.64001e".to_owned(),
            timescale: 12_800,
            bandwidth: Bandwidth {
                peak: 500_000,
                average: 400_000,
            },
            media: Media::Video {
                width: 640,
                height: 360,
                framerate: 25.0,
            },
        },
        Rendition {
            label: "audio".to_owned(),
            codec: "mp4a.40.2".to_owned(),
            timescale: 48_000,
            bandwidth: Bandwidth {
                peak: 128_000,
                average: 128_000,
            },
            media: Media::Audio {
                sample_rate: 48_000,
                channels: 2,
            },
        },
    ]
}

pub fn inits() -> Vec<Init> {
    ["video", "audio"]
        .map(|label| Init {
            label: label.to_owned(),
            data: Bytes::from(format!("init {label}")),
        })
        .into()
}

pub fn tracks(n: u64) -> Vec<SegmentTrack> {
    let track = |timescale: u64, name: &str| SegmentTrack {
        start: n * 4 * timescale,
        duration: 4 * timescale,
        data: Bytes::from(format!("{name} {n}")),
    };
    vec![track(12_800, "video"), track(48_000, "audio")]
}
