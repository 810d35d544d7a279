//! In: an open directory and a project's number. Out: the quota of that
//! project on that file system, read, set or found.
//!
//! quotactl_fd(2) where the kernel has it (Linux 5.14), since it needs no
//! device's name; before that quotactl(2) with the device. The generic
//! commands work on ext4 and XFS alike.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// linux/quota.h.
const PROJECT: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const Q_GETNEXTQUOTA: u32 = 0x80_0009;
const QIF_BLIMITS: u32 = 1;
const QIF_ILIMITS: u32 = 4;
/// linux/dqblk_xfs.h: XQM_CMD(8).
const Q_XGETQSTATV: u32 = (b'X' as u32) << 8 | 8;
/// FS_QUOTA_PDQ_ACCT and FS_QUOTA_PDQ_ENFD.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;

/// Limits are in units of 1 KiB (QIF_DQBLKSIZE).
const UNIT: u64 = 1024;

/// linux/quota.h's `struct if_nextdqblk`; but for the last member, and what
/// is written back, `struct if_dqblk`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    hard: u64,
    soft: u64,
    space: u64,
    hard_files: u64,
    soft_files: u64,
    files: u64,
    times: [u64; 2],
    valid: u32,
    id: u32,
}

/// linux/dqblk_xfs.h's `struct fs_quota_statv`, of which the flags are read.
#[repr(C)]
#[derive(Clone, Copy)]
struct State {
    version: i8,
    padding: u8,
    flags: u16,
    rest: [u32; 39],
}

/// A project's limits and use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) project: u32,
    /// Bytes; `None` is no limit.
    pub(super) bytes_limit: Option<u64>,
    pub(super) files_limit: Option<u64>,
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Quota {
    /// Whether anybody uses the number on this file system.
    pub(super) fn in_use(&self) -> bool {
        let limited = self.bytes_limit.is_some() || self.files_limit.is_some();
        limited || self.bytes > 0 || self.files > 0
    }
}

/// A file system by one of its directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSystem<'a> {
    pub(super) directory: BorrowedFd<'a>,
    /// Its device, for kernels that want it.
    pub(super) device: (u32, u32),
}

/// What a file system does about projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    None,
    Counted,
    Enforced,
}

impl FileSystem<'_> {
    pub(super) fn support(self) -> io::Result<Support> {
        let mut state = State {
            version: 1,
            padding: 0,
            flags: 0,
            rest: [0; 39],
        };
        // The kernel writes one `struct fs_quota_statv` of version 1.
        match self.call(Q_XGETQSTATV, 0, &mut state) {
            Ok(()) if state.flags & ENFORCED != 0 => Ok(Support::Enforced),
            Ok(()) if state.flags & COUNTED != 0 => Ok(Support::Counted),
            Ok(()) => Ok(Support::None),
            Err(error) => match error.raw_os_error() {
                Some(
                    libc::ENOSYS
                    | libc::EINVAL
                    | libc::ESRCH
                    | libc::ENOTBLK
                    | libc::EOPNOTSUPP
                    | libc::ENODEV
                    | libc::ENOENT,
                ) => Ok(Support::None),
                _ => Err(error),
            },
        }
    }

    /// What the file system knows of the project; nothing is all zero.
    pub(super) fn read(self, project: u32) -> io::Result<Quota> {
        let mut block = Block::default();
        match self.call(Q_GETQUOTA, project, &mut block) {
            Ok(()) => Ok(quota(project, &block)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Quota {
                project,
                ..Quota::default()
            }),
            Err(error) => Err(error),
        }
    }

    /// The first project from `project` on that has limits or use.
    pub(super) fn next(self, project: u32) -> io::Result<Option<Quota>> {
        let mut block = Block::default();
        match self.call(Q_GETNEXTQUOTA, project, &mut block) {
            Ok(()) => Ok(Some(quota(block.id, &block))),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets both limits; `None` is none.
    pub(super) fn set(
        self,
        project: u32,
        bytes: Option<u64>,
        files: Option<u64>,
    ) -> io::Result<()> {
        let mut block = Block {
            // Zero is no limit, and less than a unit is not none.
            hard: bytes.map_or(0, |bytes| (bytes / UNIT).max(1)),
            hard_files: files.map_or(0, |files| files.max(1)),
            valid: QIF_BLIMITS | QIF_ILIMITS,
            ..Block::default()
        };
        self.call(Q_SETQUOTA, project, &mut block)
    }

    fn call<T: Record>(self, command: u32, project: u32, record: &mut T) -> io::Result<()> {
        let command = command << 8 | PROJECT;
        let record: *mut T = record;
        // SAFETY: each command takes a pointer to one record of its own
        // layout, which the callers above pair; it outlives the call.
        let done = unsafe {
            let directory = self.directory.as_raw_fd();
            libc::syscall(libc::SYS_quotactl_fd, directory, command, project, record)
        };
        let error = match done {
            0 => return Ok(()),
            _ => io::Error::last_os_error(),
        };
        if error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
        let (major, minor) = self.device;
        let Ok(device) = CString::new(format!("/dev/block/{major}:{minor}")) else {
            return Err(error);
        };
        // SAFETY: as above, and the device's name ends with a zero.
        let done = unsafe {
            libc::syscall(
                libc::SYS_quotactl,
                command,
                device.as_ptr(),
                project,
                record,
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What quotactl may be handed a pointer to.
trait Record {}
impl Record for Block {}
impl Record for State {}

fn quota(project: u32, block: &Block) -> Quota {
    Quota {
        project,
        bytes_limit: Some(block.hard.saturating_mul(UNIT)).filter(|n| *n > 0),
        files_limit: Some(block.hard_files).filter(|n| *n > 0),
        bytes: block.space,
        files: block.files,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_layouts() {
        assert_eq!(size_of::<Block>(), 72);
        assert_eq!(size_of::<libc::dqblk>(), 72);
        assert_eq!(size_of::<State>(), 160);
    }
}
