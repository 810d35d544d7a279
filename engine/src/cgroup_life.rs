//! In: a [`Place`]. Out: its directories made, its processes frozen, thawed or killed, and the
//! directories removed again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::{CgroupError, Place, read, walk, write};
use crate::hierarchy::{Hierarchy, Kind};

/// How long a kill or a freeze may take to show. A process in uninterruptible sleep ends no
/// sooner than its I/O.
const PATIENCE: Duration = Duration::from_secs(10);

impl Place {
    /// Makes every directory; on v2 the controllers are switched on along the way.
    pub fn make(&self) -> Result<(), CgroupError> {
        for seat in &self.seats {
            let made = if seat.kind == Kind::V2 {
                make_v2(&seat.mount, &seat.path)
            } else if seat.kind.controls("cpuset") {
                make_cpuset(&seat.mount, &seat.path)
            } else {
                fs::create_dir_all(&seat.path)
            };
            made.map_err(|cause| CgroupError::Io {
                path: seat.path.clone(),
                cause,
            })?;
        }
        Ok(())
    }

    /// Moves a process into the hierarchies that libcontainer does not: those without controllers,
    /// and those where this process's own cgroup has another path than the one it was told.
    pub fn adopt(&self, pid: i32) -> Result<(), CgroupError> {
        let told = self.told();
        for seat in &self.seats {
            let below = seat.path.strip_prefix(&seat.mount).unwrap_or(Path::new(""));
            let elsewhere = Path::new("/").join(below) != told;
            if elsewhere || matches!(seat.kind, Kind::Named(_) | Kind::Hybrid) {
                write(&seat.path, "cgroup.procs", &pid.to_string())?;
            }
            if elsewhere && matches!(seat.kind, Kind::V1(_)) {
                // The directory libcontainer made at the path it was told.
                let _ = fs::remove_dir(seat.mount.join(told.strip_prefix("/").unwrap_or(&told)));
            }
        }
        Ok(())
    }

    pub fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        let Some(path) = self.controller("freezer") else {
            return Ok(());
        };
        let v2 = self.v2().is_some();
        let (file, value) = match (v2, frozen) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        write(path, file, value)?;
        let reached = || match (v2, frozen) {
            (true, _) => read(path, "cgroup.events").is_some_and(|text| {
                text.lines()
                    .any(|line| line == if frozen { "frozen 1" } else { "frozen 0" })
            }),
            (false, _) => read(path, "freezer.state").is_some_and(|text| text.trim() == value),
        };
        let mut again = Instant::now();
        if wait_until(|| {
            if reached() {
                return Ok(true);
            }
            // A v1 cgroup can stick at FREEZING while it forks; writing again gets it on.
            if !v2 && frozen && again.elapsed() > Duration::from_millis(10) {
                again = Instant::now();
                write(path, file, value)?;
            }
            Ok(false)
        })? {
            return Ok(());
        }
        if frozen {
            // Half frozen is the worst of all states.
            write(path, file, if v2 { "0" } else { "THAWED" })?;
        }
        Err(CgroupError::NotFrozen(PATIENCE))
    }

    /// Sends a signal to every process. They are frozen meanwhile on v1, so that none forks away.
    pub fn signal_all(&self, signal: i32) -> Result<(), CgroupError> {
        let was_frozen = self.is_frozen();
        let hold = !was_frozen && self.freeze(true).is_ok();
        let sent = self.processes().map(|pids| {
            for pid in pids {
                // One that is gone by now needs no signal.
                let _ = send(pid, signal);
            }
        });
        if hold || (was_frozen && signal == Signal::SIGKILL as i32) {
            self.freeze(false)?;
        }
        sent
    }

    /// Kills what is left and removes every directory, also those below. Absent ones are no error.
    pub fn remove(&self) -> Result<(), CgroupError> {
        if let Some(unit) = &self.unit {
            crate::systemd::stop(unit, self)?;
        }
        for seat in &self.seats {
            if seat.path == seat.mount {
                continue;
            }
            let own = seat.clone();
            let gone = wait_until(|| {
                match remove_tree(&own.path) {
                    Ok(()) => return Ok(true),
                    Err(cause) if cause.raw_os_error() == Some(nix::libc::EBUSY) => {}
                    Err(cause) => {
                        return Err(CgroupError::Io {
                            path: own.path.clone(),
                            cause,
                        });
                    }
                }
                kill_members(&own.path, own.kind == Kind::V2)?;
                Ok(false)
            })?;
            if !gone {
                return Err(CgroupError::Busy(seat.path.clone()));
            }
        }
        Ok(())
    }
}

