//! What an engine may have left of the spec, and what no spec can say: I/O
//! priority, OOM score, open files, disk space.
//!
//! In: the plan, and the container's process before its program runs. Out:
//! the kernel made so, and a note for each thing that could not be.

use std::path::{Path, PathBuf};

use packrank_core::key::Key;
use packrank_core::plan::Plan;
use packrank_core::record::Record;
use packrank_core::spec::{ProcessPart, Spec};
use packrank_core::value::IoPriority;
use packrank_kernel::disk;
use packrank_kernel::process::{IoClass, Limit, Process, Resource};

use super::chain;

/// Sets what belongs to a process. What is already so is not written.
pub fn process(part: &ProcessPart, pid: u32, started: Option<u64>) -> Vec<String> {
    let process = match Process::open(pid, started) {
        Ok(process) => process,
        Err(error) => return vec![chain(&error)],
    };
    let mut notes = Vec::new();
    let mut tell = |result: Result<(), String>| notes.extend(result.err());
    if let Some(priority) = part.io_priority {
        let class = match priority {
            IoPriority::Realtime(level) => IoClass::Realtime(level),
            IoPriority::BestEffort(level) => IoClass::BestEffort(level),
            IoPriority::Idle => IoClass::Idle,
        };
        let set = process.io_priority(class);
        tell(
            set.map(drop)
                .map_err(|e| format!("io.priority: {}", chain(&e))),
        );
    }
    if let Some(score) = part.oom_score {
        let set = process.oom_score_adj(score);
        tell(
            set.map(drop)
                .map_err(|e| format!("oom.score: {}", chain(&e))),
        );
    }
    if let Some((soft, hard)) = part.files {
        let limit = Limit { soft, hard };
        let set = process.rlimit(Resource::Nofile, limit);
        tell(set.map(drop).map_err(|e| format!("nofile: {}", chain(&e))));
    }
    notes
}

/// Limits what the container's own layer may hold. Only the file system's
/// lack of quotas is a note; that a quota could not be set is one too, since
/// the container's other limits stand; and that it does not count all.
pub fn disk_space(plan: &Plan, spec: &Spec<'_>, record: &Record, run: &Path) -> Option<String> {
    let bytes = plan.number(Key::DiskSpace)?;
    let root = spec.rootfs.as_deref().filter(|_| !spec.readonly)?;
    let root = record.bundle.join(root);
    let limited = disk::limit(&root, &record.id, bytes, &projects(run));
    match limited {
        Ok(applied) if applied.complete => None,
        Ok(_) => Some(
            "disk.space holds, but does not count all that the root file system held before: \
             there is more than can be counted at a start"
                .to_owned(),
        ),
        Err(error) => Some(chain(&error)),
    }
}

/// Where project numbers are given out.
pub fn projects(run: &Path) -> PathBuf {
    run.join("projects")
}
