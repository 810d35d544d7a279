//! In: what was true when a container was created. Out: [`Record`], what every later verb knows of
//! it, and its present [`Status`], which is never stored but read from the kernel: a stored status
//! is wrong as soon as a process dies.

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use libcontainer::container::{ContainerStatus, State};
use libcontainer::oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};

use crate::cgroup::Place;
use crate::store::Home;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Record {
    pub id: String,
    /// The first process, as seen from here; 0 while the container is being created.
    pub pid: i32,
    /// When that process began, in clock ticks since boot: a reused pid has another one.
    pub pid_start: u64,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: DateTime<Utc>,
    pub owner: u32,
    pub annotations: HashMap<String, String>,
    pub hooks: Option<Hooks>,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    /// As runc prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the container has a first process.
    pub fn lives(self) -> bool {
        matches!(self, Self::Created | Self::Running | Self::Paused)
    }
}

impl Record {
    pub fn status(&self, home: &Home) -> Status {
        if self.pid == 0 {
            return Status::Creating;
        }
        if start_time(self.pid) != Some(self.pid_start) {
            return Status::Stopped;
        }
        if home.notify_socket().exists() {
            Status::Created
        } else if self.place.is_frozen() {
            Status::Paused
        } else {
            Status::Running
        }
    }

    /// The state as libcontainer hands it to hooks.
    pub fn state(&self, status: ContainerStatus) -> State {
        let pid = (self.pid != 0 && status != ContainerStatus::Stopped).then_some(self.pid);
        let mut state = State::new(&self.id, status, pid, self.bundle.clone());
        state.annotations = Some(self.annotations.clone());
        state.created = Some(self.created);
        state.creator = Some(self.owner);
        state
    }
}

/// When a process began, in clock ticks since boot; none if it is gone or a zombie.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; what follows the last one does not. Field 3 is the
    // state, field 22 the start time.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_a_start_time_and_keeps_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let first = start_time(own);
        assert!(first.is_some_and(|ticks| ticks > 0));
        assert_eq!(first, start_time(own));
    }
}
