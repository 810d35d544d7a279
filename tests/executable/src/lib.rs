//! Programs that a test makes and then runs.
//!
//! In: a file or its bytes. Out: a file of mode 0755 that nobody has open. The
//! kernel runs no file that somebody may write to, and a child that another of
//! the test's threads has just forked holds whatever this thread was writing:
//! so the file is written by a process of its own.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program of these bytes.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut child = installing(Path::new("/dev/stdin"), path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(bytes.as_ref())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// A program's copy.
pub fn copy(from: &Path, to: &Path) {
    let status = installing(from, to).status().unwrap();
    assert!(status.success(), "{}", to.display());
}

fn installing(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("/usr/bin/install");
    command.args(["-m", "0755", "--"]).arg(from).arg(to);
    command
}
