//! `poststart`: the container was started.
//!
//! In: the container's state. Out: somebody watches, who was started when the
//! record was written and may have died since. No reason to stop a container.

use packrank_core::plain;
use packrank_core::record::Packs;
use packrank_shim::attach::{chain, watcher};

use crate::{HookError, Options, input};

pub fn run(options: &Options) -> Result<(), HookError> {
    let state = input::state()?;
    let found = Packs::under(&options.run).find(&state.id, &state.bundle);
    if found.is_err_and(|error| error.is_absent()) {
        // Not ranked.
        return Ok(());
    }
    if let Err(error) = watcher::ensure(&options.run, options.policy.as_deref()) {
        let error = plain::lines(&chain(&error));
        eprintln!(
            "packrank-hook: container {:?}: nobody watches: {error}",
            state.id
        );
    }
    Ok(())
}
