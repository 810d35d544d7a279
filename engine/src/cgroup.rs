//! In: a container's `cgroupsPath` and the host's hierarchies. Out: [`Place`], the directories that
//! are the container's cgroup, and what can be done to it as a whole: make, list, signal, freeze,
//! remove.
//!
//! libcontainer is only left to put its process into the cgroup. Everything else is done here,
//! because its library sleeps 10 ms between attempts to remove, keeps every hierarchy at the same
//! path although a process may sit at different ones, and leaves out the hierarchies without
//! controllers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hierarchy::{Hierarchy, Kind};

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no cgroup hierarchy is mounted")]
    NoHierarchy,
    #[error("systemd not running on this host, cannot use systemd cgroups manager")]
    NoSystemd,
    #[error("cgroupsPath {0:?} is not of systemd's form slice:prefix:name")]
    SystemdPath(String),
    #[error("cgroupsPath {0:?} leaves the cgroup tree")]
    Escapes(PathBuf),
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("cgroup {0} still holds processes")]
    Busy(PathBuf),
    #[error("container could not be frozen within {0:?}")]
    NotFrozen(Duration),
    #[error("systemd: {0}")]
    Systemd(String),
}

/// A directory of one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Seat {
    pub kind: Kind,
    pub path: PathBuf,
    /// Where the hierarchy is mounted; nothing at or above it is ever made or removed.
    pub mount: PathBuf,
}

/// Every directory of the container's cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Place {
    pub seats: Vec<Seat>,
    /// systemd's name for it (`slice:prefix:name`), where systemd made it.
    pub unit: Option<String>,
}

impl Place {
    /// Where the container goes.
    pub fn new(
        wanted: Option<&Path>,
        id: &str,
        systemd: bool,
        hierarchies: &[Hierarchy],
    ) -> Result<Self, CgroupError> {
        if hierarchies.is_empty() {
            return Err(CgroupError::NoHierarchy);
        }
        let v2 = hierarchies.iter().any(|one| one.kind == Kind::V2);
        let (inner, unit) = if systemd {
            let (path, unit) = crate::systemd::unit_path(wanted, id)?;
            // On v1 the scope's directories are used as systemd would lay them out, but systemd is
            // not told: libcgroups speaks to it on v2 only.
            (path, v2.then_some(unit))
        } else {
            (
                wanted.map_or_else(|| PathBuf::from(id), Path::to_owned),
                None,
            )
        };
        if inner
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir))
        {
            return Err(CgroupError::Escapes(inner));
        }
        let seats = hierarchies
            .iter()
            .map(|one| {
                let below = match inner.strip_prefix("/") {
                    Ok(absolute) => absolute.to_owned(),
                    // Beside our own cgroup on v2, since one that holds processes can have no
                    // controllers for its children; below it on v1. As runc does.
                    Err(_) => match one.kind {
                        Kind::V2 => one.own.parent().unwrap_or(Path::new("/")).join(&inner),
                        _ => one.own.join(&inner),
                    }
                    .components()
                    .filter(|part| matches!(part, std::path::Component::Normal(_)))
                    .collect(),
                };
                Seat {
                    kind: one.kind.clone(),
                    path: one.mount.join(below),
                    mount: one.mount.clone(),
                }
            })
            .collect();
        Ok(Self { seats, unit })
    }

    pub fn v2(&self) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.kind == Kind::V2)
    }

    /// The directory where `controller` (v1's name for it) is controlled.
    pub fn controller(&self, controller: &str) -> Option<&Path> {
        self.seats
            .iter()
            .find(|seat| seat.kind.controls(controller))
            .map(|seat| seat.path.as_path())
    }

    /// The one path that libcontainer is told, relative to every hierarchy's mount: on v1 that of
    /// the devices controller, the one whose members it counts as the container's.
    pub fn told(&self) -> PathBuf {
        let seat = self
            .v2()
            .or_else(|| self.seats.iter().find(|seat| seat.kind.controls("devices")));
        let seat = seat.or(self.seats.first());
        let below = seat.and_then(|seat| seat.path.strip_prefix(&seat.mount).ok());
        Path::new("/").join(below.unwrap_or(Path::new("")))
    }

    /// Processes in the container's cgroup and below it.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let Some(path) = self.members() else {
            return Ok(Vec::new());
        };
        let mut pids = Vec::new();
        walk(path, &mut |directory| {
            let text = fs::read_to_string(directory.join("cgroup.procs"))?;
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
            Ok(())
        })?;
        Ok(pids)
    }

    fn members(&self) -> Option<&Path> {
        let pick = |name: &str| self.controller(name).filter(|path| path.exists());
        pick("devices")
            .or_else(|| pick("pids"))
            .or_else(|| pick("memory"))
    }

    pub fn is_frozen(&self) -> bool {
        let Some(path) = self.controller("freezer") else {
            return false;
        };
        if self.v2().is_some() {
            read(path, "cgroup.freeze").is_some_and(|text| text.trim() == "1")
        } else {
            read(path, "freezer.state").is_some_and(|text| text.trim() != "THAWED")
        }
    }
}

