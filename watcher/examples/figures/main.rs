//! What the watcher costs: `cargo run --release --example figures [WATCHER]`.
//!
//! In: a node on which cgroups can be made, and the watcher's program. Out: a
//! table: `decide` over 10 to 10 000 packs, a pass over 1 000 real cgroups,
//! and the program's memory and CPU time while idle, with 0, 100 and 1 000
//! packs. Medians, with the least and the most.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an instrument")]

mod real;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packrank_core::record::{Deeds, Packs};
use packrank_kernel::cgroup::Cgroup;
use packrank_watcher::Config;
use packrank_watcher::client::ask;
use packrank_watcher::decide::{Actions, Millis, Node, Observation, Sample, Stall, State, decide};
use packrank_watcher::observe::{PackReader, Wanted};
use real::{Real, record, row};
use serde_json::json;

fn main() {
    println!("decide, one look at every pack, microseconds (median, least, most)");
    for packs in [10, 100, 1_000, 10_000] {
        for (what, available) in [("calm", 50), ("critical", 2)] {
            let mut spans = decisions(packs, available);
            row(&format!("{packs:>6} packs, {what}"), &mut spans);
        }
    }
    let Some(real) = Real::make(1_000) else {
        println!("SKIPPED: no cgroups can be made here");
        return;
    };
    passes(&real);
    drop(real);
    if let Some(program) = std::env::args_os().nth(1) {
        println!("the program, idle for 30 s");
        for packs in [0, 100, 1_000] {
            idle(Path::new(&program), packs);
        }
    }
}

fn decisions(packs: usize, available: u64) -> Vec<Duration> {
    let mut state = State::new(Config::default());
    let mut samples = Vec::new();
    for number in 0..packs {
        let record = record(number, 1, &BTreeMap::new());
        state.join(&record, &Deeds::default(), None, 60_000, Millis::at(0));
        samples.push(Some(Sample {
            populated: true,
            memory: Some(number as u64 * 4096 + (1 << 28)),
            cache: Some(1 << 22),
            cpu_used: Some(0),
            cpu_throttled: Some(0),
            io: Some([0; 4]),
            ..Sample::default()
        }));
    }
    let mut actions = Actions::with_room(1_024);
    let stall = Some(Stall::default());
    let node = Node {
        memory_total: Some(100 << 30),
        memory_available: Some(available << 30),
        memory_some: stall,
        memory_full: stall,
        cpu_some: stall,
        io_some: stall,
        cpu_capacity: Some(1_600_000),
        cpu_used: Some(0),
        ..Node::default()
    };
    let mut spans = Vec::new();
    for look in 0..50u64 {
        let now = Millis::at(look * 5_000);
        for sample in samples.iter_mut().flatten() {
            sample.at = now;
            sample.cpu_used = Some(look * 1_000_000);
        }
        // Short of memory, somebody waits for it all the time.
        let total = if available < 5 { look * 5_000_000 } else { 0 };
        let waits = Some(Stall { avg10: 0, total });
        let node = Node {
            weighed: true,
            memory_some: waits,
            memory_full: waits,
            ..node
        };
        let seen = Observation {
            node,
            packs: &samples,
        };
        let begin = Instant::now();
        decide(&mut state, &seen, now, &mut actions);
        spans.push(begin.elapsed());
    }
    spans
}

fn passes(real: &Real) {
    println!("a pass over real cgroups, microseconds (median, least, most)");
    let open = |names| Cgroup::open(&real.mounts, names).unwrap();
    let all: Vec<(Cgroup, PackReader)> = real
        .pods
        .iter()
        .map(|(_, names, _)| open(names))
        .map(|cgroup| {
            let wanted = Wanted {
                io: true,
                quota: true,
                network: None,
            };
            let reader = PackReader::open(&cgroup, wanted);
            (cgroup, reader)
        })
        .collect();
    for count in [10, 100, 1_000] {
        for (what, quick) in [("everything", false), ("who gives", true)] {
            let mut spans = Vec::new();
            let mut samples = vec![None; count];
            for look in 0..30 {
                let begin = Instant::now();
                for ((cgroup, reader), before) in all.iter().zip(&mut samples) {
                    let sample = match quick {
                        true => reader.quick(cgroup, *before, Millis::at(look)),
                        false => reader.full(cgroup, *before, (false, true), Millis::at(look)),
                    };
                    *before = Some(std::hint::black_box(sample));
                }
                spans.push(begin.elapsed());
            }
            row(&format!("{count:>6} packs, {what}"), &mut spans);
        }
    }
}

fn idle(program: &Path, packs: usize) {
    let real = Real::make(packs).expect("cgroups");
    let folder = std::env::temp_dir().join(format!("packrank-figures-{}", std::process::id()));
    let records = Packs::under(&folder);
    records.make().unwrap();
    for (number, (child, names, _)) in real.pods.iter().enumerate() {
        records.write(&record(number, child.id(), names)).unwrap();
    }
    let mut watcher = Command::new(program)
        .arg("--run")
        .arg(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Past its start, which on a busy node is a stall, and what follows one.
    std::thread::sleep(Duration::from_secs(7));
    for _ in 0..40 {
        let node = ask(&folder.join("watcher.sock"), &json!({ "verb": "node" }));
        if node.is_ok_and(|node| node["pressure"]["memory"] == "none") {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let before = ticks(watcher.id());
    std::thread::sleep(Duration::from_secs(30));
    let spent = ticks(watcher.id()) - before;
    println!(
        "  {packs:>6} packs: {:>6} KiB resident ({} KiB its own), {:.4} % of a core",
        status(watcher.id(), "VmRSS:"),
        status(watcher.id(), "RssAnon:"),
        spent / 30.0 * 100.0
    );
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    let _ = fs::remove_dir_all(&folder);
}

/// Seconds of CPU time: /proc/<pid>/schedstat counts nanoseconds on the CPU.
fn ticks(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let ns: f64 = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(f64::NAN);
    ns / 1e9
}

fn status(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or("?")
        .trim()
        .trim_end_matches(" kB")
        .to_owned()
}
