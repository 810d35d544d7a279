//! `pause`: every process of the container stands still.

use crate::context::Context;
use crate::error::Error;
use crate::record::Status;

pub fn perform(options: &liboci_cli::Pause, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    match record.status(&home) {
        Status::Running | Status::Created => record.place.freeze(true)?,
        _ => return Err(Error::NotRunning),
    }
    Ok(0)
}
