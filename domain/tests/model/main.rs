//! The protocol between scheduler, workers and stores, checked exhaustively
//! at a small scope.
#![allow(missing_docs, clippy::print_stdout)]

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
use scenario::{Kinds, Scenario};

#[test]
fn no_faults() {
    let found = check(Scenario {
        name: "no faults",
        ..Scenario::default()
    });
    assert_eq!(
        found.fault,
        None,
        "{}",
        found.fault.as_deref().unwrap_or_default()
    );
    assert!(found.states > 1 && found.depth > 1);
}

#[test]
fn one_fault() {
    let found = check(Scenario {
        name: "one fault",
        faults: 1,
        kinds: Kinds {
            twice: true,
            lost: true,
            calls: true,
            capacity: true,
            frozen: true,
            killed: true,
            drained: true,
            misjudged: true,
            failed: true,
        },
        ..Scenario::default()
    });
    if let Some(fault) = found.fault {
        panic!("{fault}");
    }
}

#[test]
#[ignore]
fn debug() {
    use stateright::{Checker, Model};
    let s = Scenario { name: "debug", ..Scenario::default() };
    for depth in [10, 15, 20, 25, 30] {
        let c = s.clone().checker().target_max_depth(depth).spawn_bfs().join();
        println!("{depth}: {}", c.unique_state_count());
    }
    let mut w = world::World::start(&s);
    for _ in 0..40 {
        let mut evs = vec![];
        s.actions(&w, &mut evs);
        let succ: Vec<_> = evs.iter().filter_map(|e| w.after(&s, *e).map(|n| (*e, n))).filter(|(_, n)| *n != w).collect();
        let Some((e, n)) = succ.into_iter().last() else { break };
        println!("{e:?}");
        w = n;
    }
    println!("{w:#?}");
}
