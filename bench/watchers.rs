//! The watcher beside earlyoom, idle.
//!
//! In: a node on which cgroups can be made. Out: what packrank-watcher without
//! and with packs, and earlyoom, which knows none, hold and take in the same
//! minute. systemd-oomd needs systemd: `bench/guest/cases/35-peers.sh`.

use std::fs;
use std::process::Child;
use std::time::Duration;

use packrank_tests::node::Node;
use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::idle::{self, Kind};
use crate::place::{Place, quiet};
use crate::table;

const PACKS: usize = 100;
const WINDOWS: usize = 12;
const WINDOW: Duration = Duration::from_secs(5);
const CLASSES: [&str; 5] = ["critical", "high", "normal", "low", "scavenger"];

pub fn idle(place: &Place) {
    let root = nix::unistd::geteuid().is_root();
    let made = [0, PACKS].map(|packs| match root {
        true => watched(packs),
        false => Err("not root, so nothing can be locked in memory".to_owned()),
    });
    let [none, many] = match made {
        [Ok(none), Ok(many)] => [none, many],
        [Err(why), _] | [_, Err(why)] => return skipped("bench of watchers", &why),
    };
    let earlyoom = place.installed("earlyoom").map(|program| {
        // As Debian starts it, but for what it would do to this machine.
        let mut command = quiet(&program);
        Process(command.args(["-r", "3600", "--dryrun"]).spawn().unwrap())
    });
    let mut kinds = Vec::new();
    match &earlyoom {
        Some(process) => kinds.push(Kind {
            name: "earlyoom",
            pids: vec![process.0.id().cast_signed()],
        }),
        None => skipped("bench of earlyoom", "it is not in PATH"),
    }
    let name = format!("packrank-watcher, {PACKS} packs");
    for (name, node) in [("packrank-watcher, no pack", &none), (&name, &many)] {
        kinds.push(Kind {
            name,
            pids: vec![node.watcher().cast_signed()],
        });
    }
    // What follows a stall is not idle, and a hundred processes are one.
    std::thread::sleep(Duration::from_secs(7));
    table::section(&format!(
        "Watchers, idle in the same {WINDOWS} windows of {} s",
        WINDOW.as_secs()
    ));
    let calm = |node: &Node| {
        let node = node.ask(&json!({ "verb": "node" })).unwrap();
        let mut levels = node["pressure"].as_object().unwrap().values();
        levels.all(|level| level == "none")
    };
    if [&none, &many].iter().all(|node| node.comes(|| calm(node))) {
        let seen = idle::look(&kinds, WINDOWS, WINDOW);
        idle::print(&kinds, &seen);
    } else {
        table::not_measured(
            "other programs kept this machine under pressure for a minute, and under pressure \
             the watcher is not idle",
        );
    }
    drop(kinds);
    drop([none, many]);
    // The cgroup that they made for themselves; one that is in use stays.
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join("packrank-watcher"));
    }
    let _ = fs::remove_dir("/sys/fs/cgroup/packrank-watcher");
}

/// A node with a watcher of its own, as it is on every node: locked in memory.
fn watched(packs: usize) -> Result<Node, String> {
    let mut node = Node::new(&format!("watchers-{packs}"))?;
    for number in 0..packs {
        // What every class sets.
        let settings = json!({ "settings": {
            "memory.limit": 1u64 << 30, "memory.high": 1u64 << 29, "memory.guarantee": 1u64 << 28,
            "cpu.quota": 100, "io.read-bps": 1u64 << 26, "io.write-bps": 1u64 << 26,
            "io.read-iops": 1_000, "io.write-iops": 1_000,
        }});
        let class = CLASSES[number % CLASSES.len()];
        node.pack(
            &format!("pack-{number}"),
            class,
            &["sleep", "900"],
            &settings,
        );
    }
    // Longer than it is looked at, without a pack too.
    node.policy("[watch]\nlinger = 900\n");
    node.watch_as(&["--foreground"]);
    Ok(node)
}

/// A process that ends with its value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It is ours and nobody waits for it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
