//! In: a terminal's master. Out: this process's own stdin and stdout connected to it, the own
//! terminal in raw mode, the window's size passed on; everything put back when dropped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::Error;

pub struct Attachment {
    master: File,
    /// Our terminal's settings before.
    before: Option<Termios>,
    input_open: bool,
    output_open: bool,
}

impl Attachment {
    pub fn begin(master: File) -> Result<Self, Error> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(settings) = &before {
            let mut raw = settings.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&stdin, SetArg::TCSANOW, &raw).map_err(Error::io("terminal"))?;
        }
        let attachment = Self {
            master,
            before,
            input_open: true,
            output_open: true,
        };
        attachment.resize();
        Ok(attachment)
    }

    /// What to wait for: the master, and stdin while it is open.
    pub fn poll_fds(&self) -> Vec<PollFd<'_>> {
        // SAFETY: stdin stays open as long as the process runs.
        let stdin = unsafe { BorrowedFd::borrow_raw(0) };
        let mut list = Vec::with_capacity(2);
        if self.output_open {
            list.push(PollFd::new(self.master.as_fd(), PollFlags::POLLIN));
        }
        if self.input_open {
            list.push(PollFd::new(stdin, PollFlags::POLLIN));
        }
        list
    }

    /// Copies whatever is ready; `ready` is in the order of [`Self::poll_fds`].
    pub fn serve(&mut self, ready: &[bool]) -> Result<(), Error> {
        let mut ready = ready.iter().copied();
        if self.output_open && ready.next().unwrap_or(false) {
            self.output_open = self.copy_out();
        }
        if self.input_open && ready.next().unwrap_or(false) {
            self.input_open = self.copy_in().map_err(Error::io("terminal"))?;
        }
        Ok(())
    }

    /// Copies what the container wrote before it ended.
    pub fn drain(&mut self) {
        use nix::poll::{PollTimeout, poll};
        while self.output_open {
            let mut waited = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if !poll(&mut waited, PollTimeout::ZERO).is_ok_and(|count| count > 0) {
                break;
            }
            self.output_open = self.copy_out();
        }
    }

    /// Gives the container's terminal the size of ours.
    pub fn resize(&self) {
        // SAFETY: all zero is a valid winsize.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: both calls get a live winsize, the first to fill it, the second to read it.
        unsafe {
            if libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) == 0 {
                libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
            }
        }
    }

    /// False once the other side is closed, which a master says with EIO.
    fn copy_out(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.master.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                let mut stdout = io::stdout().lock();
                // A reader of ours that is gone must not end the container.
                let _ = stdout
                    .write_all(&buffer[..count])
                    .and_then(|()| stdout.flush());
                true
            }
        }
    }

    fn copy_in(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4 << 10];
        // Not through std's buffer: poll would not see what is in it.
        // SAFETY: stdin stays open as long as the process runs.
        let stdin = unsafe { BorrowedFd::borrow_raw(0) };
        match nix::unistd::read(stdin, &mut buffer) {
            Ok(0) => {
                // End of input, as a person types it.
                self.master.write_all(&[4])?;
                Ok(false)
            }
            Ok(count) => self.master.write_all(&buffer[..count]).map(|()| true),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => Ok(true),
            Err(_) => Ok(false),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing better can be done for a terminal that is gone.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
