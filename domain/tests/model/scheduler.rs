//! The scheduler's handlers, call by call as in `functions::scheduler`. What
//! they decide, they ask `domain::protocol`.

use std::time::Duration;

use domain::ids::WorkerId;
use domain::job::{Change, Job, JobState, Reason, ReasonCode, Totals};
use domain::protocol::{
    OnDelete, OnDraining, OnSchedule, OnStopBy, OnSweepJob, OnSweepWorker, OnTaskStopped, OnWatch,
    Timing, on_delete, on_draining, on_schedule, on_stop_by, on_sweep_job, on_sweep_worker,
    on_task_stopped, on_watch, playlists_are_to_end,
};
use domain::timeline::Claim;
use domain::worker::WorkerState;

use crate::io::{Answer, Call, Halt, Io, Run};
use crate::media::{self, ChannelError};
use crate::records::{
    JobNo, JobRecord, Letter, Look, MessageId, NOW, WorkerNo, WorkerRecord, worker_id, worker_no,
};
use crate::scenario::{Break, Scenario};
use crate::store::WorkerChange;

/// The protocol's times; a launch is given up after two looks already.
pub const TIMING: Timing = Timing {
    lease: Duration::from_secs(8),
    launch_deadline: Duration::from_secs(4),
    stop_grace: Duration::from_secs(10),
    pace: 1,
};

/// A handler at work.
pub struct Handler<'a, 'j> {
    pub scenario: &'a Scenario,
    pub io: Io<'j>,
    /// The message's id.
    pub message: MessageId,
}

/// What is known of a try to place a job.
#[derive(Clone, Copy)]
struct Try {
    after_failures: Option<u32>,
    seq: Option<u64>,
}

impl Handler<'_, '_> {
    /// Takes a message.
    pub fn take(&mut self, letter: Letter) -> Run<()> {
        match letter {
            Letter::Schedule {
                job,
                after_failures,
                try_seq: seq,
            } => self.schedule(
                job,
                Try {
                    after_failures,
                    seq,
                },
            ),
            Letter::Look(look) => self.watch(look),
            Letter::StopBy { job, attempt } => self.stop_by(job, attempt),
            Letter::Delete { job } => self.delete(job),
            Letter::SweepDeletion { job } => self.io.send(Letter::Delete { job }),
            Letter::TaskStopped { worker } => self.task_stopped(worker),
            Letter::SweepJob { job } => self.sweep_job(job),
            Letter::SweepEnding { job } => self.sweep_ending(job),
            Letter::SweepWorker { worker } => self.sweep_worker(worker),
        }
    }

    fn worker_of(&mut self, job: &Job) -> Run<Option<(WorkerNo, WorkerRecord)>> {
        let Some(worker) = job.worker_id.as_ref().map(worker_no) else {
            return Ok(None);
        };
        Ok(self.io.worker(worker)?.map(|record| (worker, record)))
    }

    fn commit(&mut self, no: JobNo, job: &Job, change: Change, worker: WorkerChange) -> Run<Job> {
        let transition = job.apply(change, NOW).map_err(|_| Halt::Failed)?;
        let after = transition.job.clone();
        let call = Call::Commit(no, Box::new(transition), worker);
        self.io.must(call)?;
        Ok(after)
    }

    fn schedule(&mut self, no: JobNo, tried: Try) -> Run<()> {
        let Some(stored) = self.io.job(no)? else {
            return Ok(());
        };
        let link = stored.link_for(self.message);
        if tried.seq.is_some_and(|seq| seq != link) {
            return Ok(());
        }
        let job = stored.job(no);
        let worker = self.worker_of(&job)?;
        let record = worker.map(|(worker, record)| record.worker(worker));
        match on_schedule(Some(&job), record.as_ref(), tried.after_failures) {
            OnSchedule::Place => self.place(no, &stored),
            OnSchedule::DriveLaunch => match worker {
                Some((worker, record)) => self.drive_launch(no, &job, worker, &record),
                None => Ok(()),
            },
            OnSchedule::Drop => Ok(()),
        }
    }

