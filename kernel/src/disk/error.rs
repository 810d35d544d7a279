//! In: what a layer, a file system or the registry got wrong. Out: a sentence
//! an operator can act on, and whether it is only a note.

use std::io;
use std::path::PathBuf;

/// Why a layer was not limited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This layer, on this host, can have no quota. To be noted, not failed.
    #[error("disk.space is not supported for {}: {why}", path.display())]
    Unsupported {
        /// The root file system or its writable layer.
        path: PathBuf,
        /// The reason.
        why: Unsupported,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a quota.
    #[error("cannot {action} the quota of project {project} on {}", path.display())]
    Quota {
        /// What was tried.
        action: &'static str,
        /// The project's number.
        project: u32,
        /// A directory on the file system.
        path: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// Somebody held the registry's lock all the time.
    #[error("the registry {} stayed locked for {seconds} s", path.display())]
    Locked {
        /// The registry.
        path: PathBuf,
        /// For how long it was waited.
        seconds: u64,
    },
    /// All numbers are taken.
    #[error("no project number is free on the file system of {}", path.display())]
    Exhausted {
        /// The writable layer.
        path: PathBuf,
    },
    /// The container has no quota of ours.
    #[error("container {id:?} has no disk quota")]
    Unknown {
        /// The container's id.
        id: String,
    },
}

impl Error {
    /// Whether nothing went wrong but the host, or this layer, lacks what a
    /// quota needs.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }
}

/// What a quota needs and is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// Nothing can be written there.
    #[error("the root file system is read-only")]
    ReadOnly,
    /// It is the host's own.
    #[error("it is the host's own root")]
    HostRoot,
    /// An overlay whose upper directory the mount table does not tell.
    #[error("its overlay's upper directory {0:?} cannot be found")]
    UpperUnknown(String),
    /// No project quota there.
    #[error(
        "{kind} on {mount} has no project quotas (ext4 and xfs have them, mounted with prjquota)"
    )]
    NoQuota {
        /// The file system's type.
        kind: String,
        /// Where it is mounted.
        mount: String,
    },
    /// Quotas are counted and not enforced.
    #[error(
        "{kind} on {mount} counts project quotas but does not enforce them (mount it with prjquota)"
    )]
    NotEnforced {
        /// The file system's type.
        kind: String,
        /// Where it is mounted.
        mount: String,
    },
    /// Somebody else uses project quotas for this directory.
    #[error("it belongs to project {0} of somebody else")]
    Foreign(u32),
    /// Several containers on one directory.
    #[error("container {0:?} uses the same directory")]
    Shared(String),
    /// Rights that are needed.
    #[error("it needs CAP_SYS_ADMIN outside user namespaces")]
    NotPermitted,
    /// A kernel that cannot open files without leaving a directory.
    #[error("the kernel has no openat2 (Linux 5.6)")]
    OldKernel,
}
