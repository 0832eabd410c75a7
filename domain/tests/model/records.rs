//! The records as the model keeps them: what the domain's own records hold,
//! as far as anybody decides by it, small enough to keep millions of them.
//! Decisions are made on the domain's types, so each goes both ways.

use std::sync::LazyLock;

use domain::ids::{JobId, WorkerId};
use domain::job::{Deletion, Desired, Job, JobState, Reason, ReasonCode};
use domain::message::Watch;
use domain::protocol::chain_link;
use domain::spec::{OperatorPolicy, Spec, WorkerSize};
use domain::worker::{Booking, Worker, WorkerState};
use jiff::Timestamp;

/// A job's place in the model.
pub type JobNo = u8;
/// A worker's place in the model: the spare, then for each job those launched
/// for its attempts, and the standbys for their workers.
pub type WorkerNo = u8;

/// No scenario comes to a higher attempt.
pub const ATTEMPTS: u64 = 6;
/// The model has at most so many jobs.
pub const JOBS: u8 = 2;
/// The worker that is there from the start, where a scenario has one.
pub const SPARE: WorkerNo = 0;
/// How many workers there can be with so many jobs, the last one's standbys
/// only where there are any.
pub fn workers(jobs: u8, standbys: bool) -> usize {
    let each = ATTEMPTS as usize;
    let last = if standbys { 0 } else { each };
    1 + usize::from(jobs) * 2 * each - last
}

/// The time, always: nothing in the protocol may depend on it.
pub const NOW: Timestamp = Timestamp::UNIX_EPOCH;

static TEMPLATES: LazyLock<Vec<Job>> = LazyLock::new(|| {
    let sample = include_bytes!("../../../live_job.json");
    let mut spec = Spec::parse(sample, &OperatorPolicy::default()).unwrap();
    // Nobody decides by them, and a job is made of its record very often.
    spec.output.video_outputs.clear();
    spec.output.audio_outputs.clear();
    let id = |n| JobId::parse(&format!("019a0000-0000-7000-8000-00000000000{n}")).unwrap();
    (0..JOBS)
        .map(|n| Job::new(id(n), spec.clone(), NOW))
        .collect()
});

static WORKER_IDS: LazyLock<Vec<WorkerId>> = LazyLock::new(|| {
    let spare = WorkerId::parse("00000000-0000-4000-8000-000000000000").unwrap();
    let launched = TEMPLATES.iter().flat_map(|job| {
        let own = (1..=ATTEMPTS).map(|attempt| WorkerId::for_attempt(&job.id, attempt));
        let standbys = (1..=ATTEMPTS).map(|attempt| WorkerId::for_standby(&job.id, attempt));
        own.chain(standbys)
    });
    std::iter::once(spare).chain(launched).collect()
});

/// The id of a job.
pub fn job_id(job: JobNo) -> &'static JobId {
    &TEMPLATES[usize::from(job)].id
}

/// The place of a job.
pub fn job_no(id: &JobId) -> JobNo {
    let place = TEMPLATES.iter().position(|job| job.id == *id);
    place.expect("a job of the model's") as JobNo
}

/// The id of a worker.
pub fn worker_id(worker: WorkerNo) -> &'static WorkerId {
    &WORKER_IDS[usize::from(worker)]
}

/// The place of a worker.
pub fn worker_no(id: &WorkerId) -> WorkerNo {
    let place = WORKER_IDS.iter().position(|known| known == id);
    place.expect("no scenario comes to so many attempts") as WorkerNo
}

/// A job's record: the item of the table, with its chain of looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobRecord {
    pub version: u64,
    pub state: JobState,
    pub desired: Desired,
    pub worker: Option<WorkerNo>,
    pub attempt: u64,
    pub failures: u32,
    pub waits_for_fleet: bool,
    pub deletion: Option<bool>,
    pub ending: bool,
    pub watch_seq: u64,
    /// The message that has advanced the chain to there; `None` also where no
    /// copy of it is left.
    pub watch_by: Option<MessageId>,
    pub swept_watch_seq: Option<u64>,
}

impl JobRecord {
    /// A job just created.
    pub fn new(job: JobNo) -> Self {
        Self::of(&TEMPLATES[usize::from(job)], None)
    }

