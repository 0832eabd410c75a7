//! The channel in the object store and its fence: what `aws::media` does,
//! with one playlist that stands for all. A version is the content: an ETag
//! is its hash, and no two bodies are the same.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::timeline::{
    Bandwidth, Claim, ClaimError, Media, NewRun, Presentation, Rendition, Span, Stamp, Timeline,
};

use crate::io::{Answer, Call, Io, Run};
use crate::records::{JobNo, NOW, job_id};
use crate::scenario::Break;

/// A `timeline.json`, the domain's own.
#[derive(Clone)]
pub struct Recorded(pub Arc<Timeline>);

impl Recorded {
    fn key(&self) -> (Stamp, bool, bool, u64) {
        let Self(timeline) = self;
        (
            timeline.stamp(),
            timeline.ended(),
            timeline.is_deleted(),
            timeline.next_sequence(),
        )
    }

    pub fn attempt(&self) -> u64 {
        self.0.stamp().attempt
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Recorded {}

impl Hash for Recorded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stamp, ended, deleted, segments) = self.key();
        let ended = match (ended, deleted) {
            (_, true) => ", deleted",
            (true, false) => ", ended",
            (false, false) => "",
        };
        write!(f, "[{stamp}, {segments} segments{ended}]")
    }
}

/// A playlist: whose it is, and whether it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Playlist {
    pub stamp: Stamp,
    pub ended: bool,
}

impl Playlist {
    fn of(timeline: &Timeline) -> Self {
        Self {
            stamp: timeline.stamp(),
            ended: timeline.ended(),
        }
    }
}

/// A channel as its writer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Writer {
    pub timeline: Recorded,
    pub playlist: Option<Playlist>,
}

/// How a write to a channel ended, short of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelError {
    /// A higher attempt has it, or it was deleted.
    NotOurs,
    /// The store was not there.
    Retry,
}

type Written<T> = Run<Result<T, ChannelError>>;

/// How a channel of the model is presented.
pub const PRESENTATION: Presentation = Presentation {
    target_duration: 4,
    dvr_window: 12,
};

/// `Writer::take` of `aws::media::claim`.
pub fn take(
    io: &mut Io<'_>,
    job: JobNo,
    attempt: u64,
    claim: Claim,
    broken: Option<Break>,
) -> Written<Writer> {
    let timeline = loop {
        let found = match io.call(Call::ReadTimeline(job))? {
            Answer::Timeline(found) => found,
            _ => return Ok(Err(ChannelError::Retry)),
        };
        let read = found.as_ref().map(|found| Timeline::clone(&found.0));
        let claimed = match Timeline::claimed(read, job_id(job), attempt, claim, NOW) {
            Ok(claimed) => claimed,
            Err(ClaimError::Fenced { .. }) if broken == Some(Break::ClaimByAnyAttempt) => {
                Timeline::claimed(None, job_id(job), attempt, claim, NOW).unwrap()
            }
            Err(ClaimError::Fenced { .. }) => return Ok(Err(ChannelError::NotOurs)),
            Err(ClaimError::Deleted) if broken == Some(Break::ClaimATombstone) => {
                Timeline::claimed(None, job_id(job), attempt, claim, NOW).unwrap()
            }
            Err(ClaimError::Deleted) => return clear_away(io, job).map(Err),
        };
        let body = Recorded(Arc::new(claimed));
        let write = Call::WriteTimeline {
            job,
            over: found,
            body: body.clone(),
        };
        match io.call(write)? {
            Answer::Done => break body,
            Answer::Conflict => {}
            _ => return Ok(Err(ChannelError::Retry)),
        }
    };
    let mut writer = Writer {
        timeline,
        playlist: None,
    };
    if writer.timeline.0.has_playlists() {
        match io.call(Call::ReadPlaylist(job))? {
            Answer::Playlist(Some(found)) if found.stamp.attempt > attempt => {
                return Ok(Err(ChannelError::NotOurs));
            }
            Answer::Playlist(found) => writer.playlist = found,
            _ => return Ok(Err(ChannelError::Retry)),
        }
        if let Err(error) = write_playlist(io, job, &mut writer)? {
            return Ok(Err(error));
        }
    }
    io.must(Call::Claimed { job, attempt })?;
    Ok(Ok(writer))
}

