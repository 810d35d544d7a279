//! In: a cgroup, limits, and who talks to systemd. Out: the limits hold, and
//! which of them had not.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::errno::Errno;

use super::convert::{lines, read};
use super::error::Error;
use super::line::{Line, bytes};
use super::place::Place;
use super::setting::Limit;
use super::unit::{Property, Units, Worth, properties};
use crate::cgroup::{CgroupError, Figure, Folder, Version};

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was written to files, in order.
    pub changes: Vec<Change>,
    /// What the kernel has no file for.
    pub missing: Vec<Missing>,
    /// What systemd was told.
    pub told: Vec<Property>,
    /// Properties this systemd does not take: those come back at a
    /// daemon-reload.
    pub untold: Vec<Property>,
}

/// A file that said something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file's name.
    pub file: String,
    /// What it said, of the device in question where it speaks of several.
    pub old: String,
    /// What was written.
    pub new: String,
}

/// A limit that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The file this kernel, or this version of cgroups, lacks.
    pub file: String,
    /// What would have been written.
    pub text: String,
}

/// Writes the limits to the cgroup, and to its unit where systemd owns it.
///
/// # Errors
/// When the container is gone, a memory limit is below what is in use, or the
/// kernel or systemd refuses a value; what else could be written, is.
pub fn apply(place: &Place, limits: &[Limit], units: Option<&dyn Units>) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    let mut todo = Vec::new();
    let mut wanted = Vec::new();
    for line in lines(limits, place)? {
        match read(place, line.controller, &line.file)? {
            None => applied.missing.push(Missing {
                file: line.file,
                text: line.text,
            }),
            Some(current) => {
                wanted.push(line.clone());
                if !line.is_so(&current) {
                    make_room(place, &line)?;
                    todo.push((line, current));
                }
            }
        }
    }
    let systemd = match (place.unit(), units) {
        (Some(unit), Some(units)) => tell(unit, units, &wanted, &mut applied),
        _ => Ok(()),
    };
    // Values can depend on each other: a burst on its quota, version 1's
    // memory and swap on its memory. What is refused is tried once more after
    // the others.
    let mut again = Vec::new();
    for (line, old) in todo {
        match write(place, &line, &old, &mut applied) {
            Err(Error::Cgroup(error)) if depends(&error) => again.push((line, old)),
            other => other?,
        }
    }
    let mut first = Ok(());
    for (line, old) in again {
        let done = write(place, &line, &old, &mut applied);
        first = first.and(done.map_err(|error| in_use(place, &line, error)));
    }
    first.and(systemd).map(|()| applied)
}

fn depends(error: &CgroupError) -> bool {
    let errno = match error {
        CgroupError::Io { source, .. } => source.raw_os_error().map(Errno::from_raw),
        _ => None,
    };
    matches!(errno, Some(Errno::EINVAL | Errno::EBUSY | Errno::ERANGE))
}

fn write(place: &Place, line: &Line, old: &str, applied: &mut Applied) -> Result<(), Error> {
    let Some(folder) = place.folder(line.controller) else {
        return Ok(());
    };
    // systemd may have written it meanwhile.
    let now = folder.read(&line.file)?;
    if !line.is_so(&String::from_utf8_lossy(&now)) {
        // An empty write would be none.
        let text = if line.text.is_empty() {
            "\n"
        } else {
            &line.text
        };
        folder.write(&line.file, text)?;
    }
    applied.changes.push(Change {
        file: line.file.clone(),
        old: line.part(old).to_owned(),
        new: line.text.clone(),
    });
    Ok(())
}

/// Everything about the unit, also what holds already: the engine may have
/// written it without systemd's knowledge. At once, or, where that is refused,
/// one by one, so that an older systemd keeps what it knows.
fn tell(
    unit: &str,
    units: &dyn Units,
    wanted: &[Line],
    applied: &mut Applied,
) -> Result<(), Error> {
    let all: Vec<Property> = wanted
        .iter()
        .flat_map(|line| properties(&line.file, &line.text))
        .collect();
    let all = merged(all);
    if all.is_empty() {
        return Ok(());
    }
    let Err(error) = units.set(unit, &all) else {
        applied.told = all;
        return Ok(());
    };
    for property in all {
        let told = units.set(unit, std::slice::from_ref(&property)).is_ok();
        let list = if told {
            &mut applied.told
        } else {
            &mut applied.untold
        };
        list.push(property);
    }
    if applied.told.is_empty() {
        return Err(error);
    }
    Ok(())
}

/// An idle cgroup's weight is its idleness: the last word on a property holds,
/// except for devices, which each have their own.
fn merged(all: Vec<Property>) -> Vec<Property> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Property> = Vec::with_capacity(all.len());
    for property in all.into_iter().rev() {
        let device = match &property.worth {
            Worth::Device(path, _) => path.clone(),
            _ => String::new(),
        };
        if seen.insert((property.name, device)) {
            kept.push(property);
        }
    }
    kept.reverse();
    kept
}

/// How long making room may take before the answer is what is in use.
const ROOM: Duration = Duration::from_secs(10);

/// Takes memory back before its limit falls below what is in use: the kernel
/// would do so too, but kills where it is not fast enough.
fn make_room(place: &Place, line: &Line) -> Result<(), Error> {
    let Some(wanted) = bytes(&line.text).filter(|_| line.file == "memory.max") else {
        return Ok(());
    };
    let used = used(place)?;
    if place.version == Version::V1 || used <= wanted {
        return Ok(());
    }
    match place.cgroup.reclaim(used - wanted, wanted, ROOM) {
        Err(error) if error.is_gone() => return Err(error.into()),
        // Without memory.reclaim (Linux 5.19) the answer is what is in use.
        _ => {}
    }
    let used = self::used(place)?;
    if used > wanted {
        let path = path(place, line);
        return Err(Error::InUse { path, wanted, used });
    }
    Ok(())
}

/// Version 1 refuses by itself to go below what is in use.
fn in_use(place: &Place, line: &Line, error: Error) -> Error {
    let busy = match &error {
        Error::Cgroup(CgroupError::Io { source, .. }) => source.raw_os_error() == Some(libc::EBUSY),
        _ => false,
    };
    let wanted = bytes(&line.text).filter(|_| busy && line.controller == "memory");
    match (wanted, used(place)) {
        (Some(wanted), Ok(used)) => Error::InUse {
            path: path(place, line),
            wanted,
            used,
        },
        _ => error,
    }
}

fn used(place: &Place) -> Result<u64, Error> {
    let reader = place.cgroup.reader(Figure::Memory);
    let used = reader.and_then(|reader| reader.read(&mut [0; 32]).ok()?);
    Ok(used.unwrap_or(0))
}

fn path(place: &Place, line: &Line) -> std::path::PathBuf {
    let folder = place.folder(line.controller).map(Folder::path);
    folder.unwrap_or_default().join(&line.file)
}
