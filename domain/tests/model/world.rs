//! The whole of it at one moment, and what may happen next.

use domain::protocol::{Assignment, LOOKS_PER_LEASE, WhenIdle, assignment, when_idle};
use domain::worker::WorkerState;

use crate::client;
use crate::io::{Answer, Call, Halt, Io};
use crate::records::{
    Envelope, JobNo, JobRecord, Letter, MessageId, SPARE, WorkerNo, WorkerRecord, job_no, workers,
};
use crate::scenario::{Scenario, Wish};
use crate::scheduler::Handler;
use crate::store::{ChannelObjects, Stores};
use crate::worker::{self, Did, Life, Outcome, Process, Serving, Told, Work};

/// A state of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub stores: Stores,
    pub processes: Vec<Process>,
    /// Messages that may be delivered.
    pub queue: Vec<Envelope>,
    /// Messages that are being taken.
    pub tasks: Vec<Task>,
    /// What may still go wrong, be asked for, be swept.
    pub faults: u8,
    pub orders: u8,
    pub sweeps: u8,
}

/// A message that a scheduler is taking.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    pub envelope: Envelope,
    pub journal: Vec<Answer>,
    /// The worker it looks at, doing well, has no time to beat before.
    pub hasty: bool,
}

impl Task {
    fn has_written(&self) -> bool {
        let reads = |answer: &Answer| {
            matches!(
                answer,
                Answer::Job(..)
                    | Answer::Worker(..)
                    | Answer::Idle(_)
                    | Answer::Timeline(_)
                    | Answer::Playlist(_)
            )
        };
        !self.journal.iter().all(reads)
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A message is delivered, and its first read made.
    Deliver(Envelope),
    /// The same, at once after the look before: the worker could not beat.
    DeliverHastily(Envelope),
    /// The queue delivers a message and keeps it.
    Twice(Envelope),
    /// A message is lost.
    Lose(Envelope),
    /// A scheduler goes on with this message.
    Scheduler(usize, Fate),
    /// A worker goes on with its work.
    Worker(WorkerNo, Fate),
    /// A worker beats, and reads what is wanted of it.
    Beat(WorkerNo),
    Freeze(WorkerNo),
    Thaw(WorkerNo),
    Kill(WorkerNo),
    /// SIGINT, or idle for too long.
    TellToLeave(WorkerNo),
    /// SIGTERM: make before break.
    Drain(WorkerNo),
    /// It has waited for another worker for long enough.
    LosePatience(WorkerNo),
    /// Its job can't go on.
    Fail(WorkerNo),
    /// The media store does not take the playlists' end for too long.
    GiveUpEnding(WorkerNo),
    /// A client asks; the follow-up is sent or (`false`) lost.
    Ask(JobNo, Wish, bool),
    Sweep,
}

/// How a call fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Well,
    /// It never arrives, or its caller dies before.
    FailsBefore,
    /// It takes effect; its answer is lost, or its caller dies.
    FailsAfter,
    /// It takes effect, its answer is lost, and the SDK repeats it.
    Repeated,
    /// The launch that comes with it finds no room.
    NoRoom,
}

impl World {
    pub fn start(scenario: &Scenario) -> Self {
        let count = workers(scenario.jobs, scenario.kinds.handed_over);
        let mut workers = vec![None; count];
        let mut processes = vec![Process::default(); count];
        if scenario.spare {
            workers[usize::from(SPARE)] = Some(WorkerRecord {
                state: WorkerState::Idle,
                beat: 1,
                ..WorkerRecord::booting(None)
            });
            processes[usize::from(SPARE)].life = Life::Idle;
        }
        let jobs = (0..scenario.jobs).map(|job| Some(JobRecord::new(job)));
        let mut world = Self {
            stores: Stores {
                jobs: jobs.collect(),
                workers,
                live: u64::from(scenario.spare),
                channels: vec![ChannelObjects::default(); usize::from(scenario.jobs)],
                violation: None,
            },
            processes,
            queue: Vec::new(),
            tasks: Vec::new(),
            faults: scenario.faults,
            orders: scenario.orders,
            sweeps: scenario.sweeps,
        };
        for job in 0..scenario.jobs {
            world.send(
                scenario,
                Letter::Schedule {
                    job,
                    after_failures: None,
                    try_seq: None,
                },
            );
        }
        world.canonical();
        world
    }

