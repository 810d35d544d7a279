//! The hooks of a container, one by one.
//!
//! In: containers that a real runc created, with one veth, on a host of the
//! benchmark's own. Out: each hook's time, and what shaping adds to a start.

use std::path::Path;

use packrank_tests::skipped::skipped;
use serde_json::{Value, json};

use crate::container::{Container, Wish};
use crate::host;
use crate::place::Place;
use crate::race::{Contestant, net, run};
use crate::table::{self, Goal, Row};

/// Processor time of one hook, in milliseconds.
const HOOK: f64 = 0.35;
/// What shaping and guarding a veth may add to a start, in milliseconds.
const ADDED: f64 = 2.0;

pub fn of_a_container(place: &Place, rounds: usize) {
    host::own(place, "bench of hooks", |runc| {
        one_by_one(place, runc, rounds)
    });
}

fn one_by_one(place: &Place, runc: &Path, rounds: usize) {
    let create = |name, annotations: Value, network| {
        let wish = Wish {
            name,
            annotations,
            network,
        };
        Container::create(place, runc, &wish)
    };
    let low = || json!({ "packrank.io/priority": "low" });
    let made = (
        create("hooked", low(), true),
        create("hostnet", low(), false),
        create("unhooked", json!({}), true),
        create("other", low(), true),
    );
    let (Some(ranked), Some(alone), Some(unranked), Some(neighbour)) = made else {
        return skipped("bench of hooks", "runc creates no container here");
    };
    // The first container on a node also switches the kernel's hooks on, and
    // the last one off.
    neighbour.call("createRuntime");
    let contestant = |name, container: &Container, phase: &str| {
        let (command, state) = container.hook(phase);
        let mut contestant = Contestant::new(name, command);
        contestant.before = Box::new(move || state.rewind());
        contestant
    };
    let call = |container, phase| move || Container::call(container, phase);
    let none = contestant("unranked", &unranked, "createRuntime");
    let mut record = contestant("record", &alone, "createRuntime");
    record.after = Box::new(call(&alone, "poststop"));
    let mut first = contestant("first", &ranked, "createRuntime");
    first.after = Box::new(call(&ranked, "poststop"));
    let shaped = |name, phase| {
        let (command, state) = ranked.hook(phase);
        let mut contestant = Contestant::new(name, command);
        let ranked = &ranked;
        contestant.before = Box::new(move || {
            ranked.call("createRuntime");
            state.rewind();
        });
        contestant
    };
    let mut again = shaped("again", "createRuntime");
    again.after = Box::new(call(&ranked, "poststop"));
    let mut started = shaped("poststart", "poststart");
    started.after = Box::new(call(&ranked, "poststop"));
    let mut contestants = vec![
        contestant("unknown", &ranked, "unheard-of"),
        none,
        record,
        first,
        again,
        started,
        shaped("poststop", "poststop"),
    ];
    if let Some(go) = &place.go {
        let (command, state) = unranked.hook_by(go, "--hook");
        let mut go = Contestant::new("Go", command);
        go.before = Box::new(move || state.rewind());
        contestants.push(go);
    }
    let times = run(&mut contestants, rounds);
    drop(contestants);
    neighbour.call("poststop");
    let [
        unknown,
        none,
        record,
        first,
        again,
        poststart,
        last,
        go @ ..,
    ] = &times[..]
    else {
        return;
    };
    table::section("Hooks of a container with one veth, each a whole process, beside another one");
    let of = |name, times| Row::of(name, times);
    let goal = |row: Row<'_>, goal| row.goal(Goal::Cpu(goal)).print();
    goal(of("a phase that is unknown", unknown), HOOK);
    let row = of("createRuntime, unranked", none);
    goal(row.beside("Go's", go.first()), HOOK);
    if let Some(go) = go.first() {
        of("  the same by a Go hook", go).print();
    }
    let row = of("createRuntime, ranked, on the host's network", record);
    goal(row, HOOK);
    let row = of("createRuntime, ranked: record, shape, guard", first);
    goal(row, HOOK + ADDED);
    let row = of("createRuntime once more: nothing to change", again);
    goal(row, HOOK);
    goal(of("poststart", poststart), HOOK);
    goal(of("poststop, with everything to remove", last), HOOK);
    let added = net(first, record);
    goal(of("added to a start by shaping and guard", &added), ADDED);
}
