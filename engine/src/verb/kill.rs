//! `kill`: a signal to the first process, or to all.

use nix::errno::Errno;
use nix::libc;

use crate::cgroup_life::send;
use crate::cli;
use crate::context::Context;
use crate::error::Error;
use crate::record::Status;
use crate::signal;

pub fn perform(options: &cli::Kill, context: &mut Context) -> Result<i32, Error> {
    let number = signal::number(&options.signal)
        .ok_or_else(|| Error::UnknownSignal(options.signal.clone()))?;
    let home = context.store.find(&options.container_id)?;
    let record = home.record()?;
    if options.all {
        // Also of a stopped container: without a pid namespace of its own, others may live on.
        record.place.signal_all(number)?;
        return Ok(0);
    }
    let status = record.status(&home);
    if !status.lives() {
        return Err(Error::NotRunning);
    }
    match send(record.pid, number) {
        Err(Errno::ESRCH) => return Err(Error::NotRunning),
        other => other.map_err(Error::io("kill"))?,
    }
    if status == Status::Paused && number == libc::SIGKILL {
        // A frozen process dies when it is thawed.
        record.place.freeze(false)?;
    }
    Ok(0)
}
