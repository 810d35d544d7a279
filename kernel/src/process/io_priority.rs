//! In: a process and an I/O class with its level. Out: every thread of it has
//! them, and which had not.
//!
//! Every thread, because the priority belongs to the thread and any thread of
//! an engine's init process may be the one that becomes the container's
//! program.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{Change, Error, Process};

/// ioprio_set(2)'s classes, each with its level where it has one: 0 (served
/// first) to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// None of its own: the kernel goes by the nice value.
    None,
    /// Before everybody else.
    Realtime(u8),
    /// The usual.
    BestEffort(u8),
    /// Only when the disk is otherwise idle.
    Idle,
    /// What a newer kernel may have.
    Other(u16),
}

/// A thread that had another priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadChange {
    /// Its number.
    pub thread: u32,
    /// From what to what.
    pub change: Change<IoClass>,
}

/// linux/ioprio.h: the class sits above 13 bits, the level in the lowest 3.
const CLASS_SHIFT: u16 = 13;
const LEVELS: u16 = 7;

impl IoClass {
    fn bits(self) -> u16 {
        let (class, level) = match self {
            IoClass::None => (0, 0),
            IoClass::Realtime(level) => (1, level),
            IoClass::BestEffort(level) => (2, level),
            IoClass::Idle => (3, 0),
            IoClass::Other(bits) => return bits,
        };
        class << CLASS_SHIFT | u16::from(level) & LEVELS
    }

    fn from_bits(bits: u16) -> IoClass {
        let level = (bits & LEVELS).to_le_bytes()[0];
        match (bits >> CLASS_SHIFT, bits & !(LEVELS | 7 << CLASS_SHIFT)) {
            (0, 0) => IoClass::None,
            (1, 0) => IoClass::Realtime(level),
            (2, 0) => IoClass::BestEffort(level),
            (3, 0) => IoClass::Idle,
            _ => IoClass::Other(bits),
        }
    }
}

impl fmt::Display for IoClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoClass::None => f.write_str("none"),
            IoClass::Realtime(level) => write!(f, "realtime {level}"),
            IoClass::BestEffort(level) => write!(f, "best-effort {level}"),
            IoClass::Idle => f.write_str("idle"),
            IoClass::Other(bits) => write!(f, "{bits:#x}"),
        }
    }
}

/// How often the threads are looked through for new ones: one started by a
/// thread whose turn had not come has the old priority.
const ROUNDS: usize = 8;

const SETTING: &str = "the I/O priority";

impl Process {
    /// Gives every thread the I/O class and level.
    ///
    /// # Errors
    /// When the caller may not (realtime needs CAP_SYS_NICE), the kernel has
    /// no I/O priorities, or the process is gone.
    pub fn io_priority(&self, wanted: IoClass) -> Result<Vec<ThreadChange>, Error> {
        let mut changes = Vec::new();
        for _ in 0..ROUNDS {
            let before = changes.len();
            for thread in self.threads()? {
                self.still_there()?;
                changes.extend(self.one(thread, wanted)?);
            }
            if changes.len() == before {
                break;
            }
        }
        self.still_there()?;
        Ok(changes)
    }

    fn one(&self, thread: u32, wanted: IoClass) -> Result<Option<ThreadChange>, Error> {
        let ended = |source: &io::Error| source.raw_os_error() == Some(libc::ESRCH);
        let old = match ioprio_get(thread) {
            Ok(bits) => IoClass::from_bits(bits),
            Err(source) if ended(&source) => return Ok(None),
            Err(source) => return Err(self.refused(SETTING, wanted.to_string(), source)),
        };
        if old == wanted {
            return Ok(None);
        }
        match ioprio_set(thread, wanted.bits()) {
            Ok(()) => Ok(Some(ThreadChange {
                thread,
                change: Change { old, new: wanted },
            })),
            Err(source) if ended(&source) => Ok(None),
            Err(source) => Err(self.refused(SETTING, wanted.to_string(), source)),
        }
    }

    fn threads(&self) -> Result<Vec<u32>, Error> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let unreadable = |errno: nix::Error| self.unreadable("task", errno.into());
        let mut folder =
            Dir::openat(self.folder.as_fd(), "task", flags, Mode::empty()).map_err(unreadable)?;
        let mut threads = Vec::new();
        for entry in folder.iter() {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_str().ok();
            threads.extend(name.and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(threads)
    }
}

/// linux/ioprio.h.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

fn ioprio_get(thread: u32) -> io::Result<u16> {
    // SAFETY: takes three integers and touches no memory of ours.
    let bits = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, thread) };
    u16::try_from(bits).map_err(|_| io::Error::last_os_error())
}

fn ioprio_set(thread: u32, bits: u16) -> io::Result<()> {
    let bits = libc::c_int::from(bits);
    // SAFETY: takes three integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, thread, bits) };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers() {
        for (class, bits) in [
            (IoClass::None, 0),
            (IoClass::Realtime(3), 0x2003),
            (IoClass::BestEffort(7), 0x4007),
            (IoClass::Idle, 0x6000),
            (IoClass::Other(0x4017), 0x4017),
        ] {
            assert_eq!(class.bits(), bits);
            assert_eq!(IoClass::from_bits(bits), class);
        }
        assert_eq!(IoClass::from_bits(0x6007), IoClass::Idle);
    }
}
