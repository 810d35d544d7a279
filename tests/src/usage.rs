//! What a process holds.
//!
//! In: its number. Out: its descriptors, threads, memory, switches and dead
//! children, as /proc has them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

fn file(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The number behind `key:` in a file of the process's.
fn field(pid: i32, name: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file(pid, name)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    word.unwrap_or_else(|| panic!("no {key} in {name}"))
        .parse()
        .unwrap()
}

/// Open descriptors.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(file(pid, "fd")).unwrap().count()
}

/// Threads.
pub fn threads(pid: i32) -> usize {
    fs::read_dir(file(pid, "task")).unwrap().count()
}

/// Resident memory in KiB.
pub fn rss(pid: i32) -> u64 {
    field(pid, "smaps_rollup", "Rss")
}

/// Its share of the memory it is in, in KiB.
pub fn pss(pid: i32) -> u64 {
    field(pid, "smaps_rollup", "Pss")
}

/// Memory that is not given away whatever happens, in KiB.
pub fn locked(pid: i32) -> u64 {
    field(pid, "status", "VmLck")
}

/// Memory that is nobody else's and no file's, in KiB: heap and stacks.
pub fn anonymous(pid: i32) -> u64 {
    field(pid, "smaps_rollup", "Anonymous")
}

/// The threads it has.
fn tasks(pid: i32) -> impl Iterator<Item = i32> {
    let tasks = fs::read_dir(file(pid, "task")).unwrap().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok())
}

/// How often its threads gave the processor away to wait.
pub fn waits(pid: i32) -> u64 {
    tasks(pid)
        .map(|task| field(task, "status", "voluntary_ctxt_switches"))
        .sum()
}

/// Processor time of the threads that it has, to the nanosecond.
pub fn on_cpu(pid: i32) -> Duration {
    let nanos = tasks(pid).map(|task| {
        let text = fs::read_to_string(file(task, "schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

/// Processor time of its own, without its children's.
pub fn processor_time(pid: i32) -> Duration {
    /// What /proc counts in (`USER_HZ`).
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(file(pid, "stat")).unwrap();
    // Fields 14 and 15, counted behind the name, which may hold anything.
    let rest = stat.rsplit_once(") ").unwrap().1;
    let ticks = rest.split(' ').skip(11).take(2);
    TICK * ticks
        .map(|field| field.parse::<u32>().unwrap())
        .sum::<u32>()
}

/// Children that have ended and were not waited for.
pub fn zombies(pid: i32) -> usize {
    let children = fs::read_to_string(file(pid, &format!("task/{pid}/children")));
    let children = children.unwrap_or_default();
    let dead = |child: &&str| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // The state stands behind the name, which may hold anything.
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    };
    children.split_whitespace().filter(dead).count()
}
