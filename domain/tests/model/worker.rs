//! A worker's process: it registers, serves what it is booked for, and
//! leaves, as in `worker::fleet` and `worker::attempt`. It fences itself by
//! no clock here, which leaves it free to write for as long as it likes.

use std::time::Duration;

use domain::job::{Change, Reason, ReasonCode, Totals};
use domain::protocol::{
    Assignment, DRAIN_PATIENCE, OnDrain, assignment_of, closes_itself, on_drain,
};
use domain::timeline::Claim;
use domain::worker::{Worker, WorkerState};

use crate::io::{Answer, Call, Halt, Io, Run};
use crate::media::{self, ChannelError, PRESENTATION, Writer};
use crate::records::{JobNo, NOW, WorkerNo, WorkerRecord, worker_id, worker_no};
use crate::scenario::Break;
use crate::store::WorkerChange;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Process {
    pub life: Life,
    /// It stands still (SIGSTOP, a stalled machine): nothing of it moves.
    pub frozen: bool,
    /// It was told to leave at once.
    pub leaving: bool,
    /// It was told to leave, once another can go on.
    pub draining: bool,
    /// What it is doing, with the journal of its calls.
    pub task: Option<(Work, Vec<Answer>)>,
}

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Life {
    #[default]
    Unborn,
    Starting,
    Idle,
    Serving(Box<Serving>),
    Leaving,
    Gone,
}

/// An attempt in its worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serving {
    pub job: JobNo,
    pub attempt: u64,
    /// The job's record has been read: it is ours.
    pub accepted: bool,
    pub orders: Assignment,
    pub told: Told,
    pub channel: Option<Writer>,
    pub runs: u8,
    /// The run has published.
    pub published: bool,
    pub outcome: Option<Outcome>,
    /// The publisher is done: whether the playlists are ended.
    pub ended: Option<bool>,
    /// It has waited for another for long enough.
    pub impatient: bool,
}

impl Serving {
    pub fn new((job, attempt): (JobNo, u64)) -> Self {
        Self {
            job,
            attempt,
            accepted: false,
            orders: Assignment::Run,
            told: Told::Nothing,
            channel: None,
            runs: 0,
            published: false,
            outcome: None,
            ended: None,
            impatient: false,
        }
    }
}

/// What the job's record was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    Nothing,
    Running,
    Streaming,
    Paused,
}

/// How the attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Stopped,
    Failed,
    HandedBack,
    HandedOver(WorkerNo),
}

/// What a process does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    Register,
    Begin,
    Tell(Told),
    Claim,
    Publish,
    End,
    WriteEnd,
    Leave,
}

/// What a piece of work came to.
#[derive(Debug)]
pub enum Did {
    Registered(WorkerRecord),
    Accepted(Assignment),
    Told(Told),
    Claimed(Writer),
    Published(Writer),
    Ended(bool),
    /// The next booking may come.
    Free,
    /// It is to leave the fleet.
    Leave,
    /// The process ends.
    Exit,
}

impl Process {
    /// What it does next, of its own; `None`: it waits.
    pub fn next(&self) -> Option<Work> {
        match &self.life {
            Life::Unborn | Life::Gone => None,
            Life::Idle => self.leaving.then_some(Work::Leave),
            Life::Starting => Some(Work::Register),
            Life::Leaving => Some(Work::Leave),
            Life::Serving(serving) => serving.next(),
        }
    }
}

impl Serving {
    fn next(&self) -> Option<Work> {
        if !self.accepted {
            return Some(Work::Begin);
        }
        match self.outcome {
            Some(Outcome::HandedBack | Outcome::HandedOver(_)) => return Some(Work::WriteEnd),
            Some(_) if self.ended.is_none() => return Some(Work::End),
            Some(_) => return Some(Work::WriteEnd),
            None => {}
        }
        match (self.orders, self.told) {
            (Assignment::Hold, Told::Paused) => None,
            (Assignment::Hold, _) => Some(Work::Tell(Told::Paused)),
            (_, Told::Nothing | Told::Paused) => Some(Work::Tell(Told::Running)),
            _ if self.channel.is_none() => Some(Work::Claim),
            _ if !self.published => Some(Work::Publish),
            (_, Told::Running) => Some(Work::Tell(Told::Streaming)),
            _ => None,
        }
    }

    /// With a beat of a worker that is to leave: whether its job goes on
    /// elsewhere now.
    pub fn depart(&mut self, own: &Worker, ready: Option<WorkerNo>) {
        let waited = match self.impatient {
            true => DRAIN_PATIENCE,
            false => Duration::ZERO,
        };
        if self.outcome.is_none() {
            self.outcome = match on_drain(own, waited, ready.map(|no| worker_id(no).clone())) {
                OnDrain::Wait => None,
                OnDrain::HandOver(to) => Some(Outcome::HandedOver(worker_no(&to))),
                OnDrain::HandBack(_) => Some(Outcome::HandedBack),
            };
        }
    }

