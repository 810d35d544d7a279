//! In: an open file or directory and a project's number. Out: the number is
//! on it, and on a directory also the mark that what is made inside inherits
//! it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// linux/fs.h's `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// FS_XFLAG_PROJINHERIT.
const INHERIT: u32 = 0x200;

mod ioctl {
    use super::Attributes;
    // linux/fs.h: FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR.
    nix::ioctl_read!(read, b'X', 31, Attributes);
    nix::ioctl_write_ptr!(write, b'X', 32, Attributes);
}

fn attributes(file: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes one `struct fsxattr`, whose layout this is.
    unsafe { ioctl::read(file.as_raw_fd(), &raw mut attributes) }?;
    Ok(attributes)
}

/// The project a file belongs to; 0 is none.
pub(super) fn of(file: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(attributes(file)?.project)
}

/// Whether the directory has the project, and hands it on to what is made in it.
pub(super) fn bears(directory: BorrowedFd<'_>, project: u32) -> io::Result<bool> {
    let found = attributes(directory)?;
    Ok(found.project == project && found.flags & INHERIT != 0)
}

/// Gives it the project. Whether anything had to be changed.
pub(super) fn assign(file: BorrowedFd<'_>, project: u32, directory: bool) -> io::Result<bool> {
    let old = attributes(file)?;
    let flags = if directory {
        old.flags | INHERIT
    } else {
        old.flags
    };
    if (old.project, old.flags) == (project, flags) {
        return Ok(false);
    }
    let new = Attributes {
        project,
        flags,
        ..old
    };
    // SAFETY: the kernel reads one `struct fsxattr`, whose layout this is.
    unsafe { ioctl::write(file.as_raw_fd(), &raw const new) }?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernels_layout() {
        assert_eq!(size_of::<super::Attributes>(), 28);
    }
}
