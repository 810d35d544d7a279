//! Starting the watcher from a hook.
//!
//! In: the roots and the watcher's program. Out: one that runs: already, or
//! started now, through systemd where it runs the node, else detached. The
//! lock decides between two that are started at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Roots;

/// Whether one was there, or was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// It runs.
    Already,
    /// It was started and may still be getting ready; records written before
    /// are found.
    Started,
}

/// Sees to it that a watcher runs.
///
/// # Errors
/// When none runs and its program cannot be started.
pub fn ensure(roots: &Roots, program: &Path) -> io::Result<Launched> {
    if UnixStream::connect(roots.socket()).is_ok() {
        return Ok(Launched::Already);
    }
    let mut command = match Path::new("/run/systemd/system").is_dir() {
        true => {
            let mut run = Command::new("systemd-run");
            run.args([
                "--quiet",
                "--no-block",
                "--collect",
                "--unit=packrank-watcher",
            ]);
            run.args(["-p", "MemoryMin=16M", "-p", "OOMScoreAdjust=-999"]);
            run.args(["-p", "LimitNOFILE=131072", "-p", "Restart=on-failure", "--"]);
            run.arg(program);
            run
        }
        false => Command::new(program),
    };
    command.arg("--run").arg(&roots.run);
    // A process group of its own: the engine's end is not the watcher's.
    command.process_group(0).current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn()?;
    Ok(Launched::Started)
}
