//! containerd's shim: ours beside the stock one, under one containerd.
//!
//! In: a world with a containerd. Out: what an idle shim holds, what a
//! container's life takes, and fifty at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use packrank_tests::containerd::{IMAGE, PACKRANK, STOCK, World, world};
use packrank_tests::usage;
use serde_json::json;

use crate::idle;
use crate::race::Times;
use crate::table::{self, Goal, Row, verdict};

/// A runtime, and a class or none.
struct Kind {
    name: &'static str,
    runtime: &'static str,
    class: &'static [&'static str],
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "io.containerd.runc.v2",
        runtime: STOCK,
        class: &[],
    },
    Kind {
        name: "ours, no class",
        runtime: PACKRANK,
        class: &[],
    },
    Kind {
        name: "ours, low",
        runtime: PACKRANK,
        class: &["--annotation", "packrank.io/priority=low"],
    },
];

/// One shim's containers, so that its own time adds up.
const GROUP: [&str; 2] = ["--annotation", "io.containerd.runc.v2.group=bench"];

pub fn under_containerd(rounds: usize) {
    table::section("containerd's shim");
    let cgroup = Cgroup::name();
    let made = cgroup.clone();
    world("bench", move |world| {
        idle_shims(world);
        let cgroup = Cgroup::of(made, world.daemon());
        lives(world, &cgroup, rounds);
        at_once(world, &cgroup, (rounds / 20).max(3));
    });
    // Empty once containerd has gone.
    let _ = fs::remove_dir(cgroup);
}

/// containerd's cgroup: what it, its shims and their engines take.
struct Cgroup(PathBuf);

impl Cgroup {
    fn name() -> PathBuf {
        let top = Path::new("/sys/fs/cgroup");
        let version_1 = Some(top.join("cpuacct")).filter(|path| path.exists());
        let top = version_1.unwrap_or(top.to_owned());
        top.join(format!("packrank-bench-{}", std::process::id()))
    }

    fn of(path: PathBuf, daemon: i32) -> Cgroup {
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("cgroup.procs"), daemon.to_string()).unwrap();
        Cgroup(path)
    }

    /// CPU time so far, in milliseconds.
    fn time(&self) -> f64 {
        if let Ok(nanos) = fs::read_to_string(self.0.join("cpuacct.usage")) {
            return nanos.trim().parse::<f64>().unwrap() / 1e6;
        }
        let text = fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        let micros = text.lines().find_map(|l| l.strip_prefix("usage_usec "));
        micros.unwrap().parse::<f64>().unwrap() / 1e3
    }
}

/// Several of each kind, since they share their program's pages.
fn idle_shims(world: &World) {
    const EACH: usize = 5;
    let id = |kind: usize, number: usize| format!("idle-{kind}-{number}");
    for (index, kind) in KINDS.iter().enumerate() {
        for number in 0..EACH {
            world.sleeper(kind.runtime, &id(index, number), kind.class);
        }
    }
    thread::sleep(Duration::from_secs(4));
    let kinds: Vec<idle::Kind<'_>> = KINDS
        .iter()
        .enumerate()
        .map(|(index, kind)| idle::Kind {
            name: kind.name,
            pids: (0..EACH)
                .map(|number| world.shims_of(kind.runtime, &id(index, number))[0])
                .collect(),
        })
        .collect();
    let seen = idle::look(&kinds, 1, Duration::from_secs(10));
    table::note(&format!("idle for 10 s, {EACH} of each at once"));
    idle::print(&kinds, &seen);
    table::note("goals: RSS 2048, PSS 820, 3 threads, 0 waits");
    for index in 0..KINDS.len() {
        (0..EACH).for_each(|number| world.remove(&id(index, number)));
    }
}

