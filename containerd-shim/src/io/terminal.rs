//! The socket through which an engine hands us a container's terminal.
//!
//! In: the bundle. Out: a path for `--console-socket`, and then the terminal.
//! The path leads through our own descriptor of the bundle: a socket's name may
//! have 107 bytes, and a bundle's often has more; and it goes with the bundle.

use std::io::{IoSliceMut, Result as IoResult};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, open, unlinkat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixListener;

use crate::error::Error;

/// The engine has sent it before it ends: what is not there soon never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that waits for a terminal.
#[derive(Debug)]
pub struct Console {
    listener: UnixListener,
    bundle: OwnedFd,
    name: String,
}

impl Console {
    /// Makes one.
    ///
    /// # Errors
    /// When it cannot be made in the bundle.
    pub fn make(bundle: &Path) -> Result<Console, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("console-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(bundle, flags, Mode::empty()).map_err(Error::path("open", bundle))?;
        // Of a shim before us that was killed.
        let _: rustix::io::Result<()> = unlinkat(&folder, &*name, AtFlags::empty());
        let path = through(&folder, &name);
        let listener = UnixListener::bind(&path).map_err(Error::path("listen on", &path))?;
        Ok(Console {
            listener,
            bundle: folder,
            name,
        })
    }

    /// What the engine is told.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        through(&self.bundle, &self.name)
    }

    /// The terminal.
    ///
    /// # Errors
    /// When the engine has sent none.
    pub async fn receive(self) -> Result<OwnedFd, Error> {
        let received = async {
            let (stream, _) = self.listener.accept().await?;
            let receive = || receive(&stream);
            stream.async_io(Interest::READABLE, receive).await
        };
        let received = tokio::time::timeout(PATIENCE, received).await;
        let received = received.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        received.map_err(Error::io("receive the terminal from the engine"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It goes with the bundle at the latest.
        let _: rustix::io::Result<()> = unlinkat(&self.bundle, &*self.name, AtFlags::empty());
    }
}

fn through(folder: &OwnedFd, name: &str) -> PathBuf {
    let (pid, fd) = (std::process::id(), folder.as_raw_fd());
    format!("/proc/{pid}/fd/{fd}/{name}").into()
}

/// The first descriptor that comes with a message.
fn receive(stream: &tokio::net::UnixStream) -> IoResult<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // With it comes the terminal's name, of which nothing is needed.
    let mut name = [0; 4096];
    let mut slices = [IoSliceMut::new(&mut name)];
    recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut messages = control.drain();
    let fd = messages.find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.ok_or_else(|| std::io::Error::other("a message without a descriptor"))
}
