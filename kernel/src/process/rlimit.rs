//! In: a process and a soft and hard limit. Out: it has them, or the nearest
//! the caller may give it.
//!
//! Meant for a process that has not yet become the container's program: what
//! a program has opened already stays open above a lower limit.

use std::fmt;
use std::io;

use super::{Change, Error, Process};

/// What is limited; the names are setrlimit(2)'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Bytes of memory locked.
    Memlock,
    /// Bytes of a core file.
    Core,
}

impl Resource {
    fn row(self) -> (&'static str, libc::c_int) {
        // musl and glibc have different types for the same small numbers.
        let (name, number) = match self {
            Resource::Nofile => ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
            Resource::Nproc => ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
            Resource::Memlock => ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
            Resource::Core => ("RLIMIT_CORE", libc::RLIMIT_CORE),
        };
        (name, libc::c_int::try_from(number).unwrap_or(-1))
    }
}

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// What the process may raise that to.
    pub hard: u64,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |n: u64| match n {
            u64::MAX => "unlimited".to_owned(),
            n => n.to_string(),
        };
        write!(f, "{}/{}", show(self.soft), show(self.hard))
    }
}

impl Process {
    /// Sets a limit. Without CAP_SYS_RESOURCE no hard limit is raised: then
    /// the one that is there stays, and the change says so.
    ///
    /// # Errors
    /// When the process is somebody else's or in a user namespace of its own
    /// and the caller has no CAP_SYS_RESOURCE there; or it is gone.
    pub fn rlimit(&self, what: Resource, wanted: Limit) -> Result<Option<Change<Limit>>, Error> {
        let (name, number) = what.row();
        let refused = |source| self.refused(name, wanted.to_string(), source);
        self.still_there()?;
        let old = prlimit(self.pid, number, None).map_err(refused)?;
        if old == wanted {
            return Ok(None);
        }
        let mut new = wanted;
        let mut done = prlimit(self.pid, number, Some(new));
        if let Err(source) = &done
            && source.raw_os_error() == Some(libc::EPERM)
            && wanted.hard > old.hard
        {
            new = Limit {
                soft: wanted.soft.min(old.hard),
                hard: old.hard,
            };
            if new == old {
                return Ok(None);
            }
            done = prlimit(self.pid, number, Some(new));
        }
        done.map_err(refused)?;
        self.still_there()?;
        Ok(Some(Change { old, new }))
    }
}

/// Reads the limit, and sets it where there is a new one.
fn prlimit(pid: u32, resource: libc::c_int, new: Option<Limit>) -> io::Result<Limit> {
    let new = new.map(|limit| libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    });
    let new: *const libc::rlimit64 = new.as_ref().map_or(std::ptr::null(), |new| new);
    let mut old = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both point to a struct of the kernel's own layout (rlimit64 on
    // every architecture) that outlives the call, or `new` to nothing.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, &raw mut old) };
    match done {
        0 => Ok(Limit {
            soft: old.rlim_cur,
            hard: old.rlim_max,
        }),
        _ => Err(io::Error::last_os_error()),
    }
}
