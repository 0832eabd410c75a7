//! The two stores: which writes take effect, as `aws::store` and
//! `aws::media` put their conditions.

use domain::event::EventKind;
use domain::job::{Desired, Transition};
use domain::worker::WorkerState;

use crate::io::{Answer, Call};
use crate::media::{Playlist, Recorded, tombstone};
use crate::records::{JobNo, JobRecord, WorkerNo, WorkerRecord};
use crate::scenario::{Break, Scenario};

/// The worker's half of a transition, as `aws::store::WorkerChange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerChange {
    None,
    Book {
        worker: WorkerNo,
        booking: (JobNo, u64),
    },
    Launch {
        worker: WorkerNo,
        /// A standby has none.
        booking: Option<(JobNo, u64)>,
    },
    HandOver {
        from: WorkerNo,
        to: WorkerNo,
        booking: (JobNo, u64),
    },
    Release {
        worker: WorkerNo,
        booking: (JobNo, u64),
    },
    Close {
        worker: WorkerNo,
        seen_beat: Option<u64>,
    },
}

/// What is in DynamoDB and in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stores {
    pub jobs: Vec<Option<JobRecord>>,
    pub workers: Vec<Option<WorkerRecord>>,
    /// The fleet's counter.
    pub live: u64,
    pub channels: Vec<ChannelObjects>,
    /// What must never happen, where it has.
    pub violation: Option<&'static str>,
}

/// A channel's objects, and what the invariants remember of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ChannelObjects {
    pub timeline: Option<Recorded>,
    pub playlist: Option<Playlist>,
    /// The highest attempt that has claimed timeline and playlists.
    pub claimed: u64,
}

impl ChannelObjects {
    /// Whether its tombstone is there.
    pub fn is_deleted(&self) -> bool {
        let timeline = self.timeline.as_ref();
        timeline.is_some_and(|found| found.0.is_deleted())
    }
}

impl Stores {
    /// Reads, or writes where the condition holds.
    pub fn call(&mut self, scenario: &Scenario, call: &Call) -> Answer {
        match call {
            Call::ReadJob(job) => Answer::Job(*job, self.jobs[usize::from(*job)]),
            Call::ReadWorker(worker) => Answer::Worker(*worker, self.workers[usize::from(*worker)]),
            Call::ReadIdle => Answer::Idle(self.idle()),
            Call::Commit(job, transition, change) => {
                self.commit(scenario, *job, transition, *change)
            }
            Call::CommitWorker(change) => match self.check_worker(scenario, *change) {
                Some(failed) => failed,
                None => self.change_worker(*change),
            },
            Call::DeleteJob { job, version } => match self.job_mut(*job) {
                Some(found) if found.version == *version => {
                    self.jobs[usize::from(*job)] = None;
                    Answer::Done
                }
                _ => Answer::JobChanged,
            },
            Call::AdvanceWatch {
                job,
                attempt,
                seq,
                by,
            } => match self.job_mut(*job) {
                Some(found) if found.attempt == *attempt && found.link_for(*by) == *seq => {
                    found.watch_seq = seq + 1;
                    found.watch_by = Some(*by);
                    Answer::Done
                }
                _ => Answer::Conflict,
            },
            Call::NoteWatch { job, seq } => match self.job_mut(*job) {
                Some(found) if found.watch_seq == *seq => {
                    found.swept_watch_seq = Some(*seq);
                    Answer::Done
                }
                _ => Answer::Conflict,
            },
            Call::NoteBeat { worker, beat } => match self.worker_mut(*worker) {
                Some(found) if found.beat == *beat => {
                    let standby = found.state == WorkerState::Booting && found.booking.is_none();
                    if standby {
                        found.swept_still = found.worker(*worker).still_for_sweeps();
                    }
                    found.swept_beat = Some(*beat);
                    Answer::Done
                }
                _ => Answer::Conflict,
            },
            Call::NoteTask(worker) => match self.worker_mut(*worker) {
                Some(found) if found.state != WorkerState::Closed => {
                    // Nobody asks for it of those that are booked.
                    found.has_task = found.booking.is_none();
                    Answer::Done
                }
                _ => Answer::Conflict,
            },
            Call::RefuseStandby(worker) => match self.worker_mut(*worker) {
                Some(found) if found.state == WorkerState::Draining => {
                    found.no_standby = true;
                    Answer::Done
                }
                _ => Answer::Conflict,
            },
            Call::Register(worker) => match self.worker_mut(*worker) {
                Some(found) if found.state == WorkerState::Booting => {
                    found.state = match found.booking {
                        Some(_) => WorkerState::Booked,
                        None => WorkerState::Idle,
                    };
                    found.beat = 1;
                    found.swept_still = 0;
                    Answer::Worker(*worker, Some(*found))
                }
                _ => Answer::Conflict,
            },
            Call::ReadTimeline(job) => Answer::Timeline(self.channel(*job).timeline.clone()),
            Call::ReadPlaylist(job) => Answer::Playlist(self.channel(*job).playlist),
            Call::WriteTimeline { job, over, body } => {
                self.write_timeline(scenario, *job, over.as_ref(), body)
            }
            Call::WritePlaylist { job, over, body } => self.write_playlist(*job, *over, *body),
            Call::Bury(job) => {
                let channel = self.channel(*job);
                if !channel.is_deleted() {
                    channel.timeline = Some(tombstone(*job, channel.timeline.as_ref()));
                }
                Answer::Done
            }
            Call::DeleteMedia(job) => {
                self.channel(*job).playlist = None;
                Answer::Done
            }
            Call::Claimed { job, attempt } => {
                let channel = self.channel(*job);
                channel.claimed = channel.claimed.max(*attempt);
                Answer::Done
            }
            Call::Launch(_) | Call::Kill(_) | Call::Send(_) => Answer::Done,
        }
    }

