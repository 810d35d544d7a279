//! An engine does not outlive its shim: what a killed shim left half made is
//! removed by `delete`, and nobody may go on making it meanwhile.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Has the program killed when the thread that starts it ends.
pub fn with_parent(command: &mut Command) -> &mut Command {
    let set = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: between fork and exec this makes one system call and touches no
    // memory but its own stack.
    unsafe { command.pre_exec(set) }
}