    /// What the model keeps of a job. The attributes of its chain of looks stay
    /// as they were `before`.
    pub fn of(job: &Job, before: Option<&Self>) -> Self {
        let reason = job.reason.as_ref().map(|reason| reason.code);
        Self {
            version: job.version,
            state: job.state,
            desired: job.desired,
            worker: job.worker_id.as_ref().map(worker_no),
            attempt: job.attempt,
            failures: job.failures,
            waits_for_fleet: reason == Some(ReasonCode::FleetLimit),
            deletion: job.deletion.map(|deletion| deletion.media),
            ending: job.ending,
            watch_seq: before.map_or(0, |before| before.watch_seq),
            watch_by: before.and_then(|before| before.watch_by),
            swept_watch_seq: before.and_then(|before| before.swept_watch_seq),
        }
    }

    /// The link at which a message finds the chain.
    pub fn link_for(&self, message: MessageId) -> u64 {
        chain_link(self.watch_seq, self.watch_by.as_ref(), &message)
    }

    /// The domain's record.
    pub fn job(&self, job: JobNo) -> Job {
        let reason = self
            .waits_for_fleet
            .then(|| Reason::new(ReasonCode::FleetLimit, ""));
        Job {
            version: self.version,
            state: self.state,
            desired: self.desired,
            reason,
            worker_id: self.worker.map(|worker| worker_id(worker).clone()),
            attempt: self.attempt,
            failures: self.failures,
            deletion: self.deletion.map(|media| Deletion { media }),
            ending: self.ending,
            ..TEMPLATES[usize::from(job)].clone()
        }
    }
}

/// A worker's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerRecord {
    pub state: WorkerState,
    pub booking: Option<(JobNo, u64)>,
    pub beat: u64,
    pub swept_beat: Option<u64>,
    /// A standby's that boots: sweeps in a row that saw it there.
    pub swept_still: u32,
    /// A standby's: it has been launched.
    pub has_task: bool,
    pub no_standby: bool,
}

impl WorkerRecord {
    /// One just launched, for this booking or as a standby.
    pub fn booting(booking: Option<(JobNo, u64)>) -> Self {
        Self {
            state: WorkerState::Booting,
            booking,
            beat: 0,
            swept_beat: None,
            swept_still: 0,
            has_task: false,
            no_standby: false,
        }
    }

    /// The domain's record.
    pub fn worker(&self, worker: WorkerNo) -> Worker {
        let booking = self.booking.map(|(job, attempt)| Booking {
            job: job_id(job).clone(),
            attempt,
        });
        Worker {
            state: self.state,
            beat: self.beat,
            swept_beat: self.swept_beat,
            swept_still: self.swept_still,
            task: self.has_task.then(String::new),
            no_standby: self.no_standby,
            ..Worker::booting(worker_id(worker).clone(), WorkerSize::Small, booking, NOW)
        }
    }

    /// Whether it counts against the fleet's limit.
    pub fn is_open(&self) -> bool {
        WorkerState::OPEN.contains(&self.state)
    }
}

/// The queue's name of a message; all its deliveries have it. 0 where nobody
/// asks for it.
pub type MessageId = u8;

/// A message on its way, or being taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Envelope {
    pub letter: Letter,
    pub id: MessageId,
}

/// A message. The parts of a sweep are messages of their own, as
/// they don't depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Letter {
    Schedule {
        job: JobNo,
        after_failures: Option<u32>,
        try_seq: Option<u64>,
    },
    Look(Look),
    TaskStopped {
        worker: WorkerNo,
    },
    Delete {
        job: JobNo,
    },
    StopBy {
        job: JobNo,
        attempt: u64,
    },
    SweepJob {
        job: JobNo,
    },
    SweepEnding {
        job: JobNo,
    },
    SweepDeletion {
        job: JobNo,
    },
    SweepWorker {
        worker: WorkerNo,
    },
}

/// The message `Watch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Look {
    pub job: JobNo,
    pub attempt: u64,
    pub watch_seq: u64,
    pub seen_beat: u64,
    pub unmoved: u32,
}

impl Look {
    /// What the model keeps of a `Watch`.
    pub fn of(watch: &Watch) -> Self {
        Self {
            job: job_no(&watch.job),
            attempt: watch.attempt,
            watch_seq: watch.watch_seq,
            seen_beat: watch.seen_beat,
            unmoved: watch.unmoved,
        }
    }

    /// The domain's message.
    pub fn watch(&self) -> Watch {
        Watch {
            job: job_id(self.job).clone(),
            attempt: self.attempt,
            watch_seq: self.watch_seq,
            seen_beat: self.seen_beat,
            unmoved: self.unmoved,
        }
    }
}