pub fn read(directory: &Path, file: &str) -> Option<String> {
    fs::read_to_string(directory.join(file)).ok()
}

pub fn write(directory: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = directory.join(file);
    // Never create: a control file that is not there means a kernel that cannot.
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|cause| CgroupError::Io { path, cause })
}

/// Calls `visit` with a directory and everything below it, the directory first. What vanishes
/// meanwhile is no error.
pub fn walk(
    directory: &Path,
    visit: &mut dyn FnMut(&Path) -> io::Result<()>,
) -> Result<(), CgroupError> {
    let gone = |cause: &io::Error| {
        cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(nix::libc::ENODEV)
    };
    match visit(directory) {
        Err(cause) if gone(&cause) => return Ok(()),
        Err(cause) => {
            return Err(CgroupError::Io {
                path: directory.to_owned(),
                cause,
            });
        }
        Ok(()) => {}
    }
    let entries = match fs::read_dir(directory) {
        Err(cause) if gone(&cause) => return Ok(()),
        Err(cause) => {
            return Err(CgroupError::Io {
                path: directory.to_owned(),
                cause,
            });
        }
        Ok(entries) => entries,
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(kind: Kind, mount: &str, own: &str) -> Hierarchy {
        Hierarchy {
            kind,
            mount: mount.into(),
            own: own.into(),
        }
    }

    #[test]
    fn absolute_paths_start_at_the_mount_and_relative_ones_at_our_own() {
        let all = [
            hierarchy(Kind::V1(vec!["memory".into()]), "/m", "/own"),
            hierarchy(Kind::V1(vec!["devices".into()]), "/d", "/"),
        ];
        let place = Place::new(Some(Path::new("/a/b")), "x", false, &all).unwrap();
        assert_eq!(place.seats[0].path, Path::new("/m/a/b"));
        assert_eq!(place.told(), Path::new("/a/b"));
        let place = Place::new(None, "x", false, &all).unwrap();
        assert_eq!(place.seats[0].path, Path::new("/m/own/x"));
        assert_eq!(place.seats[1].path, Path::new("/d/x"));
    }

    #[test]
    fn on_v2_a_relative_path_is_a_sibling() {
        let all = [hierarchy(Kind::V2, "/c", "/user/session")];
        let place = Place::new(Some(Path::new("x")), "x", false, &all).unwrap();
        assert_eq!(place.seats[0].path, Path::new("/c/user/x"));
    }

    #[test]
    fn dots_do_not_leave_the_tree() {
        let all = [hierarchy(Kind::V2, "/c", "/")];
        let place = Place::new(Some(Path::new("/../../etc")), "x", false, &all);
        assert!(matches!(place, Err(CgroupError::Escapes(_))));
    }
}
