//! Closing runs: from a state on, nothing goes wrong any more. Everybody does
//! what there is to do, and two sweeps come; then all must be well.

use domain::job::{Desired, JobState};
use domain::worker::WorkerState;

use crate::io::Halt;
use crate::records::{JobNo, JobRecord, Letter, WorkerNo};
use crate::scenario::Scenario;
use crate::store::ChannelObjects;
use crate::worker::{Life, Told};
use crate::world::{Fate, World};

/// Rounds in which all workers work and all messages are taken, before the
/// first sweep, between the two, and after them. Enough for a worker to be
/// found dead and another to be launched.
const ROUNDS: usize = 12;
/// Steps of one worker in a round, at most.
const STEPS: usize = 40;

/// Whether all is well at the end, whether the workers that stand still go on
/// or never do.
pub fn ends_well(world: &World, scenario: &Scenario) -> Result<(), String> {
    let frozen = world.processes.iter().any(|process| process.frozen);
    close(world.clone(), scenario)?;
    if frozen {
        let mut thawed = world.clone();
        for process in &mut thawed.processes {
            process.frozen = false;
        }
        close(thawed, scenario).map_err(|why| format!("after a thaw: {why}"))?;
    }
    Ok(())
}

fn close(mut world: World, scenario: &Scenario) -> Result<(), String> {
    (world.faults, world.orders, world.sweeps) = (0, 0, 0);
    let mut left = String::new();
    // A standby that never comes is given up by the fourth.
    let most = if scenario.kinds.handed_over { 4 } else { 2 };
    for sweeps in 0..=most {
        if sweeps > 0 {
            world.sweep(scenario);
            purge(&mut world);
            // Sweeps are about as far apart as a drain may wait.
            for worker in 0..world.processes.len() as WorkerNo {
                world.lose_patience(worker);
            }
        }
        for _ in 0..ROUNDS {
            round(&mut world, scenario);
            if let Some(violation) = world.stores.violation {
                return Err(violation.to_owned());
            }
            match is_well(&world, scenario) {
                Ok(()) => return Ok(()),
                Err(why) => left = why,
            }
        }
    }
    Err(format!("after {most} sweeps, {left}: {world:#?}"))
}

/// `Purge`, which comes when no writer can have a request under way.
fn purge(world: &mut World) {
    for channel in &mut world.stores.channels {
        if channel.is_deleted() {
            channel.playlist = None;
        }
    }
}

fn round(world: &mut World, scenario: &Scenario) {
    while !world.tasks.is_empty() {
        world.go_on(scenario, 0, Fate::Well);
    }
    for worker in 0..world.processes.len() as WorkerNo {
        work(world, scenario, worker);
    }
    for envelope in std::mem::take(&mut world.queue) {
        world.queue.push(envelope);
        let deliver = crate::world::Event::Deliver(envelope);
        world.happen(scenario, deliver);
        // One that can't be carried out just now comes again.
        while !world.tasks.is_empty() {
            world.go_on(scenario, 0, Fate::Well);
        }
    }
    world.canonical();
}

fn work(world: &mut World, scenario: &Scenario, worker: WorkerNo) {
    for _ in 0..STEPS {
        if world.process(worker).frozen {
            return;
        }
        world.beat(worker);
        let before = world.processes[usize::from(worker)].clone();
        world.happen(scenario, crate::world::Event::Worker(worker, Fate::Well));
        if world.processes[usize::from(worker)] == before {
            return;
        }
    }
}