    /// Between two pieces of work: whether it is to end.
    pub fn take_orders(&mut self, leaving: bool) {
        if self.outcome.is_none() && self.accepted {
            self.outcome = match self.orders {
                Assignment::Stop => Some(Outcome::Stopped),
                _ if leaving => Some(Outcome::HandedBack),
                _ => None,
            };
        }
    }
}

/// A process's work, call by call.
pub fn work(
    io: &mut Io<'_>,
    worker: WorkerNo,
    process: &Process,
    work: Work,
    broken: Option<Break>,
) -> Run<Did> {
    let Life::Serving(serving) = &process.life else {
        return match work {
            Work::Register => register(io, worker),
            _ => leave(io, worker),
        };
    };
    let (job, attempt) = (serving.job, serving.attempt);
    match work {
        Work::Begin => begin(io, worker, job, attempt),
        Work::Tell(told) => {
            let change = match told {
                Told::Running | Told::Nothing => Change::Listen { ingest: None },
                Told::Streaming => Change::StartInput,
                Told::Paused => Change::Pause,
            };
            // Where the job is another's, its beat says so too.
            report(io, worker, serving, change, WorkerChange::None)?;
            Ok(Did::Told(told))
        }
        Work::Claim => claim(io, serving, broken),
        Work::Publish => publish(io, serving),
        Work::End => end(io, serving, broken),
        Work::WriteEnd => write_end(io, worker, process.leaving, serving),
        Work::Register | Work::Leave => leave(io, worker),
    }
}

fn register(io: &mut Io<'_>, worker: WorkerNo) -> Run<Did> {
    let Some(record) = io.worker(worker)? else {
        return Ok(Did::Exit);
    };
    match io.call(Call::Register(worker))? {
        Answer::Worker(_, Some(registered)) => Ok(Did::Registered(registered)),
        Answer::Conflict => {
            let state = match record.booking {
                Some(_) => WorkerState::Booked,
                None => WorkerState::Idle,
            };
            let found = io.worker(worker)?.filter(|found| {
                found.beat == 1 && found.state == state && found.booking == record.booking
            });
            Ok(found.map_or(Did::Exit, Did::Registered))
        }
        _ => Ok(Did::Exit),
    }
}

fn begin(io: &mut Io<'_>, worker: WorkerNo, job: JobNo, attempt: u64) -> Run<Did> {
    if let Some(stored) = io.job(job)? {
        let record = stored.job(job);
        if record.is_booked_on(worker_id(worker), attempt) {
            return Ok(Did::Accepted(assignment_of(&record)));
        }
    }
    let release = WorkerChange::Release {
        worker,
        booking: (job, attempt),
    };
    match io.call(Call::CommitWorker(release))? {
        Answer::Done => Ok(Did::Free),
        _ => Ok(Did::Leave),
    }
}

fn claim(io: &mut Io<'_>, serving: &Serving, broken: Option<Break>) -> Run<Did> {
    let claim = Claim::Publish(PRESENTATION);
    match media::take(io, serving.job, serving.attempt, claim, broken)? {
        Ok(writer) => Ok(Did::Claimed(writer)),
        Err(ChannelError::NotOurs) => Ok(Did::Leave),
        Err(ChannelError::Retry) => Err(Halt::Failed),
    }
}

fn publish(io: &mut Io<'_>, serving: &Serving) -> Run<Did> {
    let Some(mut writer) = serving.channel.clone() else {
        return Ok(Did::Leave);
    };
    let number = u32::from(serving.runs) + 1;
    let Some(next) = media::with_segment(&writer.timeline.0, number) else {
        return Ok(Did::Leave);
    };
    match media::publish(io, serving.job, &mut writer, next)? {
        Ok(()) => Ok(Did::Published(writer)),
        Err(ChannelError::NotOurs) => Ok(Did::Leave),
        Err(ChannelError::Retry) => Err(Halt::Failed),
    }
}

