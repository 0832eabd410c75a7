//! The model as stateright checks it: what may happen next, and what must
//! hold in every state.

use std::time::Instant;

use domain::worker::WorkerState;
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

use crate::canonical::hash;
use crate::closing::ends_well;
use crate::io::{Call, Halt};
use crate::records::{Envelope, JobNo, Letter, WorkerNo};
use crate::scenario::Scenario;
use crate::worker::{Life, Work};
use crate::world::{Event, Fate, World};

const NO_VIOLATION: &str = "nobody writes what is another's";
const ONE_JOB_A_WORKER: &str = "no worker is booked twice, each job's knows of it";
const FLEET: &str = "the fleet's counter counts the open workers";
const CLOSING: &str = "once faults end, all is well after a few sweeps";

impl Model for Scenario {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![World::start(self)]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        world.messages(self, events);
        world.schedulers(self, events);
        for worker in 0..world.processes.len() as WorkerNo {
            world.worker_events(self, worker, events);
        }
        if world.orders > 0 {
            for job in 0..self.jobs {
                for wish in self.wishes {
                    events.push(Event::Ask(job, *wish, true));
                    if self.kinds.lost && world.faults > 0 {
                        events.push(Event::Ask(job, *wish, false));
                    }
                }
            }
        }
        if world.sweeps > 0 {
            events.push(Event::Sweep);
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        world.after(self, event)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_VIOLATION, |_, world: &World| {
                world.stores.violation.is_none()
            }),
            Property::always(ONE_JOB_A_WORKER, |_, world: &World| bookings_fit(world)),
            Property::always(FLEET, |_, world: &World| {
                world.stores.live == world.stores.open_workers()
            }),
            Property::always(CLOSING, |scenario: &Self, world: &World| {
                !hash(world).is_multiple_of(scenario.close_every)
                    || ends_well(world, scenario).is_ok()
            }),
        ]
    }
}

/// Each placed job names a worker of its own, whose record, while open, names
/// that attempt of the job.
fn bookings_fit(world: &World) -> bool {
    let placed = (0..).zip(&world.stores.jobs).filter_map(|(no, job)| {
        let job = (*job)?;
        Some((no as JobNo, job.attempt, job.worker?))
    });
    let placed: Vec<_> = placed.collect();
    placed.iter().enumerate().all(|(i, (no, attempt, worker))| {
        let alone = placed[..i].iter().all(|(_, _, other)| other != worker);
        let record = world.stores.workers[usize::from(*worker)];
        let fits = record
            .is_some_and(|record| !record.is_open() || record.booking == Some((*no, *attempt)));
        alone && fits
    })
}

impl World {
    fn messages(&self, scenario: &Scenario, events: &mut Vec<Event>) {
        let kinds = scenario.kinds;
        let mut last = None;
        for envelope in &self.queue {
            if last == Some(envelope) {
                continue;
            }
            last = Some(envelope);
            let sweeps = matches!(
                envelope.letter,
                Letter::SweepJob { .. }
                    | Letter::SweepEnding { .. }
                    | Letter::SweepDeletion { .. }
                    | Letter::SweepWorker { .. }
            );
            if self.tasks.len() < scenario.schedulers {
                // A launch that does well does so within its deadline.
                let early = self.looks_early(envelope);
                if !early {
                    events.push(Event::Deliver(*envelope));
                }
                let hasty = matches!(envelope.letter, Letter::Look(_));
                if kinds.misjudged && self.faults > 0 && hasty {
                    events.push(Event::DeliverHastily(*envelope));
                }
                if kinds.twice && self.faults > 0 && !sweeps {
                    events.push(Event::Twice(*envelope));
                }
            }
            if kinds.lost && self.faults > 0 {
                events.push(Event::Lose(*envelope));
            }
        }
    }

    /// Whether a look would find a launch too late that is on its way, or a
    /// worker that is just about to beat.
    fn looks_early(&self, envelope: &Envelope) -> bool {
        let Letter::Look(look) = envelope.letter else {
            return false;
        };
        let worker = self.stores.jobs[usize::from(look.job)].and_then(|job| job.worker);
        worker.is_some_and(|worker| {
            let booting = self.stores.workers[usize::from(worker)]
                .is_some_and(|record| record.state == WorkerState::Booting);
            let begins = match &self.processes[usize::from(worker)].life {
                Life::Serving(serving) => !serving.accepted,
                _ => false,
            };
            look.unmoved > 0 && (booting || begins) && self.does_well(worker, look.job)
        })
    }

