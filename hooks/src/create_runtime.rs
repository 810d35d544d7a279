//! `createRuntime`, and `prestart` before it: namespaces and cgroups exist,
//! the container's program does not run yet.
//!
//! In: the container's state. Out: its network shaped and its record written;
//! and where its spec was read before we could write into it, the plan applied
//! to its live cgroup.

use std::io::{self, Write};

use packrank_core::plain;
use packrank_shim::attach;

use crate::{HookError, Options, input};

pub fn run(options: &Options) -> Result<(), HookError> {
    let mut state = input::state()?;
    state.engine.clone_from(&options.engine);
    let notes = attach::attach(&state, options.policy.as_deref(), &options.run)?;
    let lines = notes.into_iter().flatten();
    let lines = lines.map(|note| {
        let note = plain::lines(&note);
        format!("packrank-hook: container {:?}: {note}\n", state.id)
    });
    // In one piece: stderr has no buffer, and every piece costs a call. Whoever
    // does not listen has no use for notes.
    let _ = io::stderr().write_all(lines.collect::<String>().as_bytes());
    Ok(())
}
