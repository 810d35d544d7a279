//! In: an open network namespace. Out: whether it is the caller's own, and
//! what a closure returned that ran inside it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

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

/// Runs `work` inside the namespace, in a thread of its own that ends with
/// it: whatever happens, the caller stays where it is. Sockets opened inside
/// keep working from outside.
pub(crate) fn inside<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    thread::scope(|scope| {
        let visitor = thread::Builder::new()
            .name("netns".into())
            .stack_size(64 * 1024)
            .spawn_scoped(scope, move || {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| {
                    Error::Namespace {
                        step: "enter",
                        source: errno.into(),
                    }
                })?;
                work()
            })
            .map_err(|source| Error::Namespace {
                step: "start a thread for",
                source,
            })?;
        match visitor.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
