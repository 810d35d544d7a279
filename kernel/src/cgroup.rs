//! A container's cgroup on a running kernel.
//!
//! In: the folder that is `/sys/fs/cgroup`, and a container's paths in each
//! hierarchy. Out: a [`Cgroup`] that keeps its directories open: what it reads
//! and writes afterwards is that container's, also when another of the same
//! name has come. Versions 1 and 2 differ in one table ([`Figure`]) and in the
//! few verbs that differ in kind.

mod figure;
mod folder;
mod freeze;
mod kill;
mod limit;
mod line;
mod mounts;
mod number;
mod parse;
mod reclaim;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use packrank_core::record::UNIFIED;

pub use figure::{Figure, Reader};
pub use folder::Folder;
pub use kill::start_time;
pub use line::Line;
pub use mounts::{Mounts, Version};
pub use parse::{Meminfo, Reclaim, arc, flat, io_totals, meminfo, number, reclaim, v1_totals};

/// Why a cgroup could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The cgroup, or the process in it, is no more.
    #[error("{} is gone", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// This kernel, or this hierarchy, has no such file.
    #[error("{what} is not offered here")]
    NotOffered {
        /// What was asked for.
        what: &'static str,
    },
    /// A path that no container has.
    #[error("{} is no container's cgroup: {problem}", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The kernel refused.
    #[error("{} {}: {source}", if value.is_empty() { "read" } else { value }, path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was to be written; empty for a read.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl CgroupError {
    /// Whether what it was about is no more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, CgroupError::Gone { .. })
    }
}

/// The version 1 controllers that are used.
const CONTROLLERS: [&str; 6] = ["memory", "cpu", "cpuacct", "blkio", "freezer", "pids"];

/// One container's cgroup, kept open.
#[derive(Debug)]
pub struct Cgroup {
    v2: Option<Folder>,
    v1: [Option<Folder>; CONTROLLERS.len()],
}

impl Cgroup {
    /// Opens what a record names. Hierarchies that are not mounted here, or in
    /// which the container has no cgroup of its own, are left out.
    ///
    /// # Errors
    /// When a path leads outside, all are the hierarchies' roots, or the
    /// container is gone.
    pub fn open(
        mounts: &Mounts,
        cgroups: &BTreeMap<String, PathBuf>,
    ) -> Result<Cgroup, CgroupError> {
        let open = |controller: &str| -> Result<Option<Folder>, CgroupError> {
            let Some(path) = cgroups.get(controller) else {
                return Ok(None);
            };
            let path = inside(path)?;
            match mounts.root(controller) {
                Some(root) if !path.as_os_str().is_empty() => root.folder(&path).map(Some),
                _ => Ok(None),
            }
        };
        let mut v1 = [const { None }; CONTROLLERS.len()];
        for (place, controller) in v1.iter_mut().zip(CONTROLLERS) {
            *place = match mounts.version() {
                Version::V2 => None,
                Version::V1 => open(controller)?,
            };
        }
        let v2 = open(UNIFIED)?;
        if v2.is_none() && v1.iter().all(Option::is_none) {
            let path = cgroups.values().next().cloned().unwrap_or_default();
            let problem = "it names no cgroup but the roots";
            return Err(CgroupError::Foreign { path, problem });
        }
        Ok(Cgroup { v2, v1 })
    }

    pub(super) fn v1(&self, controller: &str) -> Option<&Folder> {
        let index = CONTROLLERS.iter().position(|name| *name == controller)?;
        self.v1[index].as_ref()
    }

    /// The version 2 folder: on a hybrid host it has no controllers, but
    /// pressure, `cgroup.events` and `cgroup.kill`.
    #[must_use]
    pub fn unified(&self) -> Option<&Folder> {
        self.v2.as_ref()
    }

    /// The folder in which its CPU weight counts, among its siblings.
    #[must_use]
    pub fn weight_folder(&self) -> Option<&Folder> {
        self.v1("cpu").or(self.unified())
    }

    /// Every folder, the one with processes to ask for first.
    fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.v2.iter().chain(self.v1.iter().flatten())
    }

    /// Whether any process is left in it, or in a cgroup below it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn populated(&self) -> Result<bool, CgroupError> {
        for folder in self.folders() {
            if let Some(text) = folder.read_if_there("cgroup.events")? {
                return Ok(flat(&text, b"populated") == Some(1));
            }
        }
        Ok(!self.processes()?.is_empty())
    }
}

/// A path without its leading slash; refused when it climbs.
fn inside(path: &Path) -> Result<PathBuf, CgroupError> {
    let problem = |problem| CgroupError::Foreign {
        path: path.to_owned(),
        problem,
    };
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => inner.push(name),
            Component::ParentDir => return Err(problem("it leads upwards")),
            Component::Prefix(_) => return Err(problem("it is no path of this system")),
        }
    }
    Ok(inner)
}
