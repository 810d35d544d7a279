//! In: the path of a console socket, or nothing. Out: the descriptor over which libcontainer sends
//! the terminal's master, and for a terminal attached to this process the master itself.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::error::Error;

/// Where the master goes.
pub enum Console {
    /// No terminal.
    None,
    /// To the caller's socket.
    Caller(OwnedFd),
    /// To this process.
    Own {
        sender: OwnedFd,
        receiver: UnixStream,
    },
}

impl Console {
    /// The rules are runc's: a terminal needs a socket exactly if nobody stays to attend it.
    pub fn new(terminal: bool, detached: bool, socket: Option<&Path>) -> Result<Self, Error> {
        match (terminal, detached, socket) {
            (true, true, None) => Err(Error::ConsoleSocketRequired),
            (false, _, Some(_)) | (true, false, Some(_)) => Err(Error::ConsoleSocketUnused),
            (false, _, None) => Ok(Self::None),
            (true, true, Some(path)) => Ok(Self::Caller(connect(path)?)),
            (true, false, None) => {
                let (sender, receiver) = UnixStream::pair().map_err(Error::io("socketpair"))?;
                Ok(Self::Own {
                    sender: sender.into(),
                    receiver,
                })
            }
        }
    }

    /// What libcontainer is given.
    pub fn descriptor(&self) -> Option<i32> {
        match self {
            Self::None => None,
            Self::Caller(socket) | Self::Own { sender: socket, .. } => Some(socket.as_raw_fd()),
        }
    }

    /// The master, if it was sent to this process.
    pub fn master(self) -> Result<Option<File>, Error> {
        let Self::Own { sender, receiver } = self else {
            return Ok(None);
        };
        drop(sender);
        let mut name = [0; 256];
        let mut buffers = [IoSliceMut::new(&mut name)];
        let mut space = cmsg_space!([i32; 1]);
        let message = recvmsg::<()>(
            receiver.as_raw_fd(),
            &mut buffers,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .map_err(Error::io("console"))?;
        let fds = message
            .cmsgs()
            .map_err(Error::io("console"))?
            .find_map(|one| match one {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            });
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fds.map(|fd| unsafe { File::from_raw_fd(fd) }))
    }
}

fn connect(path: &Path) -> Result<OwnedFd, Error> {
    let failed = |cause| Error::ConsoleSocket {
        path: path.to_owned(),
        cause,
    };
    let name = path
        .file_name()
        .ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let directory = File::open(directory).map_err(failed)?;
    // A socket's address holds 107 bytes; callers' paths can be longer.
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    UnixStream::connect(short)
        .map(OwnedFd::from)
        .map_err(failed)
}
