//! What a container uses, in containerd's own words.
//!
//! In: the folders of its cgroup. Out: `io.containerd.cgroups.v2.Metrics` or
//! `…v1.Metrics`, with everything that the kernel tells; a file that this
//! kernel does not have is a zero, as with the stock shim. Each version is a
//! table of files and members.

mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use packrank_core::record::UNIFIED;
use packrank_kernel::cgroup::{CgroupError, Folder, flat, number};

use crate::error::Error;

/// Where the hierarchies are mounted.
const MOUNTS: &str = "/sys/fs/cgroup";

/// A container's cgroup, by hierarchy.
#[derive(Debug)]
pub struct Cgroup {
    /// Controllers' names, or `unified`, and their folders.
    folders: BTreeMap<String, Folder>,
    unified: bool,
}

impl Cgroup {
    /// Opens the cgroups of a process, as the record names them. Hierarchies
    /// in which it has none of its own are left out.
    #[must_use]
    pub fn open(cgroups: &BTreeMap<String, PathBuf>) -> Cgroup {
        let root = Path::new(MOUNTS);
        let unified = root.join("cgroup.controllers").exists();
        let open = |(name, path): (&String, &PathBuf)| {
            let below = path.strip_prefix("/").ok()?;
            let hierarchy = match unified {
                true if name == UNIFIED => root.to_owned(),
                true => return None,
                false => root.join(name),
            };
            let own = !below.as_os_str().is_empty();
            let folder = own.then(|| Folder::open(&hierarchy).ok()?.folder(below).ok());
            Some((name.clone(), folder.flatten()?))
        };
        Cgroup {
            folders: cgroups.iter().filter_map(open).collect(),
            unified,
        }
    }

    /// The folder that holds a controller's files.
    #[must_use]
    pub fn folder(&self, controller: &str) -> Option<&Folder> {
        let name = if self.unified { UNIFIED } else { controller };
        self.folders.get(name)
    }

    /// Whether the controllers are in the version 2 hierarchy.
    #[must_use]
    pub fn unified(&self) -> bool {
        self.unified
    }

    /// What it uses now.
    ///
    /// # Errors
    /// When the container has no cgroup any more.
    pub fn metrics(&self) -> Result<Any, Error> {
        let gone = || Error::Absent {
            what: "cgroup",
            id: self
                .folders
                .values()
                .next()
                .map_or_else(String::new, |f| f.path().display().to_string()),
        };
        if !self.folders.values().any(Folder::is_there) {
            return Err(gone());
        }
        let (type_url, value) = match self.unified {
            true => {
                let folder = self.folder(UNIFIED).ok_or_else(gone)?;
                (
                    "io.containerd.cgroups.v2.Metrics",
                    v2::metrics(folder).write_to_bytes(),
                )
            }
            false => (
                "io.containerd.cgroups.v1.Metrics",
                v1::metrics(self).write_to_bytes(),
            ),
        };
        Ok(Any {
            type_url: type_url.to_owned(),
            value: value.map_err(|e| Error::io("encode metrics")(e))?,
            ..Any::default()
        })
    }

    /// The container's processes, those in cgroups below its own included.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let folder = ["pids", "memory", "cpu", UNIFIED];
        let folder = folder.iter().find_map(|name| self.folder(name));
        let mut processes = Vec::new();
        if let Some(folder) = folder {
            collect(folder, &mut processes, 0);
        }
        processes.sort_unstable();
        processes.dedup();
        processes
    }
}

fn collect(folder: &Folder, processes: &mut Vec<u32>, depth: usize) {
    /// A container may nest as it likes; we do not follow it for ever.
    const DEEPEST: usize = 32;
    // A cgroup may go while it is walked.
    let text = folder.read("cgroup.procs").unwrap_or_default();
    let numbers = text.split(|byte| *byte == b'\n').filter_map(number);
    processes.extend(numbers.filter_map(|pid| u32::try_from(pid).ok()));
    for entry in std::fs::read_dir(folder.path())
        .into_iter()
        .flatten()
        .flatten()
    {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder
            && depth < DEEPEST
            && let Ok(below) = folder.folder(Path::new(&entry.file_name()))
        {
            collect(&below, processes, depth + 1);
        }
    }
}

/// A file's number; `max` is all there is, no file is none.
fn value(folder: &Folder, file: &str) -> u64 {
    match text(folder, file).as_deref().map(<[u8]>::trim_ascii) {
        Some(b"max") => u64::MAX,
        Some(text) => number(text).unwrap_or(0),
        None => 0,
    }
}

/// A file's text, if it is there.
fn text(folder: &Folder, file: &str) -> Option<Vec<u8>> {
    let read: Result<Vec<u8>, CgroupError> = folder.read(file);
    read.ok()
}

/// A member of a flat file, zero where it is not told.
fn member(text: &[u8], key: &str) -> u64 {
    flat(text, key.as_bytes()).unwrap_or(0)
}

/// `8:0` as numbers.
fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The sizes in the names `hugetlb.2MB.…`.
fn page_sizes(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path());
    let names = entries.into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let size = |name: String| {
        let (size, what) = name.strip_prefix("hugetlb.")?.split_once('.')?;
        matches!(what, "current" | "usage_in_bytes").then(|| size.to_owned())
    };
    let mut sizes: Vec<String> = names.filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}
