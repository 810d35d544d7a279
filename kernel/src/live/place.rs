//! In: the folder that is `/sys/fs/cgroup`, and a container's paths in each
//! hierarchy. Out: a [`Place`]: the cgroup's directories, held open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use packrank_core::record::UNIFIED;

use super::error::Error;
use crate::cgroup::{Cgroup, Folder, Mounts, Version};

/// A running container's cgroup.
#[derive(Debug)]
pub struct Place {
    pub(super) cgroup: Cgroup,
    pub(super) version: Version,
    /// Version 1 controllers that only limits need.
    more: Vec<(&'static str, Folder)>,
    unit: Option<String>,
}

impl Place {
    /// Opens the cgroups that a record names: those that carry the limits.
    ///
    /// # Errors
    /// When a path leads outside, all are the hierarchies' roots, or the
    /// container is gone.
    pub fn open(root: &Path, cgroups: &BTreeMap<String, PathBuf>) -> Result<Place, Error> {
        let mounts = Mounts::find(root)?;
        // First, since it refuses paths that lead upwards.
        let cgroup = Cgroup::open(&mounts, cgroups)?;
        let version = mounts.version();
        let mut more = Vec::new();
        for name in ["cpuset", "hugetlb"] {
            let path = cgroups
                .get(name)
                .and_then(|path| path.strip_prefix("/").ok());
            let own = path.filter(|path| !path.as_os_str().is_empty());
            if let (Version::V1, Some(path)) = (version, own)
                && let Ok(top) = Folder::open(&root.join(name))
            {
                more.push((name, top.folder(path)?));
            }
        }
        let unified = cgroups.get(UNIFIED).filter(|_| version == Version::V2);
        Ok(Place {
            cgroup,
            version,
            more,
            unit: unified.and_then(|path| unit(path)),
        })
    }

    /// The folder with the controller's files.
    pub(super) fn folder(&self, controller: &str) -> Option<&Folder> {
        if self.version == Version::V2 {
            return self.cgroup.unified();
        }
        let more = self.more.iter().find(|(name, _)| *name == controller);
        let more = more.map(|(_, folder)| folder);
        self.cgroup.v1(controller).or(more)
    }

    /// Its CPU weight on version 2.
    #[must_use]
    pub fn weight(&self) -> Option<u64> {
        let folder = self.folder("cpu").filter(|_| self.version == Version::V2)?;
        let text = folder.read_if_there("cpu.weight").ok()??;
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    /// The unit of the system's own systemd that owns the cgroup.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }
}

/// A scope or a service is systemd's; what lies below one it has delegated.
/// Below a user's manager they are that one's, which answers on no bus of ours.
fn unit(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let parts = || path.iter().filter_map(|part| part.to_str());
    let of_a_user = parts().any(|part| part.starts_with("user@") && part.ends_with(".service"));
    let owned = name.ends_with(".scope") || name.ends_with(".service");
    let above = path.parent()?;
    // Only slices lie above a unit of systemd's.
    let slices = above.iter().skip(1).all(|part| {
        let part = part.to_str();
        part.is_some_and(|part| part.ends_with(".slice"))
    });
    (owned && slices && !of_a_user).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_cgroup_it_is() {
        for (path, owner) in [
            ("/machine.slice/libpod-abc.scope", Some("libpod-abc.scope")),
            ("/machine.slice/libpod-abc.scope/container", None),
            ("/lab.slice/lab-x.slice/lab-x.scope", Some("lab-x.scope")),
            ("/init.scope", Some("init.scope")),
            ("/system.slice/docker.service", Some("docker.service")),
            ("/system.slice/containerd.service/x.scope", None),
            (
                "/user.slice/user-1.slice/user@1.service/a.slice/x.scope",
                None,
            ),
            ("/k8s.io/abc", None),
            ("/", None),
        ] {
            assert_eq!(unit(Path::new(path)).as_deref(), owner, "{path}");
        }
    }
}