    fn place(&mut self, no: JobNo, stored: &JobRecord) -> Run<()> {
        let job = &stored.job(no);
        let Answer::Idle(idle) = self.io.call(Call::ReadIdle)? else {
            return Err(Halt::Failed);
        };
        for worker in idle {
            let booked = book(job, worker_id(worker))?;
            let booking = (no, booked.job.attempt);
            let after = booked.job.clone();
            let change = WorkerChange::Book { worker, booking };
            match self.io.call(Call::Commit(no, Box::new(booked), change))? {
                Answer::Done => return self.start_watch(no, &after),
                Answer::WorkerChanged => {}
                _ => return Err(Halt::Failed),
            }
        }
        self.book_new(no, stored)
    }

    fn book_new(&mut self, no: JobNo, stored: &JobRecord) -> Run<()> {
        let job = &stored.job(no);
        let id = WorkerId::for_attempt(&job.id, job.attempt + 1);
        let booked = book(job, &id)?;
        let after = booked.job.clone();
        let worker = worker_no(&id);
        let booking = (no, after.attempt);
        let launch = WorkerChange::Launch {
            worker,
            booking: Some(booking),
        };
        match self.io.call(Call::Commit(no, Box::new(booked), launch))? {
            Answer::Done => {
                let record = WorkerRecord::booting(Some(booking));
                self.drive_launch(no, &after, worker, &record)
            }
            Answer::FleetFull => self.wait_for_fleet(no, stored),
            _ => Err(Halt::Failed),
        }
    }

    fn wait_for_fleet(&mut self, no: JobNo, stored: &JobRecord) -> Run<()> {
        let mut job = stored.job(no);
        if !stored.waits_for_fleet {
            let reason = Reason::new(ReasonCode::FleetLimit, "");
            job = self.commit(no, &job, Change::NotPlaced { reason }, WorkerChange::None)?;
        }
        let seq = stored.link_for(self.message);
        let advance = Call::AdvanceWatch {
            job: no,
            attempt: job.attempt,
            seq,
            by: self.message,
        };
        match self.io.call(advance)? {
            Answer::Conflict => Ok(()),
            Answer::Done => self.io.send(Letter::Schedule {
                job: no,
                after_failures: Some(job.failures),
                try_seq: Some(seq + 1),
            }),
            _ => Err(Halt::Failed),
        }
    }

    fn drive_launch(
        &mut self,
        no: JobNo,
        job: &Job,
        worker: WorkerNo,
        record: &WorkerRecord,
    ) -> Run<()> {
        self.start_watch(no, job)?;
        match self.io.call(Call::Launch(worker))? {
            Answer::Done => match self.io.call(Call::NoteTask(worker))? {
                Answer::Conflict => self.io.must(Call::Kill(worker)),
                _ => Ok(()),
            },
            _ => self.replace(no, job, worker, record, ReasonCode::NoCapacity),
        }
    }

    fn start_watch(&mut self, no: JobNo, job: &Job) -> Run<()> {
        let stored = self.io.job(no)?;
        self.io.send(Letter::Look(Look {
            job: no,
            attempt: job.attempt,
            watch_seq: stored.map(|stored| stored.watch_seq).unwrap_or_default(),
            seen_beat: 0,
            unmoved: 0,
        }))
    }

    fn schedule_again(&mut self, no: JobNo, job: &Job) -> Run<()> {
        let pause = TIMING.placement_backoff(job.failures);
        self.io.send(Letter::Schedule {
            job: no,
            after_failures: (pause > Duration::ZERO).then_some(job.failures),
            try_seq: None,
        })
    }

