//! `delete`: nothing left of a stopped container, with `--force` of any.

use crate::context::Context;
use crate::destroy::destroy;
use crate::error::Error;
use crate::record::Status;
use crate::store::StoreError;

pub fn perform(options: &liboci_cli::Delete, context: &mut Context) -> Result<i32, Error> {
    let home = match context.store.find(&options.container_id) {
        // Callers clean up with --force whatever may be there.
        Err(StoreError::Absent(_)) if options.force => return Ok(0),
        other => other?,
    };
    let record = match home.record() {
        // A create that died before it wrote anything down.
        Err(StoreError::Io { .. } | StoreError::Damaged { .. }) if options.force => {
            home.remove()?;
            return Ok(0);
        }
        other => other?,
    };
    let status = record.status(&home);
    if options.force || matches!(status, Status::Stopped | Status::Created) {
        destroy(&home, &record)?;
        return Ok(0);
    }
    Err(Error::NotStopped {
        id: record.id,
        status: status.name(),
    })
}
