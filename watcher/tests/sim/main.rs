//! Simulated nodes: thousands of seeds, invariants after every step.
//!
//! `SIM_SEED=17 cargo test -p packrank-watcher --test sim one_seed -- --nocapture`
//! replays one seed with everything it did. `SIM_SEEDS=100000` tries more.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a model in a test: small numbers, and a panic is the result"
)]

mod check;
mod churn;
mod fault;
mod gain;
mod habit;
mod node;
mod rng;
mod run;

use fault::Fault;
use node::Kind;
use rng::Rng;
use run::{Shape, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The shape of a small node, from its seed.
fn small(seed: u64, print: bool) -> Shape {
    Shape {
        packs: 2 + seed % 37,
        seconds: 300 + seed * 7 % 600,
        faults: [0, 0, 5, 25][seed as usize % 4],
        churn: !seed.is_multiple_of(3),
        only: None,
        kind: Kind::Any,
        attacker: None,
        waves: false,
        print,
    }
}

fn live(seed: u64, shape: Shape) -> run::History {
    run(seed, shape).unwrap_or_else(|broken| {
        panic!(
            "seed {seed} {broken}\nreplay: SIM_SEED={seed} cargo test -p packrank-watcher \
             --test sim one_seed -- --nocapture"
        )
    })
}

#[test]
fn thousands_of_small_nodes() {
    let seeds = number("SIM_SEEDS").unwrap_or(2_000);
    let mut sums = [0u64; 4];
    for seed in 0..seeds {
        let history = live(seed, small(seed, false));
        let figures = [
            history.kills,
            history.sets,
            history.freezes,
            history.oom_kills,
        ];
        sums.iter_mut().zip(figures).for_each(|(sum, n)| *sum += n);
    }
    println!("{seeds} seeds: kills, sets, freezes, kernel's own kills: {sums:?}");
    assert!(
        sums[0] > seeds && sums[1] > seeds && sums[2] > seeds / 10,
        "nothing was tried"
    );
}

/// Nothing can be gained on such a node: no pack is ended, stopped or held.
fn takes_nothing(seed: u64, shape: Shape) {
    let history = live(seed, shape);
    assert_eq!(history.taken, 0, "seed {seed}: {shape:?}");
}

/// Huge pages, caches that count as used, and whatever fills a node that is
/// well: selves that stall, hoard and fork are on it too.
#[test]
fn a_node_that_is_full_and_well_loses_nobody() {
    for seed in 0..100 {
        let shape = Shape {
            kind: Kind::Full,
            ..small(seed, false)
        };
        takes_nothing(seed, shape);
    }
}

/// A search for the behaviour by which one pack makes others suffer, on a node
/// that has room for all that its packs may have.
#[test]
fn an_attacker_ends_nobody_where_nothing_is_short() {
    let mut rng = Rng(1);
    for seed in 0..200 {
        let shape = Shape {
            kind: if seed % 2 == 0 {
                Kind::Roomy
            } else {
                Kind::Full
            },
            attacker: Some(rng.next()),
            seconds: 180,
            churn: false,
            ..small(seed, false)
        };
        takes_nothing(seed, shape);
    }
}

#[test]
fn starts_in_waves_on_forty_packs() {
    for seed in 0..20 {
        let shape = Shape {
            packs: 40,
            waves: true,
            ..small(seed, false)
        };
        live(seed, shape);
    }
}

#[test]
fn one_seed() {
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", live(seed, shape(seed, true)));
    }
}

/// The shape that `SIM_FAULT`, a number of [`Fault::ALL`], makes of a small node.
fn shape(seed: u64, print: bool) -> Shape {
    match number("SIM_FAULT") {
        Some(fault) => faulty(seed, Fault::ALL[fault as usize], print),
        None => small(seed, print),
    }
}

/// A small node on which one thing goes wrong.
fn faulty(seed: u64, fault: Fault, print: bool) -> Shape {
    Shape {
        faults: 0,
        churn: false,
        only: Some(fault),
        ..small(seed, print)
    }
}

#[test]
fn each_fault_on_a_hundred_nodes() {
    for (at, fault) in Fault::ALL.into_iter().enumerate() {
        let mut befell = 0;
        for seed in 0..100 {
            let history = run(seed, faulty(seed, fault, false)).unwrap_or_else(|broken| {
                panic!(
                    "{fault:?}, seed {seed} {broken}\nreplay: SIM_FAULT={at} SIM_SEED={seed} cargo \
                     test -p packrank-watcher --test sim one_seed -- --nocapture"
                )
            });
            befell += history.befell;
        }
        println!("{fault:?}: {befell} times");
        assert!(befell >= 100, "{fault:?} befell only {befell} times");
    }
}

#[test]
fn equal_seeds_have_equal_histories() {
    for seed in [1, 2, 3, 5, 8, 13] {
        let shape = small(seed, false);
        assert_eq!(live(seed, shape), live(seed, shape));
    }
}

#[test]
fn a_day() {
    let shape = Shape {
        packs: 30,
        seconds: 86_400,
        faults: 2,
        churn: true,
        only: None,
        kind: Kind::Any,
        attacker: None,
        waves: false,
        print: false,
    };
    println!("{:?}", live(4711, shape));
}

#[test]
fn ten_thousand_packs() {
    let shape = Shape {
        packs: 10_000,
        seconds: 30,
        faults: 2,
        churn: false,
        only: None,
        kind: Kind::Any,
        attacker: None,
        waves: false,
        print: false,
    };
    // Their calm takes 15 minutes of looks at 10 000 packs.
    println!("{:?}", live(7, shape));
}
