//! In: a container's id, its root file system, bytes. Out: its layer limited,
//! changed, read or freed.
//!
//! The order is that of a process that may be killed at any step: first the
//! entry, then the number on the files, last on the layer's top, then the limit,
//! whatever became of the files. Whatever has begun is found by its entry and
//! undone by [`remove`]. A layer whose top has the number was gone through, and
//! what came since has inherited it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::{major, minor};

use super::error::{Error, Unsupported};
use super::layer::{self, Layer, directory};
use super::mount::{self, Mount};
use super::quota::{FileSystem, Quota, Support};
use super::register::register;
use super::registry::{Entry, Registry};
use super::tree::{self, Stop, Walked};
use super::{Applied, Usage};

/// Empty files take no blocks, only inodes, of which a file system has a fixed
/// number or makes more from everybody's space. One for each block of data
/// stops nobody who writes data.
const BYTES_PER_FILE: u64 = 4096;
/// How long a start waits for what a layer holds already: a fresh one holds a
/// dozen files. Engines end the hook after ten seconds, and it has more to do.
const PATIENCE: Duration = Duration::from_secs(5);
/// What even a tiny layer may hold.
const LEAST_FILES: u64 = 1024;

/// Limits what the container may add to its root file system.
///
/// # Errors
/// [`Error::Unsupported`] where there can be no quota: a note. Otherwise when
/// registry, layer or quota cannot be read or written.
pub fn limit(root: &Path, id: &str, bytes: u64, registry: &Path) -> Result<Applied, Error> {
    let table = mount::table()?;
    let layer = Layer::find(root, &table)?;
    let upper = directory(&layer.upper)?;
    let mount = mount::of(upper.as_fd(), &table)?;
    let file_system = FileSystem {
        directory: upper.as_fd(),
        device: mount.device,
    };
    supported(file_system, &layer, &mount)?;
    let registry = Registry::open(registry)?;
    let mut entry = register(&registry, file_system, &layer, &mount, id, bytes)?;

    let until = Instant::now() + PATIENCE;
    let top = upper.try_clone().map_err(|e| opened(&layer, e))?;
    let mut walked = walk(&layer.upper, top, &entry, until)?;
    if let Some(work) = &layer.work {
        let more = walk(work, directory(work)?, &entry, until)?;
        walked.assigned += more.assigned;
        walked.skipped += more.skipped;
        walked.cut |= more.cut;
    }
    if layer.plain {
        let held = read(file_system, &entry)?;
        entry.before = held.bytes;
        entry.files_before = held.files;
        registry.lock()?.write(&entry)?;
    }
    set(file_system, &entry)?;
    Ok(Applied {
        project: entry.project,
        upper: layer.upper,
        bytes,
        assigned: walked.assigned,
        skipped: walked.skipped,
        complete: !walked.cut,
    })
}

/// Changes the container's limit; what it was before comes back.
///
/// # Errors
/// When the container has no quota, or it cannot be written.
pub fn change(id: &str, bytes: u64, registry: &Path) -> Result<u64, Error> {
    let registry = Registry::open(registry)?;
    let held = registry.hold(id)?.ok_or_else(|| unknown(id))?;
    let mut entry = held.entry.clone();
    let mounted = mounted(&entry)?.ok_or_else(|| unknown(id))?;
    let old = std::mem::replace(&mut entry.bytes, bytes);
    set(mounted.file_system(), &entry)?;
    registry.lock()?.write(&entry)?;
    Ok(old)
}

/// What the container holds now.
///
/// # Errors
/// When the container has no quota, or it cannot be read.
pub fn used(id: &str, registry: &Path) -> Result<Usage, Error> {
    let registry = Registry::open(registry)?;
    let entry = registry.find(id)?.ok_or_else(|| unknown(id))?;
    let mounted = mounted(&entry)?.ok_or_else(|| unknown(id))?;
    let quota = read(mounted.file_system(), &entry)?;
    let limit = quota.bytes_limit;
    Ok(Usage {
        bytes: quota.bytes.saturating_sub(entry.before),
        files: quota.files.saturating_sub(entry.files_before),
        limit: limit.map(|limit| limit.saturating_sub(entry.before)),
    })
}

/// Takes the container's limit away and its entry with it. Whether there was
/// one. Its layer, where that is still there, keeps its number, which nobody
/// else is given as long as anything is under it.
///
/// # Errors
/// When the quota or the entry cannot be written; the entry then stays.
pub fn remove(id: &str, registry: &Path) -> Result<bool, Error> {
    if !registry.exists() {
        return Ok(false);
    }
    let registry = Registry::open(registry)?;
    // Held, so that of several that clean up only one does, and none after
    // the number has gone to another container.
    let Some(held) = registry.hold(id)? else {
        return Ok(false);
    };
    let entry = &held.entry;
    if let Some(mounted) = mounted(entry)? {
        clear(mounted.file_system(), entry.project, &entry.upper)?;
    }
    registry.remove(entry)?;
    Ok(true)
}