/// `Writer::commit` of `aws::media::writer`, and the playlists after it.
pub fn publish(io: &mut Io<'_>, job: JobNo, writer: &mut Writer, next: Timeline) -> Written<()> {
    let body = Recorded(Arc::new(next));
    let mut over = writer.timeline.clone();
    loop {
        let write = Call::WriteTimeline {
            job,
            over: Some(over),
            body: body.clone(),
        };
        match io.call(write)? {
            Answer::Done => break,
            Answer::Conflict => {}
            _ => return Ok(Err(ChannelError::Retry)),
        }
        match io.call(Call::ReadTimeline(job))? {
            Answer::Timeline(Some(found)) if found == body => break,
            Answer::Timeline(Some(found)) if found.0.is_deleted() => {
                return clear_away(io, job).map(Err);
            }
            Answer::Timeline(Some(found)) if found.0.stamp().fences(body.0.stamp()) => {
                return Ok(Err(ChannelError::NotOurs));
            }
            Answer::Timeline(Some(found)) => over = found,
            Answer::Timeline(None) => return Ok(Err(ChannelError::NotOurs)),
            _ => return Ok(Err(ChannelError::Retry)),
        }
    }
    writer.timeline = body;
    write_playlist(io, job, writer)
}

fn write_playlist(io: &mut Io<'_>, job: JobNo, writer: &mut Writer) -> Written<()> {
    if !writer.timeline.0.has_playlists() {
        return Ok(Ok(()));
    }
    let body = Playlist::of(&writer.timeline.0);
    let mut over = writer.playlist;
    let created = loop {
        match io.call(Call::WritePlaylist { job, over, body })? {
            Answer::Done => break over.is_none(),
            Answer::Conflict => {}
            _ => return Ok(Err(ChannelError::Retry)),
        }
        over = match io.call(Call::ReadPlaylist(job))? {
            Answer::Playlist(Some(found)) if found == body => break true,
            Answer::Playlist(Some(found)) if found.stamp.fences(body.stamp) => {
                return Ok(Err(ChannelError::NotOurs));
            }
            Answer::Playlist(None) => match unless_deleted(io, job)? {
                Ok(()) => None,
                Err(error) => return Ok(Err(error)),
            },
            Answer::Playlist(found) => found,
            _ => return Ok(Err(ChannelError::Retry)),
        };
    };
    if created && let Err(error) = unless_deleted(io, job)? {
        return Ok(Err(error));
    }
    writer.playlist = Some(body);
    Ok(Ok(()))
}

/// `Writer::unless_deleted` of `aws::media::writer`.
fn unless_deleted(io: &mut Io<'_>, job: JobNo) -> Written<()> {
    match io.call(Call::ReadTimeline(job))? {
        Answer::Timeline(Some(found)) if !found.0.is_deleted() => Ok(Ok(())),
        Answer::Timeline(_) => clear_away(io, job).map(Err),
        _ => Ok(Err(ChannelError::Retry)),
    }
}

/// `clear_away` of `aws::media::delete`.
fn clear_away(io: &mut Io<'_>, job: JobNo) -> Run<ChannelError> {
    match io.call(Call::DeleteMedia(job))? {
        Answer::Done => Ok(ChannelError::NotOurs),
        _ => Ok(ChannelError::Retry),
    }
}

/// What a deletion leaves of a channel.
pub fn tombstone(job: JobNo, found: Option<&Recorded>) -> Recorded {
    let found = found.map(|found| &*found.0);
    let attempt = found.map_or(0, |found| found.stamp().attempt);
    Recorded(Arc::new(Timeline::tombstone(
        found,
        job_id(job),
        attempt,
        NOW,
    )))
}

/// The timeline with one more segment, in a run of its own.
pub fn with_segment(timeline: &Timeline, number: u32) -> Option<Timeline> {
    let mut next = timeline.clone();
    let rendition = Rendition {
        label: "360p".to_owned(),
        codec: "avc1.64001e".to_owned(),
        timescale: 1000,
        bandwidth: Bandwidth {
            peak: 500_000,
            average: 400_000,
        },
        media: Media::Video {
            width: 640,
            height: 360,
            framerate: 25.0,
        },
    };
    let run = NewRun {
        number,
        start: NOW,
        renditions: vec![rendition],
    };
    let span = Span {
        start: 0,
        duration: 4000,
        bytes: 1,
    };
    let id = next.begin_run(run, NOW).ok()?;
    next.append(id, vec![span], NOW).ok()?;
    Some(next)
}

/// The timeline with its end.
pub fn with_end(timeline: &Timeline) -> Timeline {
    let mut next = timeline.clone();
    next.end(NOW);
    next
}
