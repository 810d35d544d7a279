//! Where the watcher itself stands: alone, in a cgroup of its own, guarded,
//! in memory for good, and the last to be killed.
//!
//! In: the roots. Out: a lock that lasts as long as the process, and notes on
//! what this node did not allow.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use packrank_core::record::UNIFIED;
use packrank_kernel::cgroup::Mounts;

use crate::Roots;
use crate::exporter::Apart;

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another watcher has it.
    #[error("another watcher runs on this node")]
    Taken,
    /// The system refused.
    #[error("lock {}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// How long one that holds the lock and does not listen is waited for: it is
/// starting, or ending.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the lock, from one that is just ending if need be.
///
/// # Errors
/// When another watcher has it and listens, or the system refuses.
pub fn lock(roots: &Roots) -> Result<Flock<File>, LockError> {
    let begin = Instant::now();
    loop {
        match try_lock(roots) {
            Err(LockError::Taken)
                if begin.elapsed() < PATIENCE && UnixStream::connect(roots.socket()).is_err() =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

pub(crate) fn try_lock(roots: &Roots) -> Result<Flock<File>, LockError> {
    let path = roots.lock();
    let io = |source: io::Error| LockError::Io {
        path: path.clone(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(io)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => LockError::Taken,
        errno => io(errno.into()),
    })
}

/// Bytes guaranteed to the watcher's own cgroup: four times what it uses with
/// a thousand packs.
const GUARANTEE: u64 = 16 << 20;

/// Open files: ten for each of ten thousand packs.
const FILES: u64 = 131_072;

/// Makes itself at home; what is not allowed is a note, never an error.
#[must_use]
pub fn settle(roots: &Roots, mounts: &Mounts) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            notes.push(format!("{what}: {error}"));
        }
    };
    note("its own cgroup", own_cgroup(roots, mounts));
    note("oom_score_adj", oom_score(&roots.proc));
    note("open files", open_files());
    let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
    note("memory lock", mlockall(all).map_err(io::Error::from));
    notes
}

/// As low as is allowed: -999 (at -1000 a process over its own limit is never
/// killed), else what it has.
fn oom_score(proc: &Path) -> io::Result<()> {
    fs::write(proc.join("self/oom_score_adj"), "-999")
}

fn open_files() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = FILES.max(soft);
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)) {
        Ok(()) => Ok(()),
        Err(_) => Ok(setrlimit(Resource::RLIMIT_NOFILE, hard.min(wanted), hard)?),
    }
}

/// Leaves its own cgroup for the root's and removes it; best effort, at the end.
pub fn leave(mounts: &Mounts) {
    for controller in OWN {
        let Some(root) = mounts.root(controller) else {
            continue;
        };
        let _ = root.write("cgroup.procs", &std::process::id().to_string());
        let _ = fs::remove_dir(root.path().join("packrank-watcher"));
    }
}

/// The hierarchies it has a cgroup in.
const OWN: [&str; 3] = [UNIFIED, "memory", "cpu"];

/// Under systemd its unit is its cgroup, with the unit's guarantee.
#[must_use]
pub fn has_unit(proc: &Path) -> bool {
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    own.contains("/packrank-watcher.service")
}

/// Where a companion of it lives that is not to live on its guarantee.
#[must_use]
pub fn apart(roots: &Roots, mounts: &Mounts) -> Apart {
    if has_unit(&roots.proc) {
        return Apart::Scope;
    }
    let roots = OWN.into_iter().filter_map(|name| mounts.root(name));
    Apart::Cgroups(
        roots
            .map(|root| root.path().join("packrank-metrics"))
            .collect(),
    )
}

/// Where it has no unit it makes a cgroup beside the packs'.
fn own_cgroup(roots: &Roots, mounts: &Mounts) -> io::Result<()> {
    if has_unit(&roots.proc) {
        return Ok(());
    }
    let pid = std::process::id().to_string();
    for controller in OWN {
        let Some(root) = mounts.root(controller) else {
            continue;
        };
        let folder = root.path().join("packrank-watcher");
        match fs::create_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        fs::write(folder.join("cgroup.procs"), &pid)?;
        let min = folder.join("memory.min");
        if min.exists() {
            fs::write(min, GUARANTEE.to_string())?;
        }
    }
    Ok(())
}