    /// What happens, if it can.
    pub fn after(&self, scenario: &Scenario, event: Event) -> Option<Self> {
        let mut world = self.clone();
        world.happen(scenario, event)?;
        world.hasten(scenario)?;
        world.canonical();
        Some(world)
    }

    /// Has what is sure to fail fail now: a write whose condition can never
    /// hold again changes nothing whenever it comes, and its message is late
    /// anyhow. So stale reads that wait in journals make no states.
    fn hasten(&mut self, scenario: &Scenario) -> Option<()> {
        while let Some(at) = self.tasks.iter().position(|task| {
            matches!(Self::calls(scenario, task), Err(Halt::Calls(call))
                if self.stores.never_takes(scenario, &call))
        }) {
            self.go_on(scenario, at, Fate::Well)?;
        }
        for worker in 0..self.processes.len() as WorkerNo {
            while let Some((work, journal)) = &self.processes[usize::from(worker)].task
                && !self.processes[usize::from(worker)].frozen
                && let process = &self.processes[usize::from(worker)]
                && let mut io = Io::replay(journal)
                && let Err(Halt::Calls(call)) =
                    worker::work(&mut io, worker, process, *work, scenario.broken)
                && self.stores.never_takes(scenario, &call)
            {
                self.work(scenario, worker, Fate::Well)?;
            }
        }
        Some(())
    }

    pub fn happen(&mut self, scenario: &Scenario, event: Event) -> Option<()> {
        match event {
            Event::Deliver(envelope) => self.deliver(scenario, envelope, true, false),
            Event::DeliverHastily(envelope) => {
                self.spend()?;
                self.deliver(scenario, envelope, true, true)
            }
            Event::Twice(envelope) => {
                self.spend()?;
                self.deliver(scenario, envelope, false, false)
            }
            Event::Lose(envelope) => {
                self.spend()?;
                self.take_out(envelope);
                Some(())
            }
            Event::Scheduler(task, fate) => {
                if fate != Fate::Well {
                    self.spend()?;
                }
                self.go_on(scenario, task, fate)
            }
            Event::Worker(worker, fate) => {
                if fate != Fate::Well {
                    self.spend()?;
                }
                self.work(scenario, worker, fate)
            }
            Event::Beat(worker) => {
                self.beat(worker);
                Some(())
            }
            Event::Freeze(worker) => {
                self.spend()?;
                self.process(worker).frozen = true;
                Some(())
            }
            Event::Thaw(worker) => {
                self.process(worker).frozen = false;
                Some(())
            }
            Event::Kill(worker) => {
                self.spend()?;
                self.exit(scenario, worker);
                Some(())
            }
            Event::TellToLeave(worker) => {
                self.spend()?;
                self.process(worker).leaving = true;
                Some(())
            }
            Event::Drain(worker) => {
                self.spend()?;
                let process = self.process(worker);
                match process.life {
                    Life::Serving(_) => process.draining = true,
                    _ => process.leaving = true,
                }
                Some(())
            }
            Event::LosePatience(worker) => {
                self.spend()?;
                self.lose_patience(worker);
                Some(())
            }
            Event::Fail(worker) => {
                self.spend()?;
                if let Life::Serving(serving) = &mut self.process(worker).life {
                    serving.outcome = Some(Outcome::Failed);
                }
                Some(())
            }
            Event::GiveUpEnding(worker) => {
                self.spend()?;
                let process = self.process(worker);
                process.task = None;
                if let Life::Serving(serving) = &mut process.life {
                    serving.ended = Some(false);
                }
                Some(())
            }
            Event::Ask(job, wish, heard) => {
                self.orders = self.orders.checked_sub(1)?;
                if !heard {
                    self.spend()?;
                }
                client::ask(self, scenario, job, wish, heard)
            }
            Event::Sweep => {
                self.sweeps = self.sweeps.checked_sub(1)?;
                self.sweep(scenario);
                Some(())
            }
        }
    }

