//! In: an open network namespace. Out: whether it is the caller's own, and
//! what a closure returned that ran inside it.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::process::abort;

use nix::sched::{CloneFlags, setns};
use nix::sys::stat::fstat;

use super::error::Error;

/// The calling thread's own network namespace. Not `/proc/self`, which is the
/// main thread's.
const OWN: &str = "/proc/thread-self/ns/net";

/// Opens the calling thread's network namespace: here, the host's.
pub(crate) fn own() -> Result<File, Error> {
    File::open(OWN).map_err(|source| Error::Namespace {
        step: "open our own",
        source,
    })
}

/// Whether both file descriptors name the same namespace, which the kernel
/// identifies by device and inode.
pub(crate) fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Error> {
    let failed = |errno: nix::Error| Error::Namespace {
        step: "identify",
        source: errno.into(),
    };
    let one = fstat(one).map_err(failed)?;
    let other = fstat(other).map_err(failed)?;
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Runs `work` with the calling thread inside the namespace, and goes back to
/// its own. Sockets opened inside keep working from outside.
pub(crate) fn inside<T>(
    own: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Namespace {
        step: "enter",
        source: errno.into(),
    })?;
    let _visit = Visit { own };
    work()
}

/// A stay in a foreign namespace; it ends with this value, whatever happens.
struct Visit<'a> {
    own: BorrowedFd<'a>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // Who was let in a moment ago is let out, unless the kernel has not
        // even a hundred bytes left. A thread that stayed inside would take
        // the container's network for the host's from then on.
        if setns(self.own, CloneFlags::CLONE_NEWNET).is_err() {
            abort();
        }
    }
}
