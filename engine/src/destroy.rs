//! In: a container in any state. Out: nothing left of it: no process, no cgroup, no state.

use std::thread::sleep;
use std::time::{Duration, Instant};

use libcontainer::container::ContainerStatus;
use nix::libc;

use crate::cgroup_life::send;
use crate::error::Error;
use crate::hooks;
use crate::record::{Record, start_time};
use crate::store::Home;

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills what lives, removes the cgroup, runs the poststop hooks, removes the state. A hook that
/// fails is reported and does not stop the removal.
pub fn destroy(home: &Home, record: &Record) -> Result<(), Error> {
    kill(record)?;
    record.place.remove()?;
    for failed in hooks::poststop(record, ContainerStatus::Stopped) {
        eprintln!("packrank-engine: {failed}");
    }
    Ok(home.remove()?)
}

/// Kills the first process and waits until it is gone; the kernel kills the rest of its pid
/// namespace with it.
pub fn kill(record: &Record) -> Result<(), Error> {
    let lives = || record.pid != 0 && start_time(record.pid) == Some(record.pid_start);
    if !lives() {
        return Ok(());
    }
    send(record.pid, libc::SIGKILL)
        .or_else(gone)
        .map_err(Error::io("kill"))?;
    if record.place.is_frozen() {
        // A frozen process dies when it is thawed.
        record.place.freeze(false)?;
    }
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    while lives() && begun.elapsed() < PATIENCE {
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(())
}

fn gone(errno: nix::errno::Errno) -> nix::Result<()> {
    if errno == nix::errno::Errno::ESRCH {
        Ok(())
    } else {
        Err(errno)
    }
}
