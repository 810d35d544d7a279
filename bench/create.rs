//! The runtime in front of an engine that does nothing, beside the Go wrapper.

use std::fs;

use packrank_tests::spec::BUSY;

use crate::place::{Place, quiet};
use crate::race::{Contestant, Times, net, run};
use crate::table::{self, Goal, Row};

/// Of the Go wrapper's processor time for a ranked container.
const OF_GO: f64 = 0.08;

pub fn in_front_of_nothing(place: &Place, rounds: usize) {
    let ranked = place.docker("ranked", BUSY, Some("low"));
    let unranked = place.docker("unranked", BUSY, None);
    let before = ranked.bytes();
    let (ranked_at, unranked_at) = (ranked.path.to_str(), unranked.path.to_str());
    // What is asked, and the goal in milliseconds of the processor.
    let calls = [
        (
            "create of a ranked container",
            0.30,
            vec!["create", "--bundle", ranked_at.unwrap(), "id"],
        ),
        (
            "create of an unranked container",
            0.10,
            vec!["create", "--bundle", unranked_at.unwrap(), "id"],
        ),
        ("state", 0.10, vec!["state", "id"]),
        ("start", 0.10, vec!["start", "id"]),
        ("delete", 0.10, vec!["delete", "id"]),
    ];
    let mut contestants = vec![Contestant::new("bare", quiet(&place.noop))];
    for wrapper in place.wrappers() {
        for (index, (name, _, args)) in calls.iter().enumerate() {
            let mut command = quiet(wrapper);
            command.arg("--engine").arg(&place.noop);
            // As containerd and dockerd call their runtimes.
            command.arg("--log").arg(place.path("log.json"));
            command.args(["--log-format", "json"]).args(args);
            let mut contestant = Contestant::new(name, command);
            if index == 0 {
                contestant.before = Box::new(|| fs::write(ranked.config(), &before).unwrap());
            }
            contestants.push(contestant);
        }
    }
    let times = run(&mut contestants, rounds);
    let nets: Vec<Times> = times[1..].iter().map(|t| net(t, &times[0])).collect();
    let (ours, of_go) = nets.split_at(calls.len());
    table::section(&format!(
        "In front of an engine that does nothing; config.json of {} bytes; net of that engine",
        before.len()
    ));
    Row::of("the engine itself", &times[0]).print();
    for (index, (name, goal, _)) in calls.iter().enumerate() {
        let go = of_go.get(index);
        let row = Row::of(name, &ours[index]).beside("Go's", go);
        let row = row.goal(Goal::Cpu(*goal));
        match index {
            0 => row.goal(Goal::CpuOf(OF_GO)).print(),
            _ => row.print(),
        }
        if let Some(go) = go {
            Row::of("  the same by a Go wrapper", go).print();
        }
    }
}