/// The publisher's end, which waits for its claim.
fn end(io: &mut Io<'_>, serving: &Serving, broken: Option<Break>) -> Run<Did> {
    let claim = Claim::Publish(PRESENTATION);
    let claimed = match &serving.channel {
        Some(writer) => Ok(writer.clone()),
        None => media::take(io, serving.job, serving.attempt, claim, broken)?,
    };
    let ended = match claimed {
        Ok(mut writer) => {
            let next = media::with_end(&writer.timeline.0);
            media::publish(io, serving.job, &mut writer, next)?
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => Ok(Did::Ended(true)),
        Err(ChannelError::NotOurs) => Ok(Did::Ended(false)),
        Err(ChannelError::Retry) => Err(Halt::Failed),
    }
}

fn write_end(io: &mut Io<'_>, worker: WorkerNo, leaving: bool, serving: &Serving) -> Run<Did> {
    let close = WorkerChange::Close {
        worker,
        seen_beat: None,
    };
    let release = WorkerChange::Release {
        worker,
        booking: (serving.job, serving.attempt),
    };
    let free = if leaving { close } else { release };
    let totals = Totals::default();
    if let Some(Outcome::HandedOver(to)) = serving.outcome
        && hand_over(io, worker, to, serving)?
    {
        return Ok(Did::Leave);
    }
    let playlists_ended = serving.ended == Some(true);
    let (change, half) = match serving.outcome {
        Some(Outcome::Failed) => {
            let reason = Reason::new(ReasonCode::SpecRejected, "");
            let fail = Change::Fail {
                reason,
                totals,
                playlists_ended,
            };
            (fail, free)
        }
        Some(Outcome::HandedBack | Outcome::HandedOver(_)) => {
            let reason = Reason::new(ReasonCode::WorkerDrained, "");
            (Change::HandBack { reason, totals }, close)
        }
        Some(Outcome::Stopped) | None => {
            let finish = Change::Finish {
                reason: None,
                totals,
                playlists_ended,
            };
            (finish, free)
        }
    };
    match report(io, worker, serving, change, half)? {
        Some(WorkerChange::Release { .. }) => Ok(Did::Free),
        _ => Ok(Did::Leave),
    }
}

/// Gives the job to the worker that was found, or else to one more; whether it
/// is another's now.
fn hand_over(io: &mut Io<'_>, worker: WorkerNo, found: WorkerNo, serving: &Serving) -> Run<bool> {
    let booking = (serving.job, serving.attempt + 1);
    let mut next = Some(found);
    while let Some(to) = next {
        let Some(stored) = io.job(serving.job)? else {
            return Ok(true);
        };
        let job = stored.job(serving.job);
        if !job.is_booked_on(worker_id(worker), serving.attempt) {
            return Ok(true);
        }
        let change = Change::HandOver {
            to: worker_id(to).clone(),
            reason: Reason::new(ReasonCode::WorkerDrained, ""),
            totals: Totals::default(),
        };
        // It is to stop: that is for nobody else to do.
        let Ok(transition) = job.apply(change, NOW) else {
            return Ok(false);
        };
        let half = WorkerChange::HandOver {
            from: worker,
            to,
            booking,
        };
        next = match io.call(Call::Commit(serving.job, Box::new(transition), half))? {
            Answer::Done => return Ok(true),
            Answer::WorkerChanged if to == found => match io.call(Call::ReadIdle)? {
                Answer::Idle(idle) => idle.into_iter().find(|other| *other != found),
                _ => None,
            },
            Answer::WorkerChanged => None,
            _ => return Err(Halt::Failed),
        };
    }
    Ok(false)
}

/// Writes a change until it is written (with which half of the worker's) or
/// the job is another's (`None`).
fn report(
    io: &mut Io<'_>,
    worker: WorkerNo,
    serving: &Serving,
    change: Change,
    mut half: WorkerChange,
) -> Run<Option<WorkerChange>> {
    loop {
        let Some(stored) = io.job(serving.job)? else {
            return Ok(None);
        };
        let job = stored.job(serving.job);
        if !job.is_booked_on(worker_id(worker), serving.attempt) {
            return Ok(None);
        }
        let Ok(transition) = job.apply(change.clone(), NOW) else {
            return Ok(Some(half));
        };
        match io.call(Call::Commit(serving.job, Box::new(transition), half))? {
            Answer::Done => return Ok(Some(half)),
            // Drained meanwhile: it takes no other job, so it leaves.
            Answer::WorkerChanged if matches!(half, WorkerChange::Release { .. }) => {
                half = WorkerChange::Close {
                    worker,
                    seen_beat: None,
                };
            }
            Answer::WorkerChanged | Answer::FleetFull => return Ok(None),
            _ => return Err(Halt::Failed),
        }
    }
}

fn leave(io: &mut Io<'_>, worker: WorkerNo) -> Run<Did> {
    let Some(record) = io.worker(worker)? else {
        return Ok(Did::Exit);
    };
    if closes_itself(&record.worker(worker)) {
        let close = WorkerChange::Close {
            worker,
            seen_beat: Some(record.beat),
        };
        io.call(Call::CommitWorker(close))?;
    }
    Ok(Did::Exit)
}
