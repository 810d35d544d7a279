//! Many starts at once.
//!
//! In: two hundred containers with a veth each. Out: what one hook takes where
//! twenty run at once, and where all do: no lock, no list that grows with the
//! number of containers may show.

use std::path::Path;
use std::time::Instant;

use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::container::{Container, Wish};
use crate::host;
use crate::place::Place;
use crate::race::{Times, children};
use crate::table::{self, Goal, Row};

const MANY: usize = 200;
const FEW: usize = 20;

pub fn starts(place: &Place) {
    host::own(place, "bench of parallel starts", |runc| {
        at_once(place, runc);
    });
}

fn at_once(place: &Place, runc: &Path) {
    let create = |n: usize| {
        let wish = Wish {
            name: &format!("p{n}"),
            annotations: json!({ "packrank.io/priority": "low" }),
            network: true,
        };
        Container::create(place, runc, &wish)
    };
    let all: Option<Vec<Container>> = (0..MANY).map(create).collect();
    let Some(all) = all else {
        return skipped("bench of parallel starts", "runc creates no container here");
    };
    let (mut few, mut many) = (Times::default(), Times::default());
    // In turns: the machine's mood touches both.
    for _ in 0..3 {
        for part in all.chunks(FEW) {
            call("createRuntime", part, &mut few);
            clean(part);
        }
        call("createRuntime", &all, &mut many);
        clean(&all);
    }
    table::section("createRuntime of many containers at once: milliseconds a container");
    Row::of(&format!("{FEW} at once"), &few).print();
    let of = format!("{FEW} at once");
    let row = Row::of(&format!("{MANY} at once"), &many);
    row.beside(&of, Some(&few)).goal(Goal::WallOf(1.00)).print();
}

fn clean(containers: &[Container]) {
    call("poststop", containers, &mut Times::default());
}

/// Runs the hook of all of them at once; adds one container's part.
fn call(phase: &str, containers: &[Container], times: &mut Times) {
    let mut hooks: Vec<_> = containers.iter().map(|c| c.hook(phase)).collect();
    let (cpu, start) = (children(), Instant::now());
    let running: Vec<_> = hooks.iter_mut().map(|(hook, _)| hook.spawn()).collect();
    for child in running {
        assert!(child.unwrap().wait().unwrap().success(), "{phase}");
    }
    let count = containers.len() as f64;
    times.wall.push(start.elapsed().as_secs_f64() * 1e3 / count);
    times.cpu.push((children() - cpu) / count);
}
