//! Descriptors that the event loop waits for.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::unix::AsyncFd;

/// Makes the descriptor one that never blocks, and registers it.
///
/// # Errors
/// When the kernel refuses: a file, for one, cannot be waited for.
pub fn polled(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    // SAFETY: an OwnedFd names one open descriptor, always the same, and
    // closes it only when it is dropped, which AsyncFd does last.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