    /// Whether a write's condition does not hold, and never will again.
    pub fn never_takes(&self, scenario: &Scenario, call: &Call) -> bool {
        let conditional = [Break::CommitOverAnyVersion, Break::CloseAtAnyBeat];
        if scenario
            .broken
            .is_some_and(|broken| conditional.contains(&broken))
        {
            return false;
        }
        let job = |job: &JobNo| self.jobs[usize::from(*job)];
        match call {
            Call::Commit(no, transition, _) => {
                job(no).is_none_or(|found| found.version != transition.from_version)
            }
            Call::DeleteJob { job: no, version } => {
                job(no).is_none_or(|found| found.version != *version)
            }
            Call::AdvanceWatch {
                job: no,
                attempt,
                seq,
                by,
            } => {
                job(no).is_none_or(|found| found.attempt != *attempt || found.link_for(*by) != *seq)
            }
            Call::NoteWatch { job: no, seq } => job(no).is_none_or(|found| found.watch_seq != *seq),
            Call::NoteBeat { worker, beat } => {
                self.workers[usize::from(*worker)].is_none_or(|found| found.beat != *beat)
            }
            Call::CommitWorker(WorkerChange::Close {
                worker,
                seen_beat: Some(beat),
            }) => self.workers[usize::from(*worker)].is_none_or(|found| found.beat != *beat),
            _ => false,
        }
    }

    fn job_mut(&mut self, job: JobNo) -> Option<&mut JobRecord> {
        self.jobs[usize::from(job)].as_mut()
    }

    fn worker_mut(&mut self, worker: WorkerNo) -> Option<&mut WorkerRecord> {
        self.workers[usize::from(worker)].as_mut()
    }

    pub fn channel(&mut self, job: JobNo) -> &mut ChannelObjects {
        &mut self.channels[usize::from(job)]
    }

    pub fn idle(&self) -> Vec<WorkerNo> {
        let records = (0..).zip(&self.workers);
        records
            .filter(|(_, record)| record.is_some_and(|found| found.state == WorkerState::Idle))
            .map(|(worker, _)| worker)
            .collect()
    }

    /// Open worker records: what the fleet's counter counts.
    pub fn open_workers(&self) -> u64 {
        let open = self
            .workers
            .iter()
            .flatten()
            .filter(|found| found.is_open());
        open.count() as u64
    }

    fn commit(
        &mut self,
        scenario: &Scenario,
        job: JobNo,
        transition: &Transition,
        change: WorkerChange,
    ) -> Answer {
        let any = scenario.broken == Some(Break::CommitOverAnyVersion);
        let Some(before) = self.jobs[usize::from(job)] else {
            return Answer::JobChanged;
        };
        if before.version != transition.from_version && !any {
            return Answer::JobChanged;
        }
        if let Some(failed) = self.check_worker(scenario, change) {
            return failed;
        }
        self.change_worker(change);
        let (after, event) = (&transition.job, transition.event.kind);
        if after.attempt < before.attempt {
            self.violation = Some("an attempt went back");
        }
        if before.desired == Desired::Stop
            && after.desired != Desired::Stop
            && event != EventKind::ResumeRequested
        {
            self.violation = Some("a client's stop was taken back");
        }
        if before.deletion.is_some() && after.deletion.is_none() {
            self.violation = Some("a client's deletion was taken back");
        }
        // The looks' own attribute is left as it is.
        self.jobs[usize::from(job)] = Some(JobRecord::of(&transition.job, Some(&before)));
        Answer::Done
    }