    fn watch(&mut self, look: Look) -> Run<()> {
        let Some(stored) = self.io.job(look.job)? else {
            return Ok(());
        };
        let job = stored.job(look.job);
        let worker = self
            .worker_of(&job)?
            .filter(|(_, record)| record.state != WorkerState::Closed);
        let record = worker.map(|(worker, record)| record.worker(worker));
        let watch = look.watch();
        let link = stored.link_for(self.message);
        match on_watch(Some(&job), link, record.as_ref(), &watch, &TIMING) {
            OnWatch::Drop => Ok(()),
            OnWatch::LookAgain(next) => {
                let next = Look::of(&next);
                let advance = Call::AdvanceWatch {
                    job: look.job,
                    attempt: next.attempt,
                    seq: look.watch_seq,
                    by: self.message,
                };
                match self.io.call(advance)? {
                    Answer::Conflict => return Ok(()),
                    Answer::Done => self.io.send(Letter::Look(next))?,
                    _ => return Err(Halt::Failed),
                }
                match worker {
                    Some((worker, record)) => self.look_at_drain(&job, worker, &record),
                    None => Ok(()),
                }
            }
            OnWatch::Dead(reason) => match worker {
                Some((worker, record)) => {
                    self.replace(look.job, &job, worker, &record, reason.code)
                }
                None if self.has_moved_on(look.job, &job)? => self.io.send(Letter::Look(look)),
                None => self.lose(look.job, &job, reason.code, None),
            },
        }
    }

    fn has_moved_on(&mut self, no: JobNo, job: &Job) -> Run<bool> {
        let now = self.io.job(no)?;
        Ok(now.is_none_or(|stored| stored.attempt != job.attempt))
    }

    /// What fails here is for the next look.
    fn look_at_drain(&mut self, job: &Job, worker: WorkerNo, record: &WorkerRecord) -> Run<()> {
        if record.state != WorkerState::Draining {
            return Ok(());
        }
        let id = WorkerId::for_standby(&job.id, job.attempt);
        let standby = worker_no(&id);
        let Answer::Idle(idle) = self.io.call(Call::ReadIdle)? else {
            return Ok(());
        };
        let found = self.io.worker(standby)?.map(|found| found.worker(standby));
        let draining = record.worker(worker);
        match on_draining(&draining, job, !idle.is_empty(), found.as_ref()) {
            OnDraining::Leave => Ok(()),
            OnDraining::Launch => {
                let launch = WorkerChange::Launch {
                    worker: standby,
                    booking: None,
                };
                match self.io.call(Call::CommitWorker(launch))? {
                    Answer::Done => self.launch_standby(standby),
                    Answer::FleetFull => self.refuse_standby(worker),
                    _ => Ok(()),
                }
            }
            OnDraining::LaunchAgain => self.launch_standby(standby),
            OnDraining::Refuse => self.refuse_standby(worker),
        }
    }

    fn launch_standby(&mut self, standby: WorkerNo) -> Run<()> {
        if self.io.call(Call::Launch(standby))? == Answer::Done {
            self.io.call(Call::NoteTask(standby))?;
        }
        Ok(())
    }

    fn refuse_standby(&mut self, worker: WorkerNo) -> Run<()> {
        self.io.call(Call::RefuseStandby(worker))?;
        Ok(())
    }

    fn task_stopped(&mut self, worker: WorkerNo) -> Run<()> {
        let Some(record) = self.io.worker(worker)? else {
            return Ok(());
        };
        let stored = match record.booking {
            Some((job, _)) => self.io.job(job)?.map(|stored| (job, stored.job(job))),
            None => None,
        };
        let job = stored.as_ref().map(|(_, job)| job);
        let gone = WorkerChange::Close {
            worker,
            seen_beat: Some(record.beat),
        };
        match (on_task_stopped(&record.worker(worker), job), &stored) {
            (OnTaskStopped::LoseJob, Some((no, job))) => {
                self.lose(*no, job, ReasonCode::WorkerExited, None)
            }
            (OnTaskStopped::ScheduleAgain { close }, Some((no, job))) => {
                self.schedule_again(*no, job)?;
                match close {
                    true => self.io.must(Call::CommitWorker(gone)),
                    false => Ok(()),
                }
            }
            (OnTaskStopped::Close, _) => self.io.must(Call::CommitWorker(gone)),
            _ => Ok(()),
        }
    }