/// Takes both limits off a project.
pub(super) fn clear(file_system: FileSystem<'_>, project: u32, at: &Path) -> Result<(), Error> {
    let done = file_system.set(project, None, None);
    done.map_err(|source| quota_error("take away", project, at, source))
}

fn supported(file_system: FileSystem<'_>, layer: &Layer, mount: &Mount) -> Result<(), Error> {
    let (kind, at) = (mount.kind.clone(), mount.point.display().to_string());
    let why = match file_system.support() {
        Ok(Support::Enforced) => return Ok(()),
        Ok(Support::Counted) => Unsupported::NotEnforced { kind, mount: at },
        Ok(Support::None) => Unsupported::NoQuota { kind, mount: at },
        Err(error) if denied(&error) => Unsupported::NotPermitted,
        Err(source) => return Err(quota_error("look for", 0, &layer.upper, source)),
    };
    Err(unsupported(layer, why))
}

fn walk(path: &Path, top: OwnedFd, entry: &Entry, until: Instant) -> Result<Walked, Error> {
    let unsupported = |why| Error::Unsupported {
        path: path.to_owned(),
        why,
    };
    tree::assign(top, entry.project, until).map_err(|stop| match stop {
        Stop::OldKernel => unsupported(Unsupported::OldKernel),
        Stop::Io(source) if denied(&source) => unsupported(Unsupported::NotPermitted),
        Stop::Io(source) => Error::Io {
            action: "give a project to",
            path: path.to_owned(),
            source,
        },
    })
}

fn set(file_system: FileSystem<'_>, entry: &Entry) -> Result<(), Error> {
    let bytes = entry.before.saturating_add(entry.bytes);
    let files = (entry.bytes / BYTES_PER_FILE).max(LEAST_FILES);
    let files = entry.files_before.saturating_add(files);
    let done = file_system.set(entry.project, Some(bytes), Some(files));
    done.map_err(|source| quota_error("set", entry.project, &entry.upper, source))
}

fn read(file_system: FileSystem<'_>, entry: &Entry) -> Result<Quota, Error> {
    let quota = file_system.read(entry.project);
    quota.map_err(|source| quota_error("read", entry.project, &entry.upper, source))
}

/// A registered container's file system, held open.
struct Mounted {
    directory: OwnedFd,
    device: (u32, u32),
}

impl Mounted {
    fn file_system(&self) -> FileSystem<'_> {
        FileSystem {
            directory: self.directory.as_fd(),
            device: self.device,
        }
    }
}

/// Opens the entry's file system by its layer, its mount point, or wherever
/// else it is mounted; `None` where it is not mounted any more.
fn mounted(entry: &Entry) -> Result<Option<Mounted>, Error> {
    let device = entry.device;
    let known = [entry.upper.clone(), entry.mount.clone()];
    let elsewhere = mount::table()?.into_iter();
    let elsewhere = elsewhere.filter(|m| m.device == device).map(|m| m.point);
    for path in known.into_iter().chain(elsewhere) {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        let number = (major(metadata.dev()), minor(metadata.dev()));
        if !metadata.is_dir() || number != (device.0.into(), device.1.into()) {
            continue;
        }
        let directory = layer::directory(&path)?;
        return Ok(Some(Mounted { directory, device }));
    }
    Ok(None)
}

pub(super) fn denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

pub(super) fn unsupported(layer: &Layer, why: Unsupported) -> Error {
    Error::Unsupported {
        path: layer.upper.clone(),
        why,
    }
}

fn unknown(id: &str) -> Error {
    Error::Unknown { id: id.to_owned() }
}

/// A file system without projects says so here.
pub(super) fn opened(layer: &Layer, source: io::Error) -> Error {
    match Errno::from_raw(source.raw_os_error().unwrap_or(0)) {
        Errno::ENOTTY | Errno::EOPNOTSUPP => unsupported(
            layer,
            Unsupported::NoQuota {
                kind: "the file system".to_owned(),
                mount: layer.upper.display().to_string(),
            },
        ),
        _ => Error::Io {
            action: "read the project of",
            path: layer.upper.clone(),
            source,
        },
    }
}

pub(super) fn quota_error(
    action: &'static str,
    project: u32,
    at: &Path,
    source: io::Error,
) -> Error {
    Error::Quota {
        action,
        project,
        path: at.to_owned(),
        source,
    }
}
