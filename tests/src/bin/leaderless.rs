//! A program whose first thread exits while another one runs on.
//!
//! In: nothing. Out: a process that the kernel shows as a zombie, and that
//! runs until somebody kills it.

use std::thread;
use std::time::Duration;

use nix::libc;

fn main() {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    });
    // SAFETY: ends this thread alone; nothing on its stack is used by another.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}
