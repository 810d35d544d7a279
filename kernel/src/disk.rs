//! In: a container's root file system and the bytes it may add to it. Out: a
//! project quota of the kernel's on its writable layer, later changed, read
//! or gone; or the reason why there can be none here.
//!
//! The quota is a number on files and directories (the project), which what
//! is made inside inherits, and a limit for that number on the file system
//! beneath. A write past the limit fails with ENOSPC on XFS and with EDQUOT
//! on ext4, and nobody else notices. See `docs/disk.md` for what it cannot
//! hold: the root user of a container without a user namespace may give its
//! files another number.
//!
//! Numbers are given out from a folder of small files, one for each container
//! (see [`list`]), and only where the file system has nothing under them: so
//! even a lost folder never gives one number to two. A layer that outlives its
//! container keeps its number, and gets its limit back under it.

mod error;
mod layer;
mod limit;
mod mount;
mod project;
mod quota;
mod register;
mod registry;
mod sweep;
mod tree;

pub use error::{Error, Unsupported};
pub use limit::{change, limit, remove, used};
pub use registry::{Entry, list};
pub use sweep::sweep;

/// The numbers that are ours: 65536 of them from "pa" on, far above the ones
/// people and engines count up from 1.
pub const PROJECTS: std::ops::RangeInclusive<u32> = 0x7061_0000..=0x7061_ffff;

/// What [`limit`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The project's number.
    pub project: u32,
    /// The directory that is limited.
    pub upper: std::path::PathBuf,
    /// Bytes the container may hold there, beside what a root file system
    /// that is a plain directory held already.
    pub bytes: u64,
    /// Files and directories that were given the number.
    pub assigned: u64,
    /// Those that could not be: device nodes, sockets, symbolic links (which
    /// hold no data), and what is immutable.
    pub skipped: u64,
    /// Whether everything that was there before is counted. It is not where
    /// there was more than can be gone through before a start.
    pub complete: bool,
}

/// What a container holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, beside what was there before it.
    pub bytes: u64,
    /// Files and directories, likewise.
    pub files: u64,
    /// The bytes it may hold; `None` when nothing limits it.
    pub limit: Option<u64>,
}
