//! `start`: lets a created container run.

use crate::begin::begin;
use crate::context::Context;
use crate::error::Error;

pub fn perform(options: &liboci_cli::Start, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    begin(&home, &home.record()?)?;
    Ok(0)
}
