//! In: what the kernel said about a process. Out: a sentence an operator can
//! act on.

use std::io;
use std::path::PathBuf;

/// Why a process was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has ended, or never was.
    #[error("process {pid} does not exist")]
    Gone {
        /// Its number.
        pid: u32,
    },
    /// The number belongs to another process now.
    #[error(
        "process {pid} is another one now: it started at tick {found} after boot, not at {started}"
    )]
    Replaced {
        /// The number.
        pid: u32,
        /// When the process that was meant started.
        started: u64,
        /// When the one that is there started.
        found: u64,
    },
    /// The caller may not, and there is nothing nearer that it may.
    #[error("may not set {setting} of process {pid} to {value}")]
    Denied {
        /// Its number.
        pid: u32,
        /// The setting.
        setting: &'static str,
        /// What it should have become.
        value: String,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// The kernel does not take the value.
    #[error("cannot set {setting} of process {pid} to {value}")]
    Refused {
        /// Its number.
        pid: u32,
        /// The setting.
        setting: &'static str,
        /// What it should have become.
        value: String,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The errno.
        #[source]
        source: io::Error,
    },
    /// A file of the process could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the caller's rights are too few.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// Whether the process has ended, or its number is another's.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Replaced { .. })
    }
}
