//! One state for all that differ in nothing anybody can tell: counters that
//! are only compared are numbered anew, what can never matter again is
//! dropped, and what has no order is sorted.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use domain::worker::WorkerState;

use crate::io::Answer;
use crate::records::{Envelope, JobNo, JobRecord, Letter, MessageId, WorkerNo, WorkerRecord};
use crate::world::{Task, World};

/// A value's hash, the same in every run.
pub fn hash(value: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// Old values, each of which gets its rank as the new one.
#[derive(Default)]
struct Ranks(Vec<u64>);

impl Ranks {
    fn see(&mut self, value: u64) {
        self.0.push(value);
    }

    fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The rank, from `first` on, leaving alone what is below that.
    fn of(&self, value: u64, first: u64) -> u64 {
        if value < first {
            return value;
        }
        let below = self.0.iter().filter(|seen| **seen < first).count();
        let rank = self.0.partition_point(|seen| *seen < value);
        first + (rank - below) as u64
    }
}

impl World {
    /// Makes it the one of its kind.
    pub fn canonical(&mut self) {
        self.drop_the_dead();
        for job in 0..self.stores.jobs.len() as JobNo {
            self.renumber_job(job);
        }
        for worker in 0..self.stores.workers.len() as WorkerNo {
            self.renumber_worker(worker);
        }
        self.rename_messages();
    }

    /// Messages that are dropped now and for ever: a removed job never comes
    /// back, attempts and links only grow.
    fn drop_the_dead(&mut self) {
        let stores = &self.stores;
        let job = |job: JobNo| stores.jobs[usize::from(job)];
        self.queue.retain(|envelope| match envelope.letter {
            Letter::Look(look) => job(look.job).is_some_and(|record| {
                // It goes on with the attempt that its own was handed over to.
                record.state.is_placed()
                    && record.attempt >= look.attempt
                    && record.link_for(envelope.id) == look.watch_seq
            }),
            Letter::Schedule { job: no, .. }
            | Letter::Delete { job: no }
            | Letter::StopBy { job: no, .. }
            | Letter::SweepJob { job: no }
            | Letter::SweepEnding { job: no }
            | Letter::SweepDeletion { job: no } => job(no).is_some(),
            Letter::TaskStopped { worker } | Letter::SweepWorker { worker } => {
                let record = stores.workers[usize::from(worker)];
                record.is_some_and(|record| {
                    let waits = record.booking.is_some_and(|(no, attempt)| {
                        job(no).is_some_and(|job| job.attempt <= attempt)
                    });
                    record.state != WorkerState::Closed || waits
                })
            }
        });
    }

    fn journals(&mut self) -> impl Iterator<Item = &mut Answer> {
        let tasks = self.tasks.iter_mut().flat_map(|task| &mut task.journal);
        let works = self
            .processes
            .iter_mut()
            .filter_map(|process| process.task.as_mut());
        tasks.chain(works.flat_map(|(_, journal)| journal))
    }

    fn letters(&mut self) -> impl Iterator<Item = &mut Letter> {
        let tasks = self.tasks.iter_mut().map(|task| &mut task.envelope);
        let envelopes = self.queue.iter_mut().chain(tasks);
        envelopes.map(|envelope| &mut envelope.letter)
    }

    fn each_job_record(&mut self, no: JobNo, mut f: impl FnMut(&mut JobRecord)) {
        if let Some(record) = &mut self.stores.jobs[usize::from(no)] {
            f(record);
        }
        for answer in self.journals() {
            if let Answer::Job(of, Some(record)) = answer
                && *of == no
            {
                f(record);
            }
        }
    }

    fn renumber_job(&mut self, no: JobNo) {
        let mut versions = Ranks::default();
        let mut links = Ranks::default();
        let mut failures = Ranks::default();
        self.each_job_record(no, |record| {
            versions.see(record.version);
            // What the reader's own write has made of it.
            versions.see(record.version + 1);
            links.see(record.watch_seq);
            if record.watch_by.is_some() {
                links.see(record.watch_seq.saturating_sub(1));
            }
            record
                .swept_watch_seq
                .into_iter()
                .for_each(|seq| links.see(seq));
            failures.see(record.failures.into());
        });
        for letter in self.letters() {
            match letter {
                Letter::Look(look) if look.job == no => links.see(look.watch_seq),
                Letter::Schedule {
                    job,
                    after_failures,
                    try_seq,
                } if *job == no => {
                    try_seq.iter().for_each(|seq| links.see(*seq));
                    after_failures
                        .iter()
                        .for_each(|n| failures.see((*n).into()));
                }
                _ => {}
            }
        }
        versions.settle();
        links.settle();
        failures.settle();
        let failed = |n: u32| failures.of(n.into(), 1) as u32;
        self.each_job_record(no, |record| {
            record.version = versions.of(record.version, 1);
            record.watch_seq = links.of(record.watch_seq, 0);
            record.swept_watch_seq = record.swept_watch_seq.map(|seq| links.of(seq, 0));
            record.failures = failed(record.failures);
        });
        for letter in self.letters() {
            match letter {
                Letter::Look(look) if look.job == no => {
                    look.watch_seq = links.of(look.watch_seq, 0);
                }
                Letter::Schedule {
                    job,
                    after_failures,
                    try_seq,
                } if *job == no => {
                    *try_seq = try_seq.map(|seq| links.of(seq, 0));
                    *after_failures = after_failures.map(failed);
                }
                _ => {}
            }
        }
    }

    /// The worker that a look is at: its job's, as far as its task has read.
    fn looked_at(&self, envelope: &Envelope, task: Option<&Task>) -> Option<WorkerNo> {
        let Letter::Look(look) = envelope.letter else {
            return None;
        };
        let read = task.and_then(|task| {
            task.journal.iter().find_map(|answer| match answer {
                Answer::Job(no, Some(record)) if *no == look.job => Some(*record),
                _ => None,
            })
        });
        read.or(self.stores.jobs[usize::from(look.job)])?.worker
    }

    fn each_beat(&mut self, no: WorkerNo, mut f: impl FnMut(&mut u64)) {
        let in_queue: Vec<bool> = self
            .queue
            .iter()
            .map(|envelope| self.looked_at(envelope, None) == Some(no))
            .collect();
        let in_tasks: Vec<bool> = self
            .tasks
            .iter()
            .map(|task| self.looked_at(&task.envelope, Some(task)) == Some(no))
            .collect();
        let mut beats = |record: &mut WorkerRecord| {
            f(&mut record.beat);
            record.swept_beat.iter_mut().for_each(&mut f);
        };
        if let Some(record) = &mut self.stores.workers[usize::from(no)] {
            beats(record);
        }
        for answer in self.journals() {
            if let Answer::Worker(of, Some(record)) = answer
                && *of == no
            {
                beats(record);
            }
        }
        let queue = self.queue.iter_mut().zip(in_queue);
        let tasks = self
            .tasks
            .iter_mut()
            .map(|task| &mut task.envelope)
            .zip(in_tasks);
        for (envelope, at) in queue.chain(tasks) {
            if let Letter::Look(look) = &mut envelope.letter
                && at
            {
                f(&mut look.seen_beat);
            }
        }
    }

    fn renumber_worker(&mut self, no: WorkerNo) {
        if self.stores.workers[usize::from(no)].is_none() {
            return;
        }
        let mut beats = Ranks::default();
        self.each_beat(no, |beat| beats.see(*beat));
        beats.settle();
        // 0 and 1 have a meaning of their own: not registered, and just so.
        self.each_beat(no, |beat| *beat = beats.of(*beat, 2));
    }

    /// Sorts messages and tasks, and names the messages in that order.
    fn rename_messages(&mut self) {
        let by: Vec<MessageId> = self
            .stores
            .jobs
            .iter()
            .flatten()
            .filter_map(|job| job.watch_by)
            .collect();
        let key = |envelope: &Envelope| (envelope.letter, by.contains(&envelope.id), envelope.id);
        self.queue.sort_unstable_by_key(key);
        self.tasks.sort_by_cached_key(|task| {
            let by = by.contains(&task.envelope.id);
            (task.envelope.letter, by, task.hasty, hash(&task.journal))
        });
        let mut names: Vec<MessageId> = Vec::new();
        let tasks = self.tasks.iter().map(|task| task.envelope.id);
        for id in tasks.chain(self.queue.iter().map(|envelope| envelope.id)) {
            if id != 0 && !names.contains(&id) {
                names.push(id);
            }
        }
        let name = |id: MessageId| {
            let at = names.iter().position(|known| *known == id);
            at.map(|at| at as MessageId + 1)
        };
        for no in 0..self.stores.jobs.len() as JobNo {
            self.each_job_record(no, |record| {
                record.watch_by = record.watch_by.and_then(name);
            });
        }
        let tasks = self.tasks.iter_mut().map(|task| &mut task.envelope);
        for envelope in self.queue.iter_mut().chain(tasks) {
            envelope.id = name(envelope.id).unwrap_or(0);
        }
    }
}
