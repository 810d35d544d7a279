//! How long each request to a disk takes, by the cgroup it is for.
//!
//! In: bounds. Out, at each look: counts between them since the look before.
//! A program of some ninety instructions runs at `block_rq_complete` in the kernel
//! (BPF) and counts; it is gone with the [`Requests`].
//!
//! A request's time is the one that `iostat` calls await: from when the block
//! layer made it, which is after every limit (`io.max`, io.cost, io.latency) let
//! the operation pass, through the scheduler's queue, to the device's answer.
//! The kernel notes its begin (`start_time_ns`), so nothing is to be kept
//! between two events, and what was under way before is counted too. Whose it
//! is the request's first bio tells: so a page written back is on the account of
//! whoever made it dirty, where the kernel keeps one (cgroup v2).
//!
//! Counted once, when its last byte is done: what is merged is one request.
//! Flushes without data, requests of no cgroup (a driver's own), and those of a
//! disk whose `queue/iostats` is off are not. Devices without requests (zram,
//! dm's and md's own) have none; what they pass on has.

mod bpf;
mod btf;
mod layout;
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use layout::{Layout, TYPES};

/// Cgroups that can have requests between two looks: with twelve bounds 0.7 MiB
/// of the kernel's memory. Those that come when it is full are not counted
/// before the next look.
const CGROUPS: u32 = 4096;

/// What kernels before 5.11 want `RLIMIT_MEMLOCK` to have room for.
const LOCKED: u64 = 16 << 20;

/// Why requests cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum RequestsError {
    /// The kernel does not describe its types.
    #[error("{TYPES}: {source}")]
    NoTypes {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A kernel that is built otherwise.
    #[error("this kernel has no {what}")]
    Unlike {
        /// What was looked for.
        what: &'static str,
    },
    /// No BPF, or not for this process.
    #[error("the kernel refuses {what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Requests by how long they took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Nanoseconds of all of them together.
    pub sum: u64,
    /// How many were at most as slow as each bound and slower than the one
    /// before; the last, one more than there are bounds, is for the slower ones.
    pub counts: Vec<u64>,
}

/// All requests are counted, until it is dropped.
#[derive(Debug)]
pub struct Requests {
    map: OwnedFd,
    width: usize,
    /// Keeps the program where it is.
    _attached: OwnedFd,
}

impl Requests {
    /// Begins to count. Bounds are in nanoseconds, below 2^31, each above the
    /// one before.
    ///
    /// # Errors
    /// When the kernel has no BPF for tracepoints, no description of its types,
    /// or does not allow it: it takes CAP_BPF and CAP_PERFMON.
    pub fn watch(bounds: &[u32]) -> Result<Requests, RequestsError> {
        let refused = |what| move |source| RequestsError::Refused { what, source };
        let types = fs::read(TYPES).map_err(|source| RequestsError::NoTypes { source })?;
        let layout = Layout::find(&types)?;
        drop(types);
        let width = program::width(bounds.len());
        let map = map(width).map_err(refused("a BPF map"))?;
        let program = program::program(&layout, bounds, map.as_fd());
        let program = program.ok_or(RequestsError::Unlike {
            what: "room for such bounds",
        })?;
        let loaded = bpf::load(&program, layout.tracepoint).map_err(refused("a BPF program"))?;
        let attached = bpf::attach(loaded.as_fd());
        Ok(Requests {
            map,
            width,
            _attached: attached.map_err(refused("the tracepoint block_rq_complete"))?,
        })
    }

    /// The requests of each cgroup since this was last asked, by the cgroup's
    /// number: the inode of its folder in the hierarchy that has `io` or
    /// `blkio`. One that ends this very moment may be lost.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn take(&self) -> io::Result<BTreeMap<u64, Times>> {
        let mut all = BTreeMap::new();
        bpf::drain(self.map.as_fd(), self.width, |cgroup, numbers| {
            if let Some((sum, counts)) = numbers.split_first() {
                let (sum, counts) = (*sum, counts.to_vec());
                all.insert(cgroup, Times { sum, counts });
            }
        })?;
        Ok(all)
    }
}

fn map(width: usize) -> io::Result<OwnedFd> {
    match bpf::map(width, CGROUPS) {
        // Either not allowed at all, or an old kernel's limit.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (_, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
            setrlimit(Resource::RLIMIT_MEMLOCK, LOCKED, hard.max(LOCKED))?;
            bpf::map(width, CGROUPS)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