/// Whether all is as its clients want it.
fn is_well(world: &World, scenario: &Scenario) -> Result<(), String> {
    for task in &world.tasks {
        if let Err(Halt::Calls(call)) = World::calls(scenario, task) {
            return Err(format!("a scheduler still does {call:?}"));
        }
    }
    for (no, job) in (0..).zip(&world.stores.jobs) {
        let channel = &world.stores.channels[usize::from(no)];
        match job {
            None if is_open(channel) => {
                return Err(format!("job {no} is deleted, and its playlists are open"));
            }
            None if channel.is_deleted() && channel.playlist.is_some() => {
                return Err(format!(
                    "job {no} is deleted with its media, and a playlist is left"
                ));
            }
            None => {}
            Some(job) => job_is_well(world, scenario, no, job, channel)
                .map_err(|why| format!("job {no} {why}"))?,
        }
    }
    for (no, record) in (0_u8..).zip(&world.stores.workers) {
        let process = &world.processes[usize::from(no)];
        let state = record.map(|record| record.state);
        let fits = match &process.life {
            Life::Unborn | Life::Gone => !record.is_some_and(|record| record.is_open()),
            // Nobody could end it; but nobody counts on it any more.
            _ if process.frozen => !record.is_some_and(|record| record.is_open()),
            Life::Idle => state == Some(WorkerState::Idle),
            Life::Serving(serving) => record.is_some_and(|record| {
                record.state == WorkerState::Booked
                    && record.booking == Some((serving.job, serving.attempt))
            }),
            Life::Starting | Life::Leaving => false,
        };
        if !fits {
            return Err(format!(
                "worker {no} is recorded as {record:?} and is {process:?}"
            ));
        }
    }
    Ok(())
}

fn is_open(channel: &ChannelObjects) -> bool {
    let timeline = channel.timeline.as_ref();
    timeline.is_some_and(|timeline| !timeline.0.ended())
        || channel.playlist.is_some_and(|playlist| !playlist.ended)
}

fn job_is_well(
    world: &World,
    scenario: &Scenario,
    no: JobNo,
    job: &JobRecord,
    channel: &ChannelObjects,
) -> Result<(), String> {
    if job.deletion.is_some() {
        return Err("was to be deleted and is still there".to_owned());
    }
    if job.desired == Desired::Stop {
        return match (job.state.is_ended(), is_open(channel)) {
            (true, false) if !job.ending => Ok(()),
            (true, false) => Err("has ended, and is said to be ending".to_owned()),
            (true, true) => Err("has ended, and its playlists are open".to_owned()),
            (false, _) => Err("was to stop and has not".to_owned()),
        };
    }
    let tries = |letter: &Letter| matches!(letter, Letter::Schedule { job, try_seq: Some(seq), .. } if *job == no && *seq == job_link(world, no));
    if job.state == JobState::Created
        && scenario
            .max_workers
            .is_some_and(|max| world.stores.live >= max)
    {
        let tries = world.queue.iter().filter(|found| tries(&found.letter));
        return match tries.count() {
            1 => Ok(()),
            n => Err(format!("waits for the fleet with {n} chains of tries")),
        };
    }
    let Some(worker) = job.worker else {
        return Err("was to run and has no worker".to_owned());
    };
    let process = &world.processes[usize::from(worker)];
    let Life::Serving(serving) = &process.life else {
        return Err("was to run and its worker does not serve".to_owned());
    };
    let (state, told) = match job.desired {
        Desired::Pause => (JobState::Paused, Told::Paused),
        _ => (JobState::Streaming, Told::Streaming),
    };
    let held = job.desired == Desired::Pause;
    let serves = serving.job == no && serving.attempt == job.attempt && serving.told == told;
    let publishes = channel
        .timeline
        .as_ref()
        .is_some_and(|timeline| timeline.attempt() == job.attempt && !timeline.0.ended());
    let looks = world.queue.iter().filter(|found| {
        matches!(found.letter, Letter::Look(look)
            if look.job == no && look.attempt == job.attempt && look.watch_seq == job_link(world, no))
    });
    let looks = looks.count();
    if process.frozen || !serves || job.state != state {
        Err(format!("was to run, and is {:?}", job.state))
    } else if !publishes && !held {
        Err("runs, and its channel is another attempt's or ended".to_owned())
    } else if looks != 1 {
        Err(format!("runs, and has {looks} chains of looks"))
    } else {
        Ok(())
    }
}

fn job_link(world: &World, no: JobNo) -> u64 {
    world.stores.jobs[usize::from(no)].map_or(0, |job| job.watch_seq)
}
