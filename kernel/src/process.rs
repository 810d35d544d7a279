//! In: a container's first process, and the I/O priority, OOM score or limit
//! it should have. Out: set, with what it was before; or the reason why not.
//!
//! For engines and kernels that ignore these members of the spec. What is
//! already so is not written again. A process is held by its open folder in
//! `/proc`, which the kernel ties to the process and not to its number: once
//! it has ended, nothing written there reaches another one.

mod detach;
mod error;
mod io_priority;
mod oom;
mod rlimit;
mod stat;
mod thread;
pub mod usage;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat};

use crate::procfs;

pub use detach::detach;
pub use error::Error;
pub use io_priority::{IoClass, ThreadChange};
pub use rlimit::{Limit, Resource};
pub use stat::Stat;
pub use thread::{folder, network};

/// A value that was changed. What was asked for and is not `new` was more
/// than the caller may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<T> {
    /// What it was.
    pub old: T,
    /// What it is.
    pub new: T,
}

/// A process that is held against reuse of its number.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    started: u64,
    folder: OwnedFd,
}

impl Process {
    /// Takes hold of the process.
    ///
    /// `started` is when it must have started, in clock ticks since boot
    /// (field 22 of its stat), where the caller knows.
    ///
    /// # Errors
    /// When there is no such process, or another one has its number.
    pub fn open(pid: u32, started: Option<u64>) -> Result<Process, Error> {
        let path = PathBuf::from(format!("/proc/{pid}"));
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
        let folder = match open(&path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => return Err(Error::Gone { pid }),
            Err(errno) => {
                let source = errno.into();
                return Err(Error::Unreadable { path, source });
            }
        };
        let mut process = Process {
            pid,
            started: 0,
            folder,
        };
        process.started = process.stat()?;
        match started {
            Some(started) if started != process.started => Err(Error::Replaced {
                pid,
                started,
                found: process.started,
            }),
            _ => Ok(process),
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it started, in clock ticks since boot.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started
    }

    /// For calls that take a number: whether the number is still this
    /// process's, now. The held folder has no files any more once it is not.
    fn still_there(&self) -> Result<(), Error> {
        let found = fstatat(self.folder.as_fd(), "stat", AtFlags::empty());
        let found = found.map_err(io::Error::from);
        found
            .map(drop)
            .map_err(|source| self.unreadable("stat", source))
    }

    /// When it started.
    fn stat(&self) -> Result<u64, Error> {
        let started = Stat::started(&self.read("stat")?);
        started.ok_or_else(|| self.unreadable("stat", io::ErrorKind::InvalidData.into()))
    }

    /// A small file of the process.
    fn read(&self, name: &str) -> Result<String, Error> {
        self.file(name, OFlag::O_RDONLY)
            .and_then(procfs::text)
            .map_err(|source| self.unreadable(name, source))
    }

    fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC;
        let file = openat(self.folder.as_fd(), name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// A process that has ended says ENOENT when a file is opened and ESRCH
    /// when one is read.
    fn unreadable(&self, name: &str, source: io::Error) -> Error {
        match source.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) => Error::Gone { pid: self.pid },
            _ => Error::Unreadable {
                path: PathBuf::from(format!("/proc/{}/{name}", self.pid)),
                source,
            },
        }
    }

    /// The kernel's no to a value.
    fn refused(&self, setting: &'static str, value: String, source: io::Error) -> Error {
        let pid = self.pid;
        match source.raw_os_error() {
            Some(libc::ESRCH) => Error::Gone { pid },
            Some(libc::EPERM | libc::EACCES) => Error::Denied {
                pid,
                setting,
                value,
                source,
            },
            _ => Error::Refused {
                pid,
                setting,
                value,
                source,
            },
        }
    }
}
