//! The runtime in front of an engine that does nothing.

use std::fs;

use packrank_tests::spec::BUSY;

use crate::place::{Place, quiet};
use crate::race::{Contestant, net, run};
use crate::table;

/// nvidia-container-runtime doing the like in front of the same engine, CPU
/// and wall, as it was measured beside a prototype of this program.
const NVIDIA: f64 = 4.0;

pub fn in_front_of_nothing(place: &Place, rounds: usize) {
    let ranked = place.docker("ranked", BUSY, Some("low"));
    let unranked = place.docker("unranked", BUSY, None);
    let before = ranked.bytes();
    let through = |args: &[&str]| {
        let mut command = quiet(&place.runtime);
        command.arg("--engine").arg(&place.noop);
        // As containerd and dockerd call their runtimes.
        command.arg("--log").arg(place.path("log.json"));
        command.args(["--log-format", "json"]).args(args);
        command
    };
    let create = |bundle: &packrank_tests::bundle::Bundle| {
        through(&["create", "--bundle", bundle.path.to_str().unwrap(), "id"])
    };
    let mut first = Contestant::new("ranked", create(&ranked));
    first.before = Box::new(|| fs::write(ranked.config(), &before).unwrap());
    let mut contestants = [
        Contestant::new("bare", quiet(&place.noop)),
        first,
        Contestant::new("unranked", create(&unranked)),
        Contestant::new("state", through(&["state", "id"])),
        Contestant::new("start", through(&["start", "id"])),
        Contestant::new("delete", through(&["delete", "id"])),
    ];
    let times = run(&mut contestants, rounds);
    let [bare, ranked, unranked, state, start, delete] = &times[..] else {
        return;
    };
    table::section(&format!(
        "In front of an engine that does nothing; config.json of {} bytes",
        before.len()
    ));
    table::row("the engine itself", bare, None);
    table::row(
        "create of a ranked container, net",
        &net(ranked, bare),
        Some(0.30),
    );
    table::row(
        "create of an unranked container, net",
        &net(unranked, bare),
        Some(0.10),
    );
    table::row("state, net", &net(state, bare), Some(0.10));
    table::row("start, net", &net(start, bare), Some(0.10));
    table::row("delete, net", &net(delete, bare), Some(0.10));
    let (median, ..) = crate::race::spread(&net(ranked, bare).wall);
    table::note(&format!(
        "of nvidia-container-runtime's {NVIDIA:.1} ms: {:.3} (goal 0.08)",
        median / NVIDIA
    ));
}
