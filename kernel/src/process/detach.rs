//! In: a program and its arguments. Out: it runs, and outlives whoever started
//! it: in a session of its own, with nothing of ours open.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Error;

/// `CLOSE_RANGE_CLOEXEC` (linux/close_range.h).
const CLOSE_ON_EXEC: libc::c_uint = 4;

/// Starts `program`, detached.
///
/// # Errors
/// When it cannot be started.
pub fn detach(program: &Path, args: &[OsString]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let alone = || {
        // An engine waits until every copy of its pipes is closed. Before
        // Linux 5.11 there is no such flag: what engines opened for themselves
        // is close-on-exec anyway.
        // SAFETY: a system call without pointers, in a process about to exec.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3 as libc::c_uint,
                libc::c_uint::MAX,
                CLOSE_ON_EXEC,
            )
        };
        nix::unistd::setsid().map(|_| ()).map_err(io::Error::from)
    };
    // SAFETY: `alone` makes two system calls and allocates nothing, as is
    // asked of what runs between fork and exec.
    unsafe { command.pre_exec(alone) };
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Start {
            program: program.to_owned(),
            source,
        }),
    }
}
