//! What must be true once the faults have ended.

use std::collections::HashMap;

use aws::media::check::{Manifest, MediaPlaylist};
use aws::store::{Store, StoreError};
use domain::ids::JobId;
use domain::job::{Job, JobState};
use domain::timeline::{TIMELINE, media_playlist_name};
use domain::worker::{Worker, WorkerState};
use serde_json::json;

use crate::clients::{Channel, LABELS, Want};
use crate::database::Database;
use crate::media::Shore;

/// Judges a world that is at rest.
pub struct Verdict {
    pub store: Store,
    pub database: Database,
    pub shore: Shore,
    /// Where the playlists of each attempt stood when it was first seen.
    seen: HashMap<(JobId, u64), u64>,
}

impl Verdict {
    pub fn new(store: Store, database: Database, shore: Shore) -> Self {
        Self {
            store,
            database,
            shore,
            seen: HashMap::new(),
        }
    }

    /// What is not yet as it must be.
    pub async fn unmet(&mut self, channels: &[Channel]) -> Vec<String> {
        let mut unmet = Vec::new();
        for channel in channels {
            let faults = self.channel(channel).await;
            unmet.extend(faults.into_iter().map(|fault| {
                let Channel { id, want, pushed } = channel;
                format!("job {id} ({want:?}, pushed: {pushed}): {fault}")
            }));
        }
        match self.fleet().await {
            Ok(faults) => unmet.extend(faults),
            Err(error) => unmet.push(error.to_string()),
        }
        unmet
    }

    async fn channel(&mut self, channel: &Channel) -> Vec<String> {
        let stored = match self.store.job(&channel.id).await {
            Ok(stored) => stored,
            Err(error) => return vec![error.to_string()],
        };
        let mut unmet = Vec::new();
        match (channel.want, stored.map(|stored| stored.job)) {
            (Want::Gone { media }, None) => unmet.extend(self.gone(&channel.id, media).await),
            (Want::Gone { .. }, Some(job)) => {
                unmet.push(format!("it is still there, {}", job.state.as_str()));
            }
            (_, None) => unmet.push("it is forgotten".to_owned()),
            (want, Some(job)) => {
                unmet.extend(self.history(&job).await);
                let expected = match want {
                    Want::Run if channel.pushed => JobState::Running,
                    Want::Run => JobState::Streaming,
                    Want::Pause => JobState::Paused,
                    Want::Stop | Want::Gone { .. } => JobState::Stopped,
                };
                if job.state != expected {
                    unmet.push(format!(
                        "it is {} in attempt {} ({:?})",
                        job.state.as_str(),
                        job.attempt,
                        job.reason
                    ));
                } else if expected == JobState::Streaming && !self.moves(&job) {
                    unmet.push("its playlists don't move".to_owned());
                } else if expected == JobState::Stopped {
                    unmet.extend(self.not_ended(&job.id));
                }
                if expected == JobState::Running && job.ingest.is_none() {
                    unmet.push("it has no ingest".to_owned());
                }
            }
        }
        unmet
    }

    fn playlist(&self, id: &JobId, label: &str) -> Option<MediaPlaylist> {
        let path = format!("{id}/{}", media_playlist_name(label));
        match self.shore.checked.rules().manifest(&path) {
            Some(Manifest::Media(playlist)) => Some(playlist.clone()),
            _ => None,
        }
    }

    /// Whether this attempt has added segments to every playlist since it was
    /// seen first.
    fn moves(&mut self, job: &Job) -> bool {
        let playlists: Option<Vec<_>> = LABELS
            .iter()
            .map(|label| self.playlist(&job.id, label))
            .collect();
        let Some(playlists) = playlists else {
            return false;
        };
        let next = |playlist: &MediaPlaylist| {
            let own = format!("{}/", job.attempt);
            let newest = playlist.segments.last()?;
            newest
                .uri
                .starts_with(&own)
                .then(|| playlist.next_sequence())
        };
        let Some(next) = playlists.iter().map(next).min().flatten() else {
            return false;
        };
        let first = self
            .seen
            .entry((job.id.clone(), job.attempt))
            .or_insert(next);
        next >= *first + 2
    }

