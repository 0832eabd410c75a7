//! The protocol between clients, schedulers, workers and stores, checked
//! exhaustively at a small scope. See README.md beside this file.
//!
//! Each scenario bounds what may go wrong how often, and is then explored to
//! its end: every order of all steps of all parties. In every state the
//! invariants must hold, and from every state (from a sample of them where
//! there are too many) all must be well again once faults are over.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod canonical;
mod check;
mod client;
mod closing;
mod io;
mod media;
mod records;
mod scenario;
mod scheduler;
mod store;
mod worker;
mod world;

use check::check;
use scenario::{Break, Kinds, Scenario, Wish};

const ALL_WISHES: &[Wish] = &[
    Wish::Stop,
    Wish::Pause,
    Wish::Resume,
    Wish::Delete,
    Wish::DeleteMedia,
];

/// All that can go wrong.
const ANYTHING: Kinds = Kinds {
    twice: true,
    lost: true,
    calls: true,
    capacity: true,
    frozen: true,
    killed: true,
    drained: true,
    handed_over: false,
    misjudged: true,
    failed: true,
};

/// What goes wrong with messages and calls.
const WIRES: Kinds = Kinds {
    twice: true,
    lost: true,
    calls: true,
    capacity: true,
    ..Kinds::NONE
};

/// What goes wrong with workers.
const WORKERS: Kinds = Kinds {
    frozen: true,
    killed: true,
    drained: true,
    misjudged: true,
    failed: true,
    ..Kinds::NONE
};

/// A drain, and what else may happen to who leaves and who is to go on.
const DRAINS: Kinds = Kinds {
    frozen: true,
    killed: true,
    drained: true,
    handed_over: true,
    ..Kinds::NONE
};

fn holds(scenario: Scenario) {
    let found = check(scenario);
    if let Some(fault) = found.fault {
        panic!("{fault}");
    }
    assert!(found.states > 100 && found.depth > 10, "nothing happens");
}

fn breaks(scenario: Scenario) {
    let broken = scenario.broken;
    let found = check(scenario);
    assert!(found.fault.is_some(), "{broken:?} was not found out");
}

