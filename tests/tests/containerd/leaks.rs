//! Many containers, one after the other and at once, and what is left: nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use packrank_tests::containerd::{IMAGE, PACKRANK, World, said, world};
use packrank_tests::usage;

/// The group whose shim stays while its containers come and go.
const GROUP: &str = "io.containerd.runc.v2.group=keep";
const LOW: &str = "packrank.io/priority=low";

/// What must be flat, each by its name.
type Held = BTreeMap<&'static str, usize>;

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => 1 + files(&entry.path()),
        _ => 1,
    };
    entries.map(below).sum()
}

fn held(world: &World, shim: i32) -> Held {
    world.wait("the others have gone", || world.shims("").len() == 1);
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let state = world.path("state");
    let mounted = mounts
        .lines()
        .filter(|line| line.contains(&*state.to_string_lossy()));
    let tasks = world.bundle("keep");
    Held::from([
        ("the shim's descriptors", usage::descriptors(shim)),
        ("the shim's threads", usage::threads(shim)),
        ("the shim's zombies", usage::zombies(shim)),
        (
            "containerd's descriptors",
            usage::descriptors(world.daemon()),
        ),
        ("containerd's zombies", usage::zombies(world.daemon())),
        ("shims", world.shims("").len()),
        ("sockets", files(Path::new("/run/containerd/s"))),
        ("fifos", files(Path::new("/run/containerd/fifo"))),
        ("files of ours", files(Path::new("/run/packrank"))),
        ("files in bundles", files(tasks.parent().unwrap())),
        ("mounts", mounted.count()),
    ])
}

/// One container that stays, whose shim gets others too.
fn keeper(world: &World) -> i32 {
    world.sleeper(
        PACKRANK,
        "keep",
        &["--annotation", GROUP, "--annotation", LOW],
    );
    let [shim] = world.shims("keep")[..] else {
        panic!("one shim was expected")
    };
    shim
}

/// A container's whole life: every other one in the group of the one that
/// stays, each with a class.
fn life(number: usize) -> Vec<String> {
    let mut args = vec!["run", "--rm", "--runtime", PACKRANK, "--annotation", LOW];
    if number.is_multiple_of(2) {
        args.extend(["--annotation", GROUP]);
    }
    let id = format!("leaks-{number}");
    args.extend([IMAGE, &id, "sh", "-c", "echo here; exit 3"]);
    args.into_iter().map(str::to_owned).collect()
}

fn flat(world: &World, shim: i32, before: &Held) {
    /// What containerd opens once, whenever it does, is no leak.
    const ONCE: usize = 8;
    let most = |name: &str, count: usize| match name {
        "containerd's descriptors" => count + ONCE,
        _ => count,
    };
    let mut after = Held::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        after = held(world, shim);
        let mut all = before.iter();
        let more = all.any(|(name, count)| after[name] > most(name, *count));
        if !more {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("before: {before:#?}\nafter: {after:#?}");
}

fn in_a_row(world: &World, count: usize) {
    let shim = keeper(world);
    let run = |number: usize| {
        let args = life(number);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let ran = world.ctr(&args);
        assert_eq!(ran.status.code(), Some(3), "{}", said(&ran));
    };
    // The first ones fill caches.
    (0..10).for_each(run);
    let (before, memory) = (held(world, shim), usage::anonymous(shim));
    let daemon = usage::rss(world.daemon());
    (10..10 + count).for_each(run);
    flat(world, shim, &before);
    let grown = usage::anonymous(shim).saturating_sub(memory);
    println!(
        "after {count} in a row: {before:?}; the shim's own memory {memory} + {grown} KiB; containerd's RSS {daemon} -> {} KiB",
        usage::rss(world.daemon())
    );
    assert!(grown <= 128, "the shim has grown by {grown} KiB");
    world.remove("keep");
}

fn at_once(world: &World, width: usize, time: Duration) {
    let shim = keeper(world);
    let (start, mut number) = (Instant::now(), 0);
    let mut before = None;
    while before.is_none() || start.elapsed() < time {
        let lives = (number..number + width).map(life);
        let running: Vec<_> = lives
            .map(|args| {
                let args: Vec<_> = args.iter().map(String::as_str).collect();
                let mut command = world.command_for(Duration::from_secs(300), &args);
                command.stdin(Stdio::null()).stdout(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        for mut child in running {
            assert_eq!(child.wait().unwrap().code(), Some(3));
        }
        number += width;
        // The first round fills caches.
        before.get_or_insert_with(|| (held(world, shim), usage::anonymous(shim)));
    }
    let (before, memory) = before.unwrap();
    flat(world, shim, &before);
    let grown = usage::anonymous(shim).saturating_sub(memory);
    println!(
        "after {number}, {width} at once: {before:?}; the shim's own memory {memory} + {grown} KiB"
    );
    assert!(grown <= 256, "the shim has grown by {grown} KiB");
    world.remove("keep");
}

#[test]
fn sixty_in_a_row_leave_nothing() {
    world("row", |world| in_a_row(world, 60));
}

#[test]
#[ignore = "minutes: make soak"]
fn soak_a_thousand_in_a_row() {
    world("soak-row", |world| in_a_row(world, 1000));
}

#[test]
#[ignore = "minutes: make soak"]
fn soak_fifty_at_once() {
    let time = Duration::from_secs(300);
    world("soak-once", move |world| at_once(world, 50, time));
}