    fn spend(&mut self) -> Option<()> {
        self.faults = self.faults.checked_sub(1)?;
        Some(())
    }

    pub fn process(&mut self, worker: WorkerNo) -> &mut Process {
        &mut self.processes[usize::from(worker)]
    }

    // --- messages ---

    pub fn send(&mut self, scenario: &Scenario, letter: Letter) {
        let letter = match letter {
            // The looks between the first without a beat and the last are
            // left out: in them nothing can happen that can't before or after.
            Letter::Look(mut look) if look.unmoved == 1 && !self.is_booting(look.job) => {
                look.unmoved = LOOKS_PER_LEASE - 1;
                Letter::Look(look)
            }
            letter => letter,
        };
        let chained = match letter {
            Letter::Look(_) => true,
            Letter::Schedule { .. } => scenario.max_workers.is_some(),
            _ => false,
        };
        let id = if chained { self.free_id() } else { 0 };
        self.queue.push(Envelope { letter, id });
    }

    fn free_id(&self) -> MessageId {
        let taken = self
            .queue
            .iter()
            .chain(self.tasks.iter().map(|task| &task.envelope));
        let taken = taken.map(|envelope| envelope.id);
        let by = self
            .stores
            .jobs
            .iter()
            .flatten()
            .filter_map(|job| job.watch_by);
        taken.chain(by).max().unwrap_or(0) + 1
    }

    fn take_out(&mut self, envelope: Envelope) {
        if let Some(at) = self.queue.iter().position(|found| *found == envelope) {
            self.queue.remove(at);
        }
    }

    fn is_booting(&self, job: JobNo) -> bool {
        let worker = self.stores.jobs[usize::from(job)].and_then(|job| job.worker);
        worker
            .and_then(|worker| self.stores.workers[usize::from(worker)])
            .is_some_and(|record| record.state == WorkerState::Booting)
    }

    /// The parts of a sweep: what the index has of each kind.
    pub fn sweep(&mut self, scenario: &Scenario) {
        let mut parts = Vec::new();
        for (job, record) in (0..).zip(&self.stores.jobs) {
            let Some(record) = record else { continue };
            parts.push(if !record.state.is_ended() {
                Letter::SweepJob { job }
            } else if record.deletion.is_some() {
                Letter::SweepDeletion { job }
            } else if record.ending {
                Letter::SweepEnding { job }
            } else {
                continue;
            });
        }
        for (worker, record) in (0..).zip(&self.stores.workers) {
            if record.is_some_and(|record| record.is_open()) {
                parts.push(Letter::SweepWorker { worker });
            }
        }
        for part in parts {
            self.send(scenario, part);
        }
    }

    // --- the schedulers ---

    fn deliver(
        &mut self,
        scenario: &Scenario,
        envelope: Envelope,
        once: bool,
        hasty: bool,
    ) -> Option<()> {
        if once {
            self.take_out(envelope);
        }
        self.tasks.push(Task {
            envelope,
            journal: Vec::new(),
            hasty,
        });
        self.go_on(scenario, self.tasks.len() - 1, Fate::Well)
    }

    /// What a task calls next; `None`: it is done, or (`Failed`) comes again.
    pub fn calls(scenario: &Scenario, task: &Task) -> Result<(), Halt> {
        Handler {
            scenario,
            io: Io::replay(&task.journal),
            message: task.envelope.id,
        }
        .take(task.envelope.letter)
    }

