//! `poststop`: the container is gone.
//!
//! In: the container's state. Out: nothing of ours left of it. What could not
//! be removed is reported, and never stops the engine's own clean-up.

use packrank_core::host::Roots;
use packrank_core::plain;
use packrank_shim::attach;

use crate::{HookError, Options, input};

pub fn run(options: &Options) -> Result<(), HookError> {
    let state = input::state()?;
    // A user's own container: nothing was made for it.
    if !Roots::own().writable() {
        return Ok(());
    }
    for failure in attach::detach(&state.id, &state.bundle, &options.run).failed {
        eprintln!("packrank-hook: {}", plain::lines(&failure));
    }
    Ok(())
}