#[test]
fn any_one_fault_between_any_two_reads() {
    holds(Scenario {
        name: "any one fault, reads apart",
        faults: 1,
        kinds: ANYTHING,
        fine_reads: true,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn two_faults_of_messages_and_calls() {
    holds(Scenario {
        name: "two faults of messages and calls",
        faults: 2,
        kinds: WIRES,
        close_every: 4,
        ..Scenario::default()
    });
}

#[test]
fn two_faults_of_workers() {
    holds(Scenario {
        name: "two faults of workers",
        faults: 2,
        kinds: WORKERS,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn zombies_that_nobody_can_end() {
    holds(Scenario {
        name: "zombies that nobody can end",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            misjudged: true,
            ..Kinds::NONE
        },
        kills: false,
        schedulers: 1,
        fine_media: true,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn a_deletion_amid_zombies() {
    holds(Scenario {
        name: "a deletion amid zombies",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            ..Kinds::NONE
        },
        kills: false,
        schedulers: 1,
        orders: 1,
        wishes: &[Wish::DeleteMedia],
        fine_media: true,
        close_every: 4,
        ..Scenario::default()
    });
}

#[test]
fn clients_who_change_their_minds() {
    holds(Scenario {
        name: "clients who change their minds",
        faults: 0,
        orders: 2,
        wishes: ALL_WISHES,
        ..Scenario::default()
    });
}

#[test]
fn clients_amid_a_fault() {
    holds(Scenario {
        name: "clients amid a fault",
        faults: 1,
        kinds: Kinds {
            lost: true,
            calls: true,
            killed: true,
            ..Kinds::NONE
        },
        orders: 1,
        wishes: ALL_WISHES,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn a_drain_to_an_idle_worker_amid_a_fault() {
    holds(Scenario {
        name: "a drain to an idle worker amid a fault",
        spare: true,
        faults: 2,
        kinds: DRAINS,
        schedulers: 1,
        close_every: 16,
        ..Scenario::default()
    });
}

#[test]
fn a_drain_to_a_standby_that_is_launched() {
    holds(Scenario {
        name: "a drain to a standby that is launched",
        faults: 2,
        kinds: DRAINS,
        schedulers: 1,
        close_every: 16,
        ..Scenario::default()
    });
}

#[test]
fn a_drain_amid_orders() {
    holds(Scenario {
        name: "a drain amid orders",
        spare: true,
        faults: 1,
        kinds: Kinds {
            handed_over: true,
            ..Kinds::NONE
        },
        orders: 2,
        wishes: ALL_WISHES,
        schedulers: 1,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn clients_amid_freezes_and_repetitions() {
    holds(Scenario {
        name: "clients amid freezes and repetitions",
        faults: 1,
        kinds: Kinds {
            twice: true,
            frozen: true,
            misjudged: true,
            ..Kinds::NONE
        },
        kills: false,
        schedulers: 1,
        orders: 1,
        wishes: ALL_WISHES,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn two_jobs_and_one_idle_worker() {
    holds(Scenario {
        name: "two jobs and one idle worker",
        jobs: 2,
        spare: true,
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn two_jobs_and_room_for_one_worker() {
    holds(Scenario {
        name: "two jobs and room for one worker",
        jobs: 2,
        max_workers: Some(1),
        schedulers: 1,
        orders: 1,
        wishes: &[Wish::Stop],
        close_every: 8,
        ..Scenario::default()
    });
}

#[test]
fn a_sweep_amid_a_fault() {
    holds(Scenario {
        name: "a sweep amid a fault",
        faults: 1,
        kinds: Kinds {
            lost: true,
            calls: true,
            killed: true,
            ..Kinds::NONE
        },
        sweeps: 1,
        close_every: 8,
        ..Scenario::default()
    });
}

// One condition left out each: the checker must find what comes of it.

#[test]
fn a_commit_over_any_version_is_found() {
    breaks(Scenario {
        name: "broken: a commit over any version",
        orders: 1,
        wishes: &[Wish::Stop],
        broken: Some(Break::CommitOverAnyVersion),
        ..Scenario::default()
    });
}

#[test]
fn a_booking_of_a_busy_worker_is_found() {
    breaks(Scenario {
        name: "broken: a booking of any worker",
        jobs: 2,
        spare: true,
        broken: Some(Break::BookAnyWorker),
        ..Scenario::default()
    });
}

#[test]
fn a_replacement_of_a_worker_that_beats_is_found() {
    breaks(Scenario {
        name: "broken: a worker closed at any beat",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            ..Kinds::NONE
        },
        kills: false,
        broken: Some(Break::CloseAtAnyBeat),
        ..Scenario::default()
    });
}

#[test]
fn a_claim_by_a_lower_attempt_is_found() {
    breaks(Scenario {
        name: "broken: a claim by any attempt",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            ..Kinds::NONE
        },
        kills: false,
        broken: Some(Break::ClaimByAnyAttempt),
        ..Scenario::default()
    });
}

#[test]
fn a_timeline_written_without_its_condition_is_found() {
    breaks(Scenario {
        name: "broken: a timeline written over any",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            ..Kinds::NONE
        },
        kills: false,
        fine_media: true,
        broken: Some(Break::WriteOverAnyTimeline),
        ..Scenario::default()
    });
}

#[test]
fn a_claim_of_a_deleted_channel_is_found() {
    breaks(Scenario {
        name: "broken: a claim of a deleted channel",
        faults: 1,
        kinds: Kinds {
            frozen: true,
            ..Kinds::NONE
        },
        kills: false,
        schedulers: 1,
        orders: 1,
        wishes: &[Wish::DeleteMedia],
        fine_media: true,
        broken: Some(Break::ClaimATombstone),
        ..Scenario::default()
    });
}

#[test]
fn a_job_handed_over_to_any_worker_is_found() {
    breaks(Scenario {
        name: "broken: handed over to any worker",
        spare: true,
        faults: 2,
        kinds: DRAINS,
        schedulers: 1,
        broken: Some(Break::HandOverToAnyWorker),
        ..Scenario::default()
    });
}

#[test]
fn a_sweep_that_restarts_no_chain_is_found() {
    breaks(Scenario {
        name: "broken: a sweep that restarts no chain",
        faults: 1,
        kinds: Kinds {
            lost: true,
            ..Kinds::NONE
        },
        broken: Some(Break::SweepWithoutRestart),
        ..Scenario::default()
    });
}
