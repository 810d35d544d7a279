//! Whether a container is gone.
//!
//! In: its record, or only its id. Out: what still runs of it. A container is
//! gone when its first process is and its cgroup holds no other.

use std::path::Path;

use packrank_core::record::{Record, engine_id};
use packrank_kernel::cgroup::{Cgroup, CgroupError, Mounts};

use super::identity;

/// Where the kernel's cgroups are.
const ROOT: &str = "/sys/fs/cgroup";

/// Whether any of the container's processes runs. What cannot be looked at is
/// taken to run.
#[must_use]
pub fn lives(record: &Record) -> bool {
    if identity::runs(record) {
        return true;
    }
    match cgroup(record).and_then(|cgroup| cgroup.populated()) {
        Ok(populated) => populated,
        Err(CgroupError::Gone { .. } | CgroupError::Foreign { .. }) => false,
        Err(_) => true,
    }
}

/// Its processes and when each started, the first one first.
pub fn processes(record: &Record) -> impl Iterator<Item = (u32, u64)> + use<> {
    let others = cgroup(record).and_then(|cgroup| cgroup.processes());
    let others = others.unwrap_or_default().into_iter();
    let others = others.filter_map(|pid| Some((pid, identity::started(pid)?)));
    std::iter::once((record.pid, record.started)).chain(others)
}

fn cgroup(record: &Record) -> Result<Cgroup, CgroupError> {
    Cgroup::open(&Mounts::find(Path::new(ROOT))?, &record.cgroups)
}

/// Whether any process is in a cgroup of this container's name: for one whose
/// record cannot be read.
#[must_use]
pub fn is_named(key: &str) -> bool {
    let id = engine_id(key);
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().any(|pid: u32| {
        let cgroups = identity::cgroups(pid);
        let mut paths = cgroups.values();
        paths.any(|path| identity::belongs(path, id, None))
    })
}
