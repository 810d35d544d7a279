//! A network that came late: after the container's hooks had run, before its
//! start.
//!
//! In: the wrapped `start`'s arguments. Out: the network shaped by
//! packrank-hook, where the container's record says that it was put off. The
//! hook does it, so that netlink and D-Bus weigh on no start that has no need
//! of them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};
use packrank_core::record::{Packs, Record};

use crate::attach::{PENDING, RUN_FOLDER, running};
use crate::command::Command;
use crate::engine::Own;
use crate::planning::Hook;

/// Why the container must not start.
#[derive(Debug, thiserror::Error)]
pub enum LateError {
    /// The hook that put it off is gone.
    #[error(
        "container {id:?}: its network is to be shaped before it starts, but packrank-hook is not installed beside packrank-runtime"
    )]
    NoHook {
        /// The container.
        id: String,
    },
    /// The hook could not be run.
    #[error("container {id:?}: packrank-hook: {source}")]
    Run {
        /// The container.
        id: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The hook says no, and why.
    #[error("{0}")]
    Hook(String),
}

/// Shapes what was put off. A container without a record costs one look into
/// the folder of records; a damaged record must not stop a container.
///
/// # Errors
/// When the network cannot be shaped although the host has what it needs.
pub fn shape(command: &Command, own: &Own) -> Result<(), LateError> {
    let id = command.rest.iter().rev().find_map(|word| word.to_str());
    let Some(id) = id.filter(|id| !id.starts_with('-')) else {
        return Ok(());
    };
    let packs = Packs::under(Path::new(RUN_FOLDER));
    let pending = |record: &Record| record.network.get(PENDING) == Some(&true.into());
    // Another engine may have given the same id: which of them this one is
    // starting, only the engine knows. The first may be gone already.
    let records = packs.read(id).into_iter().chain(packs.twins(id));
    records
        .filter(|record| pending(record) && running::alive(record))
        .try_for_each(|record| hook(command, own, &record))
}

/// Runs the hook's createRuntime again, which the engine ran too early.
fn hook(command: &Command, own: &Own, record: &Record) -> Result<(), LateError> {
    let id = record.engine_id();
    let failed = |source| LateError::Run {
        id: id.to_owned(),
        source,
    };
    let hook = Hook::beside(own, command.policy.as_deref());
    let hook = hook.ok_or_else(|| LateError::NoHook { id: id.to_owned() })?;
    let state = serde_json::json!({ "id": id, "pid": record.pid, "bundle": record.bundle });
    let ended = run(&hook, &record.engine, state.to_string().as_bytes()).map_err(failed)?;
    let Err(said) = ended else { return Ok(()) };
    let last = said.lines().last().unwrap_or("it failed");
    let why = last.strip_prefix("packrank-hook: ").unwrap_or(last);
    Err(LateError::Hook(why.to_owned()))
}

/// Runs it with this on stdin; what it said where it failed. Files take the
/// place of pipes, so that nobody who inherits them is waited for.
fn run(hook: &Hook, engine: &Path, stdin: &[u8]) -> io::Result<Result<(), String>> {
    let file = || memfd_create("packrank-late", MFdFlags::MFD_CLOEXEC).map(File::from);
    let (mut state, mut said) = (file()?, file()?);
    state.write_all(stdin)?;
    state.rewind()?;
    let status = Process::new(&hook.program)
        .args(&hook.options)
        .arg("--engine")
        .arg(engine)
        .arg("createRuntime")
        .stdin(state)
        .stdout(Stdio::null())
        .stderr(said.try_clone()?)
        .status()?;
    if status.success() {
        return Ok(Ok(()));
    }
    let mut text = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut text)?;
    Ok(Err(String::from_utf8_lossy(&text).into_owned()))
}
