//! In: a process's number. Out: the folder in `/proc` of a thread of it that
//! runs.
//!
//! The first thread of a process may exit before the others. The kernel then
//! shows the process as a zombie, although it runs: its namespaces, open files
//! and cgroups are in the folders of the other threads only.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Stat;
use super::stat::Letter;

/// The folder of the process's first thread, or of another one where the first
/// has exited; `None` when no thread runs.
#[must_use]
pub fn folder(proc: &Path, pid: u32) -> Option<PathBuf> {
    let folder = proc.join(pid.to_string());
    let first = Letter::of(&folder.join("stat"))?;
    match first.runs() {
        true => Some(folder),
        false => other(&folder),
    }
}

/// A thread's folder, from that of a process whose first thread has exited.
pub(super) fn other(folder: &Path) -> Option<PathBuf> {
    let threads = fs::read_dir(folder.join("task")).ok()?.flatten();
    let mut threads = threads.map(|thread| thread.path());
    threads.find(|thread| Letter::of(&thread.join("stat")).is_some_and(Letter::runs))
}

/// The network namespace of the process, if it is the one that started then.
#[must_use]
pub fn network(pid: u32, started: u64) -> Option<File> {
    let netns = File::open(folder(Path::new("/proc"), pid)?.join("ns/net")).ok()?;
    // Looked at afterwards: then what was opened was this process's.
    let now = Stat::of(pid)?;
    (now.runs && now.started == started).then_some(netns)
}
