//! In: the process's user. Out: standard streams that this user may open again.
//!
//! `/dev/stdout` is a link to the descriptor's own file. A pipe made by the caller belongs to root,
//! so a program of another user that logs to `/dev/stdout` would be refused.

use std::os::fd::{AsFd, BorrowedFd};

use libcontainer::oci_spec::runtime::{LinuxIdMapping, Spec};
use nix::sys::stat::{SFlag, fstat, makedev};
use nix::unistd::{Uid, fchown};

/// Gives stdin, stdout and stderr to the process's user. A file system that refuses is no error:
/// the streams still work as they are.
pub fn hand_over(spec: &Spec) {
    let Some(process) = spec.process() else {
        return;
    };
    let Some(uid) = host_uid(process.user().uid(), spec) else {
        return;
    };
    if uid == 0 {
        return;
    }
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        give(stream, uid);
    }
}

fn give(stream: BorrowedFd<'_>, uid: u32) {
    let Ok(status) = fstat(stream) else { return };
    let null = SFlag::from_bits_truncate(status.st_mode).contains(SFlag::S_IFCHR)
        && status.st_rdev == makedev(1, 3);
    if !null && status.st_uid != uid {
        let _ = fchown(stream, Some(Uid::from_raw(uid)), None);
    }
}

/// The uid outside of the container's user namespace; none if it is not mapped.
fn host_uid(uid: u32, spec: &Spec) -> Option<u32> {
    let mappings = spec
        .linux()
        .as_ref()?
        .uid_mappings()
        .as_deref()
        .unwrap_or_default();
    if mappings.is_empty() {
        return Some(uid);
    }
    mappings.iter().find_map(|one: &LinuxIdMapping| {
        let above = uid.checked_sub(one.container_id())?;
        (above < one.size())
            .then(|| one.host_id().checked_add(above))
            .flatten()
    })
}