    /// Makes a task's next call, and those that follow at once.
    pub fn go_on(&mut self, scenario: &Scenario, at: usize, fate: Fate) -> Option<()> {
        let mut fate = fate;
        let mut first = true;
        let mut no_room = fate == Fate::NoRoom;
        let mut task = self.tasks.remove(at);
        loop {
            let call = match Self::calls(scenario, &task) {
                Ok(()) => break,
                Err(Halt::Failed) => {
                    self.queue.push(task.envelope);
                    break;
                }
                Err(Halt::Calls(call)) => call,
            };
            // What a handler reads before its first write it reads at once,
            // unless the scenario asks for more.
            let reads_on = !scenario.fine_reads && !call.writes() && !task.has_written();
            if !first && !reads_on && !call.follows_at_once() {
                self.tasks.push(task);
                break;
            }
            if let Call::ReadWorker(worker) = call
                && matches!(
                    task.envelope.letter,
                    Letter::Look(_) | Letter::SweepWorker { .. }
                )
                && !task.hasty
            {
                // Looks are far enough apart for a worker that does well.
                self.beat(worker);
            }
            let answer = match call {
                Call::Launch(_) if no_room => {
                    no_room = false;
                    Answer::NoCapacity
                }
                call => self.make(scenario, call, fate)?,
            };
            let died = matches!(fate, Fate::FailsBefore | Fate::FailsAfter);
            task.journal.push(answer);
            first = false;
            fate = Fate::Well;
            if died && !Self::survives(scenario, &task) {
                self.queue.push(task.envelope);
                break;
            }
        }
        // Without a launch there is no want of room.
        (!no_room).then_some(())
    }

    /// Whether a task has something to do about an answer that never came.
    fn survives(scenario: &Scenario, task: &Task) -> bool {
        !matches!(Self::calls(scenario, task), Err(Halt::Failed))
    }

    /// A call to the stores, or what it does to processes and queue.
    fn make(&mut self, scenario: &Scenario, call: Call, fate: Fate) -> Option<Answer> {
        if fate == Fate::FailsBefore {
            return call.writes().then_some(Answer::Unavailable);
        }
        if fate == Fate::Repeated && !call.meets_itself() {
            return None;
        }
        let answer = match call {
            Call::Send(letter) => {
                self.send(scenario, letter);
                Answer::Done
            }
            Call::Launch(worker) => {
                let process = self.process(worker);
                if process.life == Life::Unborn {
                    process.life = Life::Starting;
                }
                Answer::Done
            }
            Call::Kill(worker) => {
                if scenario.kills {
                    self.exit(scenario, worker);
                }
                Answer::Done
            }
            ref call => self.stores.call(scenario, call),
        };
        match fate {
            Fate::FailsAfter if !call_took_effect(&answer) => None,
            Fate::FailsAfter => Some(Answer::Unavailable),
            Fate::Repeated if !call_took_effect(&answer) => None,
            Fate::Repeated => Some(Answer::Conflict),
            _ => Some(answer),
        }
    }

    // --- the workers ---

    /// The process ends, and whoever watches tasks says so.
    fn exit(&mut self, scenario: &Scenario, worker: WorkerNo) {
        let process = self.process(worker);
        if matches!(process.life, Life::Unborn | Life::Gone) {
            return;
        }
        *process = Process {
            life: Life::Gone,
            ..Process::default()
        };
        self.send(scenario, Letter::TaskStopped { worker });
    }

    /// A beat, and what the worker learns with it.
    pub fn beat(&mut self, worker: WorkerNo) {
        if self.process(worker).frozen {
            return;
        }
        match self.process(worker).life.clone() {
            Life::Idle => {
                let record = self.stores.beat(worker, None);
                let record = record.map(|record| record.worker(worker));
                let process = self.process(worker);
                match when_idle(record.as_ref()) {
                    WhenIdle::Serve(booking) if !process.leaving => {
                        let booking = (job_no(&booking.job), booking.attempt);
                        process.life = Life::Serving(Box::new(Serving::new(booking)));
                    }
                    WhenIdle::Leave => process.life = Life::Leaving,
                    WhenIdle::Serve(_) | WhenIdle::Wait => {}
                }
            }
            Life::Serving(serving) if serving.accepted => {
                let booking = (serving.job, serving.attempt);
                let mut record = self.stores.beat(worker, Some(booking));
                if record.is_some() && self.process(worker).draining {
                    self.stores.drain(worker);
                    record = self.stores.workers[usize::from(worker)];
                }
                let job = self.stores.jobs[usize::from(serving.job)];
                let job = job.map(|record| record.job(serving.job));
                let orders = match record {
                    Some(record) => assignment(job.as_ref(), &record.worker(worker)),
                    None => Assignment::Gone,
                };
                self.order(worker, orders);
                if let Some(record) = record.filter(|found| found.state == WorkerState::Draining) {
                    let ready = self.ready();
                    if let Life::Serving(serving) = &mut self.process(worker).life {
                        serving.depart(&record.worker(worker), ready);
                    }
                }
            }
            _ => {}
        }
    }

