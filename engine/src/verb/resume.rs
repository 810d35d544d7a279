//! `resume`: a paused container goes on.

use crate::context::Context;
use crate::error::Error;

pub fn perform(options: &liboci_cli::Resume, context: &mut Context) -> Result<i32, Error> {
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    // Asked of the cgroup, not of the status: a created container can be paused too.
    if !record.status(&home).lives() || !record.place.is_frozen() {
        return Err(Error::NotPaused);
    }
    record.place.freeze(false)?;
    Ok(0)
}