    fn replace(
        &mut self,
        no: JobNo,
        job: &Job,
        worker: WorkerNo,
        record: &WorkerRecord,
        code: ReasonCode,
    ) -> Run<()> {
        self.io.must(Call::Kill(worker))?;
        self.lose(no, job, code, Some(record.beat))
    }

    fn lose(&mut self, no: JobNo, job: &Job, code: ReasonCode, seen_beat: Option<u64>) -> Run<()> {
        let change = Change::LoseWorker {
            reason: Reason::new(code, ""),
            totals: Totals::default(),
        };
        let worker = job.worker_id.as_ref().map(worker_no);
        let lost = match (seen_beat, worker) {
            (Some(_), Some(worker)) => {
                let close = WorkerChange::Close { worker, seen_beat };
                self.commit(no, job, change, close)?
            }
            (_, worker) => self.commit_closing(no, job, change, worker)?,
        };
        if lost.state.is_ended() {
            return self.end_playlists(no, &lost);
        }
        self.schedule_again(no, &lost)
    }

    /// Closes the worker whatever its beat says, if it is open.
    fn commit_closing(
        &mut self,
        no: JobNo,
        job: &Job,
        change: Change,
        worker: Option<WorkerNo>,
    ) -> Run<Job> {
        if let Some(worker) = worker {
            let close = WorkerChange::Close {
                worker,
                seen_beat: None,
            };
            let transition = job.apply(change.clone(), NOW).map_err(|_| Halt::Failed)?;
            let after = transition.job.clone();
            match self
                .io
                .call(Call::Commit(no, Box::new(transition), close))?
            {
                Answer::Done => return Ok(after),
                Answer::WorkerChanged => {}
                _ => return Err(Halt::Failed),
            }
        }
        self.commit(no, job, change, WorkerChange::None)
    }

    fn stop_by(&mut self, no: JobNo, attempt: u64) -> Run<()> {
        let job = self.io.job(no)?.map(|record| record.job(no));
        match (on_stop_by(job.as_ref(), attempt), job) {
            (OnStopBy::Force, Some(job)) => self.force_stop(no, &job),
            (OnStopBy::EndPlaylists, Some(job)) => self.end_playlists(no, &job),
            _ => Ok(()),
        }
    }

    fn force_stop(&mut self, no: JobNo, job: &Job) -> Run<()> {
        let worker = self
            .worker_of(job)?
            .filter(|(_, record)| record.state != WorkerState::Closed);
        if let Some((worker, _)) = worker {
            self.io.must(Call::Kill(worker))?;
        }
        let change = Change::ForceStop {
            totals: Totals::default(),
        };
        let booked = job.worker_id.as_ref().map(worker_no);
        let stopped = self.commit_closing(no, job, change, booked)?;
        self.end_playlists(no, &stopped)
    }

    fn end_playlists(&mut self, no: JobNo, job: &Job) -> Run<()> {
        if !playlists_are_to_end(job) {
            return Ok(());
        }
        if self.end_channel(no, job)? == Err(ChannelError::Retry) {
            return Ok(());
        }
        let transition = job
            .apply(Change::EndPlaylists, NOW)
            .map_err(|_| Halt::Failed)?;
        let call = Call::Commit(no, Box::new(transition), WorkerChange::None);
        match self.io.call(call)? {
            Answer::Done | Answer::JobChanged => Ok(()),
            _ => Err(Halt::Failed),
        }
    }

    fn end_channel(&mut self, no: JobNo, job: &Job) -> Run<Result<(), ChannelError>> {
        let broken = self.scenario.broken;
        let taken = media::take(&mut self.io, no, job.attempt, Claim::End, broken)?;
        Ok(taken.map(drop))
    }

