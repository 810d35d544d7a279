//! What runs out by number: open files, connections, disk space (C6).
//!
//! In: a pack. Out: how much of each it uses, in percent of what it may. These
//! cost far more to read than other figures, so packs are looked at in turn,
//! within a share of every look.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use packrank_kernel::cgroup::start_time;
use packrank_kernel::process::usage;
use packrank_kernel::{disk, net};

use crate::decide::{Sample, scaled};
use crate::registry::{Kept, Registry};

/// What one look, every five seconds, may spend on it: 0.04 % of a core.
const SHARE: Duration = Duration::from_millis(2);

/// Looks until every pack had its turn, where there are few: half a minute.
const ROUND: usize = 6;

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turn(usize);

impl Turn {
    /// Looks at some packs more.
    pub fn take(&mut self, registry: &mut Registry, run: &Path) {
        let begin = Instant::now();
        let all = registry.kept.len();
        for _ in 0..all.div_ceil(ROUND) {
            self.0 = (self.0 + 1) % all;
            let kept = registry.kept[self.0].as_mut();
            if let (Some(kept), Some(sample)) = (kept, &mut registry.samples[self.0]) {
                // Who has not run since has opened, connected and written nothing.
                let ran = sample.cpu_used.is_none() || sample.cpu_used != kept.counted;
                if ran {
                    kept.counted = sample.cpu_used;
                    look(kept, sample, run);
                }
            }
            if begin.elapsed() >= SHARE {
                return;
            }
        }
    }
}

fn look(kept: &Kept, sample: &mut Sample, run: &Path) {
    sample.files = open_files(kept);
    sample.connections = connections(kept);
    let used = disk::used(&kept.id, &run.join("projects")).ok();
    sample.disk = used.and_then(|used| percent(used.bytes, used.limit?));
}

fn percent(used: u64, most: u64) -> Option<u8> {
    let percent = scaled(used, 100, most).min(u64::from(u8::MAX));
    u8::try_from(percent).ok().filter(|_| most > 0)
}

/// Of the process that is nearest to its own limit.
fn open_files(kept: &Kept) -> Option<u8> {
    let proc = Path::new("/proc");
    let of = |pid: &u32| {
        let open = usage::open_files(proc, *pid)?;
        percent(open, usage::open_files_limit(proc, *pid)?)
    };
    let pids = kept.cgroup.processes().ok()?;
    // crun puts the processes one level below the cgroup with the limits.
    let pids = if pids.is_empty() {
        vec![kept.pid]
    } else {
        pids
    };
    pids.iter().take(usage::MOST_PROCESSES).filter_map(of).max()
}

fn connections(kept: &Kept) -> Option<u8> {
    let most = kept.connections?;
    let netns = File::open(format!("/proc/{}/ns/net", kept.pid)).ok()?;
    // Looked at afterwards: then what was opened was this process's.
    if start_time(kept.pid) != Some(kept.started) {
        return None;
    }
    let status = net::read(&kept.id, netns.as_fd()).ok()?;
    percent(status.connections?, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_opens_many_files_is_seen() {
        let (proc, own) = (Path::new("/proc"), std::process::id());
        let limit = usage::open_files_limit(proc, own).unwrap();
        let share = || percent(usage::open_files(proc, own).unwrap(), limit).unwrap();
        let before = share();
        // A twentieth of what it may, where that is few enough to be opened.
        let wanted = usize::try_from(limit / 20).unwrap().min(4_000);
        let held: Vec<File> = (0..wanted)
            .map(|_| File::open("/dev/null").unwrap())
            .collect();
        let after = share();
        let expected = scaled(held.len() as u64, 100, limit);
        assert!(
            u64::from(after - before) + 1 >= expected,
            "{before} {after} {expected}"
        );
    }

    #[test]
    fn shares_are_told_up_to_a_byte_and_of_something() {
        assert_eq!(
            (percent(9, 10), percent(1, 0), percent(9, 1)),
            (Some(90), None, Some(255))
        );
    }
}
