//! In: what the kernel or systemd refused. Out: a sentence an operator can act
//! on.

use std::path::PathBuf;

use packrank_core::key::Key;

use crate::cgroup::CgroupError;

/// Why a running container was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cgroup could not be read or written.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A memory limit below what is in use would kill.
    #[error(
        "{} would go to {wanted} bytes, and {used} are in use that cannot be taken back",
        path.display()
    )]
    InUse {
        /// The limit's file.
        path: PathBuf,
        /// The new limit.
        wanted: u64,
        /// What was left in use.
        used: u64,
    },
    /// The setting does not live in the cgroup, or not as this value.
    #[error("{key}={value} cannot be set in a running container's cgroup")]
    NotHere {
        /// The setting.
        key: Key,
        /// Its value as people read it.
        value: String,
    },
    /// systemd does not start a unit.
    #[error("systemd does not start {unit}: {problem}")]
    Start {
        /// The unit.
        unit: String,
        /// What it, or the bus to it, said.
        problem: String,
    },
    /// systemd owns the cgroup and does not take the values.
    #[error("systemd does not take the limits of {unit}: {problem}")]
    Systemd {
        /// The unit.
        unit: String,
        /// What it, or the bus to it, said.
        problem: String,
    },
}
