//! `poststart`: the container was started.
//!
//! In: the container's state. Out: nothing: its record stands since
//! createRuntime, and whoever watches the records' folder has seen it.

use crate::{HookError, Options, input};

pub fn run(_: &Options) -> Result<(), HookError> {
    // Engines wait until their end of the pipe is read.
    input::state()?;
    Ok(())
}