/// Sends a raw signal number: real-time signals have no name in the enum.
pub fn send(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    let sent = unsafe { nix::libc::kill(pid, signal) };
    nix::errno::Errno::result(sent).map(drop)
}

fn kill_members(path: &Path, v2: bool) -> Result<(), CgroupError> {
    if v2 && write(path, "cgroup.kill", "1").is_ok() {
        return Ok(());
    }
    let own = Pid::this();
    walk(path, &mut |directory| {
        let text = fs::read_to_string(directory.join("cgroup.procs"))?;
        for pid in text
            .lines()
            .filter_map(|line| line.parse().ok())
            .map(Pid::from_raw)
        {
            if pid != own {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        Ok(())
    })
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) if cause.raw_os_error() != Some(nix::libc::EBUSY) => return Err(cause),
        Err(_) => {}
    }
    // Busy: because of directories below, or of processes.
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Tries until it succeeds or patience ends, with pauses that grow from 0.1 ms to 10 ms.
fn wait_until(mut done: impl FnMut() -> Result<bool, CgroupError>) -> Result<bool, CgroupError> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        if done()? {
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// v1's cpuset starts out empty and takes no process until CPUs and nodes are named.
fn make_cpuset(mount: &Path, path: &Path) -> io::Result<()> {
    for directory in downwards(mount, path) {
        match fs::create_dir(&directory) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
            _ => {}
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(directory.join(file))?.trim().is_empty() {
                let above = directory.parent().unwrap_or(mount);
                fs::write(
                    directory.join(file),
                    fs::read_to_string(above.join(file))?.trim(),
                )?;
            }
        }
    }
    Ok(())
}

fn make_v2(mount: &Path, path: &Path) -> io::Result<()> {
    let mut above = mount.to_owned();
    for directory in downwards(mount, path) {
        let available = fs::read_to_string(above.join("cgroup.controllers"))?;
        let enabled = fs::read_to_string(above.join("cgroup.subtree_control"))?;
        for controller in available.split_whitespace() {
            if !enabled.split_whitespace().any(|one| one == controller) {
                // Best effort: some cannot be switched on everywhere (cpu with real-time
                // processes), and a limit that needs it says so when it is written.
                let _ = fs::write(
                    above.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                );
            }
        }
        match fs::create_dir(&directory) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
            _ => {}
        }
        above = directory;
    }
    Ok(())
}

/// Every directory below `mount` on the way to `path`, the outermost first.
fn downwards(mount: &Path, path: &Path) -> Vec<PathBuf> {
    let below = path.strip_prefix(mount).unwrap_or(Path::new(""));
    let mut at = mount.to_owned();
    below
        .components()
        .map(|part| {
            at.push(part);
            at.clone()
        })
        .collect()
}

/// Puts this process into the hierarchies without controllers, so that what it forks starts out
/// there and a cgroup namespace has its root there; puts it back when dropped.
pub struct Visit {
    home: Vec<PathBuf>,
}

impl Visit {
    pub fn begin(place: &Place, hierarchies: &[Hierarchy]) -> Result<Self, CgroupError> {
        let mut visit = Self { home: Vec::new() };
        for seat in place
            .seats
            .iter()
            .filter(|seat| matches!(seat.kind, Kind::Named(_) | Kind::Hybrid))
        {
            let Some(own) = hierarchies.iter().find(|one| one.kind == seat.kind) else {
                continue;
            };
            write(&seat.path, "cgroup.procs", "0")?;
            visit.home.push(
                own.mount
                    .join(own.own.strip_prefix("/").unwrap_or(&own.own)),
            );
        }
        Ok(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        for home in &self.home {
            // Where the way back is closed, the removal of the cgroup will say that it is busy.
            let _ = write(home, "cgroup.procs", "0");
        }
    }
}