    /// What the worker's half fails with.
    fn check_worker(&self, scenario: &Scenario, change: WorkerChange) -> Option<Answer> {
        let found = |worker: WorkerNo| self.workers[usize::from(worker)];
        let any = |which| scenario.broken == Some(which);
        let is_idle = |worker| found(worker).is_some_and(|found| found.state == WorkerState::Idle);
        let holds = match change {
            WorkerChange::None => true,
            WorkerChange::Book { worker, .. } => {
                is_idle(worker) || (found(worker).is_some() && any(Break::BookAnyWorker))
            }
            WorkerChange::HandOver { from, to, .. } => {
                let leaves = found(from).is_some_and(|found| found.state != WorkerState::Closed);
                leaves && (is_idle(to) || any(Break::HandOverToAnyWorker))
            }
            WorkerChange::Launch { worker, .. } => found(worker).is_none(),
            WorkerChange::Release { worker, booking } => found(worker).is_some_and(|found| {
                found.state == WorkerState::Booked && found.booking == Some(booking)
            }),
            WorkerChange::Close { worker, seen_beat } => found(worker).is_some_and(|found| {
                let seen = seen_beat.is_none_or(|beat| beat == found.beat);
                found.state != WorkerState::Closed && (seen || any(Break::CloseAtAnyBeat))
            }),
        };
        if !holds {
            return Some(Answer::WorkerChanged);
        }
        let full = scenario.max_workers.is_some_and(|max| self.live >= max);
        (full && matches!(change, WorkerChange::Launch { .. })).then_some(Answer::FleetFull)
    }

    fn change_worker(&mut self, change: WorkerChange) -> Answer {
        match change {
            WorkerChange::None => {}
            WorkerChange::Launch { worker, booking } => {
                self.live += 1;
                self.workers[usize::from(worker)] = Some(WorkerRecord::booting(booking));
            }
            WorkerChange::HandOver { from, to, booking } => {
                self.change_worker(WorkerChange::Book {
                    worker: to,
                    booking,
                });
                self.change_worker(WorkerChange::Close {
                    worker: from,
                    seen_beat: None,
                });
            }
            WorkerChange::Book { worker, booking } => {
                if let Some(found) = self.worker_mut(worker) {
                    found.state = WorkerState::Booked;
                    found.booking = Some(booking);
                    found.beat += 1;
                }
            }
            WorkerChange::Release { worker, .. } => {
                if let Some(found) = self.worker_mut(worker) {
                    found.state = WorkerState::Idle;
                    found.booking = None;
                }
            }
            WorkerChange::Close { worker, seen_beat } => {
                // A scenario that is broken may close more than it opened.
                self.live = self.live.saturating_sub(1);
                let moved = self.workers[usize::from(worker)]
                    .zip(seen_beat)
                    .is_some_and(|(found, seen)| found.beat != seen);
                if moved {
                    self.violation = Some("a worker was closed that had moved since it was seen");
                }
                if let Some(found) = self.worker_mut(worker) {
                    found.state = WorkerState::Closed;
                }
            }
        }
        Answer::Done
    }

    /// What a worker notes that was told to leave (`Store::drain_worker`).
    pub fn drain(&mut self, worker: WorkerNo) {
        if let Some(found) = self.worker_mut(worker)
            && matches!(found.state, WorkerState::Idle | WorkerState::Booked)
        {
            found.state = WorkerState::Draining;
        }
    }

    /// A beat, on condition of the booking (`Some`) or of being in the fleet.
    pub fn beat(
        &mut self,
        worker: WorkerNo,
        booking: Option<(JobNo, u64)>,
    ) -> Option<WorkerRecord> {
        let found = self.worker_mut(worker)?;
        let booked = booking.is_none() || found.booking == booking;
        if found.state == WorkerState::Closed || !booked {
            return None;
        }
        found.beat += 1;
        Some(*found)
    }

    fn write_timeline(
        &mut self,
        scenario: &Scenario,
        job: JobNo,
        over: Option<&Recorded>,
        body: &Recorded,
    ) -> Answer {
        let any = scenario.broken == Some(Break::WriteOverAnyTimeline);
        let channel = self.channel(job);
        if channel.timeline.as_ref() != over && !any {
            return Answer::Conflict;
        }
        let attempt = body.attempt();
        let higher = channel
            .timeline
            .as_ref()
            .is_some_and(|found| found.attempt() > attempt);
        // An end is for good: only another attempt opens the channel again.
        let reopened = channel
            .timeline
            .as_ref()
            .is_some_and(|found| found.0.ended() && !body.0.ended() && found.attempt() == attempt);
        channel.timeline = Some(body.clone());
        if higher || channel.claimed > attempt {
            self.violation = Some("a lower attempt wrote the timeline");
        } else if reopened {
            self.violation = Some("an attempt opened the channel that it had ended");
        }
        Answer::Done
    }

    fn write_playlist(&mut self, job: JobNo, over: Option<Playlist>, body: Playlist) -> Answer {
        let channel = self.channel(job);
        if channel.playlist != over {
            return Answer::Conflict;
        }
        channel.playlist = Some(body);
        // What is created in a deleted channel is taken back: see the closing.
        if !channel.is_deleted() && channel.claimed > body.stamp.attempt {
            self.violation = Some("a lower attempt moved a playlist after a higher one's claim");
        }
        Answer::Done
    }
}
