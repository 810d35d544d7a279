//! In: the registry. Out: limits that nobody is registered for, and under which
//! nothing is left, are gone: those of layers that were removed while no
//! registry told of them.

use std::os::fd::AsFd;
use std::path::Path;

use super::PROJECTS;
use super::error::Error;
use super::layer::directory;
use super::limit::{clear, quota_error};
use super::mount::{self, Mount};
use super::quota::{FileSystem, Support};
use super::registry::Registry;

/// Takes away every limit in our range that no container is registered for,
/// on every file system that is mounted, where no file has the number any more.
/// As long as one has, its container may run, registered elsewhere. The numbers
/// come back.
///
/// # Errors
/// When the registry or the mount table cannot be read, or a quota not be
/// read or written.
pub fn sweep(registry: &Path) -> Result<Vec<u32>, Error> {
    let registry = Registry::open(registry)?;
    // Who registers meanwhile waits, and limits only after that.
    let locked = registry.lock()?;
    locked.tidy()?;
    let known = locked.projects()?;
    let mut swept = Vec::new();
    let mut seen = Vec::new();
    for mount in mount::table()? {
        if seen.contains(&mount.device) || !mount.source.starts_with('/') {
            continue;
        }
        seen.push(mount.device);
        swept.extend(one(&mount, &known)?);
    }
    Ok(swept)
}

fn one(mount: &Mount, known: &[u32]) -> Result<Vec<u32>, Error> {
    let mut swept = Vec::new();
    // A file that is mounted, or a mount under another one.
    let Ok(top) = directory(&mount.point) else {
        return Ok(swept);
    };
    let file_system = FileSystem {
        directory: top.as_fd(),
        device: mount.device,
    };
    if !matches!(file_system.support(), Ok(Support::Enforced)) {
        return Ok(swept);
    }
    let mut from = *PROJECTS.start();
    loop {
        let quota = file_system.next(from);
        let quota = quota.map_err(|e| quota_error("look for", from, &mount.point, e))?;
        let Some(quota) = quota.filter(|quota| PROJECTS.contains(&quota.project)) else {
            return Ok(swept);
        };
        let limited = quota.bytes_limit.is_some() || quota.files_limit.is_some();
        let held = quota.bytes > 0 || quota.files > 0;
        if limited && !held && !known.contains(&quota.project) {
            clear(file_system, quota.project, &mount.point)?;
            swept.push(quota.project);
        }
        if quota.project == *PROJECTS.end() {
            return Ok(swept);
        }
        from = quota.project + 1;
    }
}
