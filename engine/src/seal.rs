//! In: the engine as it was started. Out: the engine running from a file that no container can
//! write to.
//!
//! A container whose program is `/proc/self/exe`, or that opens it of a process that has just
//! joined, holds the engine's own file; when the engine ends it could be overwritten, and the next
//! start would run the container's code as root on the host (CVE-2019-5736). So the engine executes
//! itself again through a read-only clone of the mount its file lies on, which is attached nowhere,
//! and where the kernel has none (before 5.12) through a sealed copy in memory.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::fexecve;

/// From the kernel's `linux/mount.h`.
const MOUNT_ATTR_RDONLY: u64 = 1;
const OPEN_TREE_CLONE: libc::c_uint = 1;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("/proc/self/exe: {0}")]
    Open(#[source] io::Error),
    #[error("copy in memory: {0}")]
    Copy(#[source] io::Error),
    #[error("execute it again: {0}")]
    Execute(#[source] io::Error),
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Returns if the file is safe; otherwise executes the engine again, with the same arguments, and
/// does not return.
pub fn ensure() -> Result<(), SealError> {
    let own = File::open("/proc/self/exe").map_err(SealError::Open)?;
    if is_sealed(&own) {
        return Ok(());
    }
    let arguments = c_strings(std::env::args_os());
    let environment = c_strings(std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    if let Ok(clone) = read_only_clone()
        && is_sealed(&clone)
    {
        // Where executing through it is refused (a noexec mount), the copy is left to try.
        let _ = fexecve(&clone, &arguments, &environment);
    }
    let copy = sealed_copy(own).map_err(SealError::Copy)?;
    match fexecve(&copy, &arguments, &environment) {
        Ok(never) => match never {},
        Err(errno) => Err(SealError::Execute(errno.into())),
    }
}

fn is_sealed(file: &impl AsFd) -> bool {
    let read_only = fstatvfs(file).is_ok_and(|it| it.flags().contains(FsFlags::ST_RDONLY));
    let seals = fcntl(file, FcntlArg::F_GET_SEALS)
        .ok()
        .map(SealFlag::from_bits_retain);
    read_only || seals.is_some_and(|seals| seals.contains(SealFlag::F_SEAL_WRITE))
}

fn read_only_clone() -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned();
    // SAFETY: the path is a zero-terminated literal; the result is a new descriptor or -1.
    let tree = unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            c"/proc/self/exe".as_ptr(),
            flags,
        )
    };
    let tree = i32::try_from(tree)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: just opened, owned by nobody else.
    let tree = unsafe { OwnedFd::from_raw_fd(tree) };
    let attributes = MountAttributes {
        set: MOUNT_ATTR_RDONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    set_attributes(tree.as_fd(), &attributes)?;
    // The tree is an O_PATH descriptor of the file itself; open it for reading through the clone.
    File::open(format!("/proc/self/fd/{}", tree.as_raw_fd())).map(OwnedFd::from)
}

fn set_attributes(tree: BorrowedFd<'_>, attributes: &MountAttributes) -> io::Result<()> {
    let (attributes, size) = (std::ptr::from_ref(attributes), size_of::<MountAttributes>());
    // SAFETY: an empty path with AT_EMPTY_PATH means the descriptor; the struct is only read.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            attributes,
            size,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn sealed_copy(mut own: File) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut copy = File::from(memfd_create(c"packrank-engine", flags)?);
    io::copy(&mut own, &mut copy)?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy)
}

fn c_strings(list: impl Iterator<Item = OsString>) -> Vec<CString> {
    // Neither arguments nor environment can hold a zero byte: they came as C strings.
    list.filter_map(|one| CString::new(one.into_vec()).ok())
        .collect()
}
