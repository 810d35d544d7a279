//! In: a directory and a project's number. Out: the number is on everything
//! under it.
//!
//! What lies there came with an image or was made by a container, so it is
//! hostile: no name is resolved beyond one step, no symbolic link is followed,
//! no mount is crossed, and nothing is opened but directories and plain files.
//! However deep it is, one directory is open at a time: the way back up is
//! `..`, which must lead to the very directory that was left. However much it
//! is, the walk ends in time, and what it did not reach is only not counted.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::project;

/// What became of a tree.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) assigned: u64,
    pub(super) skipped: u64,
    /// It was left before its end.
    pub(super) cut: bool,
}

/// Why a tree was not gone through.
#[derive(Debug)]
pub(super) enum Stop {
    OldKernel,
    Io(io::Error),
}

/// A directory that is being gone through.
struct Level {
    device: u64,
    inode: u64,
    /// The directories in it that are still to be entered.
    names: std::vec::IntoIter<CString>,
}

/// Gives everything under `top` the project, and then `top` itself: one that
/// has it was gone through.
pub(super) fn assign(top: OwnedFd, project: u32, until: Instant) -> Result<Walked, Stop> {
    let mut walked = Walked::default();
    if !project::bears(top.as_fd(), project).map_err(Stop::Io)? {
        let again = top.try_clone().map_err(Stop::Io)?;
        let done = descend(again, project, until, &mut walked);
        // Nothing runs there yet: what comes now is counted in any case.
        project::assign(top.as_fd(), project, true).map_err(Stop::Io)?;
        walked.assigned += 1;
        done?;
    }
    Ok(walked)
}

fn descend(
    mut current: OwnedFd,
    project: u32,
    until: Instant,
    walked: &mut Walked,
) -> Result<(), Stop> {
    let mut levels = vec![level(&current, project, until, walked)?];
    while let Some(last) = levels.last_mut() {
        if Instant::now() >= until {
            walked.cut = true;
            break;
        }
        if let Some(name) = last.names.next() {
            if let Some(Child::Directory(next)) = child(current.as_fd(), &name)? {
                levels.push(level(&next, project, until, walked)?);
                current = next;
            }
            continue;
        }
        levels.pop();
        if let Some(above) = levels.last() {
            let Some(up) = parent(current.as_fd(), above) else {
                walked.cut = true;
                break;
            };
            current = up;
        }
    }
    Ok(())
}

/// Gives what is in a directory the project. Directories come before what is
/// in them, so that what is made meanwhile inherits.
fn level(
    directory: &OwnedFd,
    project: u32,
    until: Instant,
    walked: &mut Walked,
) -> Result<Level, Stop> {
    let mut names = Vec::new();
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let again = openat(directory, ".", flags, Mode::empty());
    let entries = again.and_then(Dir::from_fd);
    let mut entries = entries.ok();
    for entry in entries.iter_mut().flat_map(Dir::iter) {
        if Instant::now() >= until {
            walked.cut = true;
            break;
        }
        let Ok(entry) = entry else { break };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let (file, below) = match child(directory.as_fd(), name)? {
            None => {
                walked.skipped += 1;
                continue;
            }
            Some(Child::Gone) => continue,
            Some(Child::Directory(file)) => (file, true),
            Some(Child::File(file)) => (file, false),
        };
        match project::assign(file.as_fd(), project, below) {
            Ok(changed) => walked.assigned += u64::from(changed),
            // Immutable, or of a file system that came in between.
            Err(_) => walked.skipped += 1,
        }
        if below {
            names.push(name.to_owned());
        }
    }
    let stat = fstat(directory).map_err(|errno| Stop::Io(errno.into()))?;
    Ok(Level {
        device: stat.st_dev,
        inode: stat.st_ino,
        names: names.into_iter(),
    })
}

/// The directory above, if it still is the one that `current` was entered from.
fn parent(current: BorrowedFd<'_>, above: &Level) -> Option<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let up = openat(current, "..", flags, Mode::empty()).ok()?;
    let stat = fstat(&up).ok()?;
    ((stat.st_dev, stat.st_ino) == (above.device, above.inode)).then_some(up)
}

enum Child {
    Directory(OwnedFd),
    File(OwnedFd),
    Gone,
}

/// Opens one name of a directory; `None` for what is neither a directory nor
/// a plain file, lies on another mount, or cannot be opened.
fn child(directory: BorrowedFd<'_>, name: &CStr) -> Result<Option<Child>, Stop> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    // First only looked at (O_PATH): opening a device can have effects.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let held = match openat2(directory, name, how) {
        Ok(held) => held,
        Err(Errno::ENOENT) => return Ok(Some(Child::Gone)),
        Err(Errno::ENOSYS | Errno::E2BIG) => return Err(Stop::OldKernel),
        Err(_) => return Ok(None),
    };
    let Ok(stat) = fstat(&held) else {
        return Ok(None);
    };
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
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
    // What a container can do to a file (a lease, encryption, a program being
    // written) costs the rest nothing.
    Ok(opened.ok())
}

#[cfg(test)]
mod tests;