    fn delete(&mut self, no: JobNo) -> Run<()> {
        let job = self.io.job(no)?.map(|record| record.job(no));
        let decision = on_delete(job.as_ref());
        let Some(job) = job else { return Ok(()) };
        match decision {
            OnDelete::Drop => return Ok(()),
            OnDelete::Wait => return self.io.send(Letter::Delete { job: no }),
            OnDelete::RemoveMedia => {
                self.io.must(Call::Bury(no))?;
                self.io.must(Call::DeleteMedia(no))?;
            }
            OnDelete::EndPlaylists => {
                if self.end_channel(no, &job)? == Err(ChannelError::Retry) {
                    return Err(Halt::Failed);
                }
            }
            OnDelete::Remove => {}
        }
        self.io.must(Call::DeleteJob {
            job: no,
            version: job.version,
        })
    }

    fn sweep_job(&mut self, no: JobNo) -> Run<()> {
        let Some(stored) = self.io.job(no)? else {
            return Ok(());
        };
        let job = stored.job(no);
        if job.state.is_ended() {
            return Ok(());
        }
        if job.state == JobState::Stopping {
            self.io.send(Letter::StopBy {
                job: no,
                attempt: job.attempt,
            })?;
        }
        let schedule = Letter::Schedule {
            job: no,
            after_failures: None,
            try_seq: None,
        };
        match on_sweep_job(&job, stored.watch_seq, stored.swept_watch_seq) {
            OnSweepJob::Schedule => self.io.send(schedule),
            OnSweepJob::NoteWatch => self.note(Call::NoteWatch {
                job: no,
                seq: stored.watch_seq,
            }),
            OnSweepJob::RestartWatch
                if self.scenario.broken == Some(Break::SweepWithoutRestart) =>
            {
                Ok(())
            }
            OnSweepJob::RestartWatch => {
                if job.state == JobState::Assigned {
                    self.io.send(schedule)?;
                }
                self.restart_watch(no, &stored)
            }
        }
    }

    fn restart_watch(&mut self, no: JobNo, stored: &JobRecord) -> Run<()> {
        self.io.send(Letter::Look(Look {
            job: no,
            attempt: stored.attempt,
            watch_seq: stored.watch_seq,
            seen_beat: 0,
            unmoved: 0,
        }))
    }

    /// The sweep finds such a job in the index; its message says the rest.
    fn sweep_ending(&mut self, no: JobNo) -> Run<()> {
        match self.io.job(no)? {
            Some(stored) if stored.ending => self.io.send(Letter::StopBy {
                job: no,
                attempt: stored.attempt,
            }),
            _ => Ok(()),
        }
    }

    fn sweep_worker(&mut self, worker: WorkerNo) -> Run<()> {
        let Some(record) = self.io.worker(worker)?.filter(WorkerRecord::is_open) else {
            return Ok(());
        };
        let job = match record.booking {
            Some((job, _)) => self.io.job(job)?.map(|stored| stored.job(job)),
            None => None,
        };
        match on_sweep_worker(&record.worker(worker), job.as_ref()) {
            OnSweepWorker::Leave => Ok(()),
            OnSweepWorker::NoteBeat => self.note(Call::NoteBeat {
                worker,
                beat: record.beat,
            }),
            OnSweepWorker::Close => {
                let close = WorkerChange::Close {
                    worker,
                    seen_beat: Some(record.beat),
                };
                match self.io.call(Call::CommitWorker(close))? {
                    Answer::Done => self.io.must(Call::Kill(worker)),
                    Answer::WorkerChanged => Ok(()),
                    _ => Err(Halt::Failed),
                }
            }
        }
    }

    /// A write that a record which has moved on makes needless.
    fn note(&mut self, call: Call) -> Run<()> {
        match self.io.call(call)? {
            Answer::Done | Answer::Conflict | Answer::WorkerChanged => Ok(()),
            _ => Err(Halt::Failed),
        }
    }
}

fn book(job: &Job, worker: &WorkerId) -> Run<domain::job::Transition> {
    let worker = worker.clone();
    job.apply(Change::Book { worker }, NOW)
        .map_err(|_| Halt::Failed)
}