fn run(world: &World, kind: &Kind, id: &str, more: &[&str]) -> Command {
    let mut args = vec!["run", "--rm", "--runtime", kind.runtime];
    args.extend(kind.class);
    args.extend(more);
    args.extend([IMAGE, id, "true"]);
    let mut command = world.command_for(Duration::from_secs(300), &args);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// `ctr run --rm` of true, in turns.
fn lives(world: &World, cgroup: &Cgroup, rounds: usize) {
    /// The first rounds fill caches.
    const WARM_UP: usize = 3;
    let mut times = [(); KINDS.len()].map(|()| Times::default());
    for round in 0..rounds + WARM_UP {
        for turn in 0..KINDS.len() {
            let index = (turn + round) % KINDS.len();
            let (cpu, start) = (cgroup.time(), Instant::now());
            let status = run(world, &KINDS[index], "life", &[]).status();
            let wall = start.elapsed().as_secs_f64() * 1e3;
            assert!(status.unwrap().success(), "{}", KINDS[index].name);
            // What it leaves to do is its own.
            world.wait("its shim has gone", || {
                world.shims_of(KINDS[index].runtime, "").is_empty()
            });
            if round >= WARM_UP {
                times[index].wall.push(wall);
                times[index].cpu.push(cgroup.time() - cpu);
            }
        }
    }
    table::note("ctr run --rm of true; CPU of containerd, shim and engine together");
    rows(&times, 0.90);

    let own = KINDS.each_ref().map(|kind| own_time(world, kind, rounds));
    for (kind, time) in KINDS.iter().zip(own) {
        let ratio = time / own[0];
        table::result(
            &format!(
                "{:<24} the shim's own CPU for a container: {time:.2} ms, {ratio:.2} of the stock shim's  goal 0.50: {}",
                kind.name,
                verdict(ratio, 0.50)
            ),
            json!({ "name": kind.name, "own-cpu-ms": time, "of-the-stock-shims": ratio }),
        );
    }
}

/// Processor time of a shim itself for one container's life, in milliseconds:
/// many of them in one shim, since the kernel tells it in hundredths of a
/// second.
fn own_time(world: &World, kind: &Kind, rounds: usize) -> f64 {
    world.sleeper(kind.runtime, "keep", &[&GROUP[..], kind.class].concat());
    let shim = world.shims_of(kind.runtime, "keep")[0];
    let before = usage::processor_time(shim);
    for _ in 0..rounds {
        let status = run(world, kind, "life", &GROUP).status();
        assert!(status.unwrap().success(), "{}", kind.name);
    }
    let time = usage::processor_time(shim) - before;
    world.remove("keep");
    time.as_secs_f64() * 1e3 / rounds as f64
}

/// Fifty lives, all begun together.
fn at_once(world: &World, cgroup: &Cgroup, rounds: usize) {
    const MANY: usize = 50;
    let mut times = [(); KINDS.len()].map(|()| Times::default());
    for round in 0..rounds {
        for turn in 0..KINDS.len() {
            let index = (turn + round) % KINDS.len();
            let (cpu, start) = (cgroup.time(), Instant::now());
            let begin = |number| run(world, &KINDS[index], &format!("at-once-{number}"), &[]);
            let lives: Vec<_> = (0..MANY).map(|n| begin(n).spawn().unwrap()).collect();
            for mut life in lives {
                assert!(life.wait().unwrap().success(), "{}", KINDS[index].name);
            }
            times[index].wall.push(start.elapsed().as_secs_f64() * 1e3);
            world.wait("their shims have gone", || {
                world.shims_of(KINDS[index].runtime, "").is_empty()
            });
            times[index].cpu.push(cgroup.time() - cpu);
        }
    }
    table::note(&format!("{MANY} at once, median of {rounds}"));
    rows(&times, 0.80);
}

/// The stock shim's line and ours beside it; the goal is for ours with a class.
fn rows(times: &[Times; KINDS.len()], goal: f64) {
    let row = |index: usize| Row::of(KINDS[index].name, &times[index]);
    row(0).print();
    row(1).beside("the stock shim's", times.first()).print();
    let ranked = row(2).beside("the stock shim's", times.first());
    ranked.goal(Goal::WallOf(goal)).print();
}
