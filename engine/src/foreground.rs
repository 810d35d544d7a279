//! In: a child process, and the terminal's master if there is one. Out: the child's exit status;
//! meanwhile its signals and its terminal are served.
//!
//! The end of the child is seen on a pidfd. Waiting for SIGCHLD instead loses a child that ends
//! before the signal is blocked, and then waits for ever beside its zombie.

use std::fs::File;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::cgroup_life::send;
use crate::error::Error;
use crate::terminal::Attachment;

/// Holds back the signals that will be forwarded. Called before the child exists, so that none is
/// lost or kills the engine in between; the container's program starts with none blocked.
pub fn hold_signals() -> Result<SignalFd, Error> {
    let mut set = SigSet::all();
    // A fault of our own must end us, not wait in a queue.
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGABRT,
    ] {
        set.remove(fault);
    }
    set.thread_block().map_err(Error::io("signals"))?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::io("signalfd"))
}

/// Serves the child until it ends. The status is the one a shell would give: 128 and the signal's
/// number if a signal ended it.
pub fn attend(pid: i32, signals: &SignalFd, master: Option<File>) -> Result<i32, Error> {
    let child = pidfd(pid).map_err(Error::io("pidfd"))?;
    let mut attachment = master.map(Attachment::begin).transpose()?;
    loop {
        let mut waited = vec![
            PollFd::new(child.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(attachment) = &attachment {
            waited.extend(attachment.poll_fds());
        }
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other.map_err(Error::io("poll"))?,
        };
        let ready: Vec<bool> = waited
            .iter()
            .map(|one| one.any().unwrap_or(false))
            .collect();
        drop(waited);
        if let Some(attachment) = &mut attachment {
            attachment.serve(&ready[2..])?;
        }
        if ready[1] {
            forward(pid, signals, attachment.as_ref())?;
        }
        if ready[0] {
            if let Some(attachment) = &mut attachment {
                attachment.drain();
            }
            return reap(pid);
        }
    }
}

fn forward(pid: i32, signals: &SignalFd, attachment: Option<&Attachment>) -> Result<(), Error> {
    while let Some(info) = signals.read_signal().map_err(Error::io("signalfd"))? {
        match i32::try_from(info.ssi_signo).unwrap_or_default() {
            libc::SIGCHLD => reap_others(pid),
            // Go's runtime sends it to itself; callers written in Go send it to children by chance.
            libc::SIGURG => {}
            libc::SIGWINCH if attachment.is_some() => {
                if let Some(attachment) = attachment {
                    attachment.resize();
                }
            }
            // Nobody is left to forward to: the pidfd says so next.
            number => drop(send(pid, number)),
        }
    }
    Ok(())
}

/// Ends the zombies of hooks and of orphans that were handed to us; the container's own process is
/// left for its status.
fn reap_others(pid: i32) {
    use nix::sys::wait::{Id, waitid};
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, peek) {
        match status.pid() {
            Some(other) if other.as_raw() != pid => {
                // Just seen to have ended, so there is nothing to learn from its status.
                let _ = waitpid(other, Some(WaitPidFlag::WNOHANG));
            }
            _ => break,
        }
    }
}

fn reap(pid: i32) -> Result<i32, Error> {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::io("wait")(errno)),
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) => {}
        }
    }
}

fn pidfd(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: two integers go in, a new descriptor or -1 comes out; pidfds are always close-on-exec.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