    fn not_ended(&self, id: &JobId) -> Vec<String> {
        let open = LABELS
            .iter()
            .filter(|label| self.playlist(id, label).is_some_and(|list| !list.ended));
        open.map(|label| format!("the playlist of {label} is open"))
            .collect()
    }

    async fn gone(&self, id: &JobId, media: bool) -> Vec<String> {
        let mut unmet = Vec::new();
        match self.store.events(id, 0, 1).await {
            Ok(events) if events.is_empty() => {}
            Ok(_) => unmet.push("its history is still there".to_owned()),
            Err(error) => unmet.push(error.to_string()),
        }
        match media {
            true => {
                let mut left = self.shore.objects(id.as_str()).await;
                // The tombstone.
                left.retain(|path| !path.ends_with(TIMELINE));
                if !left.is_empty() {
                    unmet.push(format!("of its media are left {left:?}"));
                }
            }
            false => unmet.extend(self.not_ended(id)),
        }
        unmet
    }

    /// Its events tell how it came to be what it is.
    async fn history(&self, job: &Job) -> Vec<String> {
        let events = match self.store.events(&job.id, 0, 1000).await {
            Ok(events) => events,
            Err(error) => return vec![error.to_string()],
        };
        let mut unmet = Vec::new();
        let mut state = None;
        for (event, seq) in events.iter().zip(1..) {
            if event.seq != seq || event.from != state {
                unmet.push(format!("its history has a hole before {event:?}"));
            }
            state = Some(event.to);
        }
        let last = events.last().map(|event| (event.seq, event.to));
        // It may have gone on between the two reads.
        if last < Some((job.version, job.state)) && last.is_none_or(|(seq, _)| seq <= job.version) {
            unmet.push(format!("its history ends with {last:?}"));
        }
        unmet
    }

    async fn fleet(&self) -> Result<Vec<String>, StoreError> {
        let mut unmet = Vec::new();
        let open = self.store.workers(&WorkerState::OPEN).await?;
        let counted = self.counted();
        if counted != open.len() as i64 {
            unmet.push(format!("{} open workers are counted {counted}", open.len()));
        }
        let mut booked = HashMap::new();
        for worker in open {
            let Some(booking) = &worker.booking else {
                continue;
            };
            let job = self.store.job(&booking.job).await?.map(|stored| stored.job);
            if !job.is_some_and(|job| job.is_booked_on(&worker.id, booking.attempt)) {
                unmet.push(format!("worker {} is booked for nothing", worker.id));
            }
            if let Some(other) = booked.insert(booking.job.clone(), worker.id.clone()) {
                unmet.push(format!(
                    "{} and {other} are booked for {}",
                    worker.id, booking.job
                ));
            }
        }
        Ok(unmet)
    }

    /// Whether so many workers are idle, and no other is open.
    pub async fn standbys(&self, wanted: u64) -> Option<String> {
        let open = match self.store.workers(&WorkerState::OPEN).await {
            Ok(open) => open,
            Err(error) => return Some(error.to_string()),
        };
        let idle = |worker: &&Worker| worker.state == WorkerState::Idle;
        let found = (open.len() as u64, open.iter().filter(idle).count() as u64);
        (found != (wanted, wanted))
            .then(|| format!("(open, idle) workers are {found:?}, and {wanted} are kept warm"))
    }

    /// The fleet's counter.
    fn counted(&self) -> i64 {
        let key = json!({"worker_id": {"S": "fleet"}});
        self.database
            .item("faults-workers", &key)
            .and_then(|item| item["live"]["N"].as_str()?.parse().ok())
            .unwrap_or(0)
    }
}