    /// An idle worker whose beat moves.
    fn ready(&self) -> Option<WorkerNo> {
        let moves = |worker: &WorkerNo| {
            let process = &self.processes[usize::from(*worker)];
            process.life == Life::Idle && !process.frozen
        };
        self.stores.idle().into_iter().find(moves)
    }

    pub fn lose_patience(&mut self, worker: WorkerNo) {
        if let Life::Serving(serving) = &mut self.process(worker).life {
            serving.impatient = true;
        }
    }

    fn order(&mut self, worker: WorkerNo, orders: Assignment) {
        let process = self.process(worker);
        let Life::Serving(serving) = &mut process.life else {
            return;
        };
        serving.orders = orders;
        // Its last write is tried for a while yet: it may be what has freed it.
        let last_write = matches!(process.task, Some((Work::WriteEnd, _)));
        if orders == Assignment::Gone && !last_write {
            process.task = None;
            process.life = Life::Leaving;
        }
    }

    fn work(&mut self, scenario: &Scenario, worker: WorkerNo, fate: Fate) -> Option<()> {
        let process = self.process(worker);
        let (doing, mut journal) = match process.task.take() {
            Some(task) => task,
            None => {
                if let Life::Serving(serving) = &mut process.life {
                    let leaving = process.leaving;
                    serving.take_orders(leaving);
                }
                (process.next()?, Vec::new())
            }
        };
        let whole = !scenario.fine_media
            && matches!(
                doing,
                Work::Claim | Work::Publish | Work::End | Work::Register
            );
        let mut fate = fate;
        let mut first = true;
        loop {
            let process = &self.processes[usize::from(worker)];
            let mut io = Io::replay(&journal);
            let call = match worker::work(&mut io, worker, process, doing, scenario.broken) {
                Ok(did) => {
                    self.done(scenario, worker, did);
                    break;
                }
                // It begins anew.
                Err(Halt::Failed) => break,
                Err(Halt::Calls(call)) => call,
            };
            if !first && !whole && !call.follows_at_once() {
                self.process(worker).task = Some((doing, journal));
                break;
            }
            let hits = fate == Fate::Well || call.writes();
            let answer = self.make(scenario, call, if hits { fate } else { Fate::Well })?;
            if hits {
                fate = Fate::Well;
            }
            journal.push(answer);
            first = false;
        }
        (fate == Fate::Well).then_some(())
    }

    fn done(&mut self, scenario: &Scenario, worker: WorkerNo, did: Did) {
        let process = self.process(worker);
        if let Life::Serving(serving) = &mut process.life {
            match did {
                Did::Accepted(orders) => {
                    serving.accepted = true;
                    serving.orders = orders;
                }
                Did::Told(told) => {
                    serving.told = told;
                    if told == Told::Paused {
                        serving.published = false;
                    }
                }
                Did::Claimed(writer) => serving.channel = Some(writer),
                Did::Published(writer) => {
                    serving.channel = Some(writer);
                    serving.runs += 1;
                    serving.published = true;
                }
                Did::Ended(ended) => serving.ended = Some(ended),
                Did::Free => process.life = Life::Idle,
                Did::Leave | Did::Registered(_) => process.life = Life::Leaving,
                Did::Exit => self.exit(scenario, worker),
            }
            return;
        }
        match did {
            Did::Registered(record) => {
                process.life = match record.booking {
                    Some(booking) => Life::Serving(Box::new(Serving::new(booking))),
                    None => Life::Idle,
                };
            }
            _ => self.exit(scenario, worker),
        }
    }
}

fn call_took_effect(answer: &Answer) -> bool {
    matches!(answer, Answer::Done | Answer::Worker(..))
}
