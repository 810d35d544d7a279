//! In: a directory and a project's number. Out: the number is on everything
//! under it.
//!
//! What lies there came with an image or was made by a container, so it is
//! hostile: no name is resolved beyond one step, no symbolic link is followed,
//! no mount is crossed, nothing is opened but directories and plain files, and
//! how much and how deep has an end.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::project;

/// A fresh layer holds a dozen files, an unpacked image some ten thousand.
/// This many take about a second.
const MOST: u64 = 250_000;
/// Each level holds a file descriptor, of which a process usually has 1024.
const DEEPEST: usize = 256;

/// What became of a tree.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) assigned: u64,
    pub(super) skipped: u64,
}

/// Why a tree was not gone through.
#[derive(Debug)]
pub(super) enum Stop {
    TooMany,
    TooDeep,
    OldKernel,
    Io(io::Error),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Io(errno.into())
    }
}

struct Level {
    directory: OwnedFd,
    names: std::vec::IntoIter<CString>,
}

/// Gives `top` and everything under it the project. Directories come before
/// what is in them, so that what is made meanwhile inherits.
pub(super) fn assign(top: OwnedFd, project: u32) -> Result<Walked, Stop> {
    let mut walked = Walked::default();
    if project::assign(top.as_fd(), project, true).map_err(Stop::Io)? {
        walked.assigned += 1;
    }
    let mut seen = 0;
    let mut levels = vec![level(top, &mut seen)?];
    while let Some(current) = levels.last_mut() {
        let Some(name) = current.names.next() else {
            levels.pop();
            continue;
        };
        let Some(kind) = child(current.directory.as_fd(), &name)? else {
            walked.skipped += 1;
            continue;
        };
        let (file, directory) = match kind {
            Child::Directory(file) => (file, true),
            Child::File(file) => (file, false),
            Child::Gone => continue,
        };
        match project::assign(file.as_fd(), project, directory) {
            Ok(changed) => walked.assigned += u64::from(changed),
            // Immutable, or of a file system that came in between.
            Err(_) => walked.skipped += 1,
        }
        if directory {
            if levels.len() == DEEPEST {
                return Err(Stop::TooDeep);
            }
            let next = level(file, &mut seen)?;
            levels.push(next);
        }
    }
    Ok(walked)
}

fn level(directory: OwnedFd, seen: &mut u64) -> Result<Level, Stop> {
    let again = openat(
        &directory,
        ".",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(again)?.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        *seen += 1;
        if *seen > MOST {
            return Err(Stop::TooMany);
        }
        names.push(name.to_owned());
    }
    Ok(Level {
        directory,
        names: names.into_iter(),
    })
}

enum Child {
    Directory(OwnedFd),
    File(OwnedFd),
    Gone,
}

/// Opens one name of a directory; `None` for what is neither a directory nor
/// a plain file, or lies on another mount.
fn child(directory: BorrowedFd<'_>, name: &CString) -> Result<Option<Child>, Stop> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    // First only looked at (O_PATH): opening a device can have effects.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let held = match openat2(directory, name.as_c_str(), how) {
        Ok(held) => held,
        Err(Errno::ENOENT) => return Ok(Some(Child::Gone)),
        Err(Errno::ELOOP | Errno::EXDEV | Errno::EAGAIN) => return Ok(None),
        Err(Errno::ENOSYS | Errno::E2BIG) => return Err(Stop::OldKernel),
        Err(errno) => return Err(errno.into()),
    };
    let kind = SFlag::from_bits_truncate(fstat(&held)?.st_mode) & SFlag::S_IFMT;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened = if kind == SFlag::S_IFDIR {
        openat(&held, ".", flags | OFlag::O_DIRECTORY, Mode::empty()).map(Child::Directory)
    } else if kind == SFlag::S_IFREG {
        // The very file that was looked at, whatever its name says by now.
        let again = format!("/proc/self/fd/{}", held.as_raw_fd());
        open(again.as_str(), flags | OFlag::O_NOATIME, Mode::empty()).map(Child::File)
    } else {
        return Ok(None);
    };
    match opened {
        Ok(child) => Ok(Some(child)),
        // A lease on it (EWOULDBLOCK), a program being written (ETXTBSY).
        Err(Errno::EWOULDBLOCK | Errno::ETXTBSY | Errno::EACCES | Errno::EPERM) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
