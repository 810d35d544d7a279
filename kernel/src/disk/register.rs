//! In: a container's id and its layer. Out: the project that is its own.

use super::error::{Error, Unsupported};
use super::layer::Layer;
use super::limit::{denied, opened, quota_error, unsupported};
use super::mount::Mount;
use super::quota::FileSystem;
use super::registry::{Entry, Registry};
use super::{PROJECTS, project};

/// Gives the container a number: the one its layer has, where that is one of
/// ours and nobody else's, else a free one.
pub(super) fn register(
    registry: &Registry,
    file_system: FileSystem<'_>,
    layer: &Layer,
    mount: &Mount,
    id: &str,
    bytes: u64,
) -> Result<Entry, Error> {
    let locked = registry.lock()?;
    let known = registry.find(id)?;
    let found = project::of(file_system.directory).map_err(|e| opened(layer, e))?;
    if found != 0 && !PROJECTS.contains(&found) {
        return Err(unsupported(layer, Unsupported::Foreign(found)));
    }
    let owner = match found {
        0 => None,
        found => locked.owner(found)?.filter(|owner| owner.id != id),
    };
    if let Some(owner) = owner.as_ref().filter(|owner| owner.upper == layer.upper) {
        return Err(unsupported(layer, Unsupported::Shared(owner.id.clone())));
    }
    let in_use = |project| {
        let quota = file_system.read(project);
        quota
            .map(|q| q.in_use())
            .map_err(|source| match denied(&source) {
                true => unsupported(layer, Unsupported::NotPermitted),
                false => quota_error("read", project, &layer.upper, source),
            })
    };
    let project = match (&known, found) {
        (Some(known), _) if known.device == mount.device => Some(known.project),
        // Who owns it by the registry has another layer: this one's number
        // was set from inside.
        (_, 1..) if owner.is_none() => Some(found),
        _ => locked.free(id, in_use)?,
    };
    let project = project.ok_or_else(|| Error::Exhausted {
        path: layer.upper.clone(),
    })?;
    if let Some(known) = known.filter(|known| known.project != project) {
        registry.remove(&known)?;
    }
    let entry = Entry {
        id: id.to_owned(),
        project,
        upper: layer.upper.clone(),
        bytes,
        before: 0,
        files_before: 0,
        mount: mount.point.clone(),
        device: mount.device,
    };
    locked.write(&entry)?;
    Ok(entry)
}