    /// Whether a worker's process is there and moves, or is being launched.
    fn does_well(&self, worker: WorkerNo, job: JobNo) -> bool {
        let process = &self.processes[usize::from(worker)];
        match process.life {
            Life::Gone => false,
            Life::Unborn => {
                let tasks = self.tasks.iter().map(|task| &task.envelope);
                let mut letters = self.queue.iter().chain(tasks).map(|found| found.letter);
                letters
                    .any(|letter| matches!(letter, Letter::Schedule { job: of, .. } if of == job))
            }
            _ => !process.frozen,
        }
    }

    fn schedulers(&self, scenario: &Scenario, events: &mut Vec<Event>) {
        for (at, task) in self.tasks.iter().enumerate() {
            if at > 0 && self.tasks[at - 1] == *task {
                continue;
            }
            events.push(Event::Scheduler(at, Fate::Well));
            let Err(Halt::Calls(call)) = World::calls(scenario, task) else {
                continue;
            };
            if self.faults == 0 {
                continue;
            }
            if scenario.kinds.calls && call.writes() {
                events.push(Event::Scheduler(at, Fate::FailsBefore));
                events.push(Event::Scheduler(at, Fate::FailsAfter));
                if call.meets_itself() {
                    events.push(Event::Scheduler(at, Fate::Repeated));
                }
            }
            let places = matches!(task.envelope.letter, Letter::Schedule { .. });
            if scenario.kinds.capacity && places && matches!(call, Call::ReadJob(_)) {
                events.push(Event::Scheduler(at, Fate::NoRoom));
            }
        }
    }

    fn worker_events(&self, scenario: &Scenario, worker: WorkerNo, events: &mut Vec<Event>) {
        let process = &self.processes[usize::from(worker)];
        let kinds = scenario.kinds;
        if matches!(process.life, Life::Unborn | Life::Gone) {
            return;
        }
        let faults = self.faults > 0;
        if process.frozen {
            events.push(Event::Thaw(worker));
            return;
        }
        let serving = match &process.life {
            Life::Serving(serving) if serving.accepted => Some(serving),
            _ => None,
        };
        if serving.is_some() || process.life == Life::Idle {
            events.push(Event::Beat(worker));
        }
        events.push(Event::Worker(worker, Fate::Well));
        if !faults {
            return;
        }
        if kinds.calls {
            events.push(Event::Worker(worker, Fate::FailsAfter));
            events.push(Event::Worker(worker, Fate::Repeated));
            let ends =
                serving.is_some_and(|serving| serving.outcome.is_some() && serving.ended.is_none());
            let busy = process
                .task
                .as_ref()
                .is_none_or(|(work, _)| *work == Work::End);
            if ends && busy {
                events.push(Event::GiveUpEnding(worker));
            }
        }
        if kinds.frozen {
            events.push(Event::Freeze(worker));
        }
        if kinds.killed {
            events.push(Event::Kill(worker));
        }
        if kinds.drained && !process.leaving && (serving.is_some() || process.life == Life::Idle) {
            events.push(Event::TellToLeave(worker));
        }
        if kinds.handed_over && !process.draining && !process.leaving && serving.is_some() {
            events.push(Event::Drain(worker));
        }
        if process.draining && serving.is_some_and(|serving| !serving.impatient) {
            events.push(Event::LosePatience(worker));
        }
        let runs = serving.is_some_and(|serving| serving.outcome.is_none());
        if kinds.failed && runs && process.task.is_none() {
            events.push(Event::Fail(worker));
        }
    }
}

/// What a check found.
pub struct Found {
    /// The property, and why it does not hold.
    pub fault: Option<String>,
    pub states: usize,
    pub depth: usize,
}

/// Checks a scenario to its end, or to the first thing that does not hold.
pub fn check(scenario: Scenario) -> Found {
    let began = Instant::now();
    let checker = scenario
        .clone()
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    let fault = discoveries.into_iter().next().map(|(property, path)| {
        let why = why(&scenario, &path);
        format!("{}: \"{property}\" does not hold: {why}", scenario.name)
    });
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!(
        "{}: {states} states, {depth} steps deep, {:.1} s{}",
        scenario.name,
        began.elapsed().as_secs_f64(),
        if fault.is_some() {
            ", a counterexample"
        } else {
            ""
        }
    );
    Found {
        fault,
        states,
        depth,
    }
}

fn why(scenario: &Scenario, path: &Path<World, Event>) -> String {
    let mut text = String::new();
    let steps = path.clone().into_vec();
    for (_, event) in &steps {
        if let Some(event) = event {
            text += &format!("\n  {event:?}");
        }
    }
    if let Some((last, _)) = steps.last() {
        let end = match (last.stores.violation, ends_well(last, scenario)) {
            (Some(violation), _) => violation.to_owned(),
            (None, Err(why)) => why,
            (None, Ok(())) => format!("{last:#?}"),
        };
        text += &format!("\n  {end}");
    }
    text
}
