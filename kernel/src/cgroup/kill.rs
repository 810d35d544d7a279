//! Ending a cgroup.
//!
//! In: an open cgroup. Out: SIGKILL for all in it: by `cgroup.kill` where the
//! kernel has it, else process by process through pidfds, so that a number
//! used again is nobody else's end.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::parse::number;
use super::{Cgroup, CgroupError};
use crate::process::Stat;

/// Rounds over the list of processes: those that a fork slipped past the last
/// one are found by the next.
const ROUNDS: usize = 8;

impl Cgroup {
    /// Kills all in it. A process that cannot die yet (in uninterruptible
    /// sleep) is not waited for.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> Result<(), CgroupError> {
        if let Some(folder) = self.unified().filter(|folder| folder.has("cgroup.kill")) {
            let killed = folder.write("cgroup.kill", "1");
            // A frozen version 1 cgroup dies only once it goes on.
            if self.v1("freezer").is_some() {
                self.thaw()?;
            }
            return killed;
        }
        // Stopped, it cannot fork while its list is walked.
        let stopped = self.v1("freezer").is_some() && self.freeze().is_ok();
        let killed = self.kill_each();
        if stopped {
            self.thaw()?;
        }
        killed
    }

    fn kill_each(&self) -> Result<(), CgroupError> {
        for _ in 0..ROUNDS {
            let processes = self.processes()?;
            if processes.is_empty() {
                break;
            }
            for pid in processes {
                // Opened first, then looked up again: only what is still in
                // this cgroup while we hold it is killed.
                let Some(pid_) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
                    continue;
                };
                let Ok(held) = pidfd_open(pid_, PidfdFlags::empty()) else {
                    continue;
                };
                if self.processes()?.contains(&pid) {
                    let _ = pidfd_send_signal(&held, Signal::KILL);
                }
            }
        }
        Ok(())
    }

    /// The processes in it, those of cgroups below it left out.
    ///
    /// # Errors
    /// When it is gone.
    pub fn processes(&self) -> Result<Vec<u32>, CgroupError> {
        // Where freezer or memory have one, all of the container is in it.
        let folder = self
            .v1("memory")
            .or(self.v1("freezer"))
            .or(self.folders().next());
        let Some(folder) = folder else {
            return Ok(Vec::new());
        };
        let text = folder.read("cgroup.procs")?;
        let lines = text.split(|byte| *byte == b'\n');
        Ok(lines
            .filter_map(|line| u32::try_from(number(line)?).ok())
            .collect())
    }

    /// Sends a signal to one process, if it is still the one that started then.
    ///
    /// # Errors
    /// When it is gone, or another.
    pub fn signal(pid: u32, started: u64, signal: u8) -> Result<(), CgroupError> {
        let gone = || CgroupError::Gone {
            path: format!("/proc/{pid}").into(),
        };
        let held = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(gone)?;
        let held = pidfd_open(held, PidfdFlags::empty()).map_err(|_| gone())?;
        if start_time(pid) != Some(started) {
            return Err(gone());
        }
        let signal = Signal::from_named_raw(i32::from(signal)).ok_or(CgroupError::NotOffered {
            what: "this signal",
        })?;
        pidfd_send_signal(&held, signal).map_err(|_| gone())
    }
}

/// When a process started, in clock ticks since boot, whether it still runs or
/// is a zombie.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    Stat::of(pid).map(|stat| stat.started)
}
