//! Where the hierarchies are.
//!
//! In: the folder that is `/sys/fs/cgroup`. Out: the root of each hierarchy,
//! as version 2 alone, version 1, or both (hybrid).

use std::path::Path;

use packrank_core::record::UNIFIED;

use super::{CONTROLLERS, CgroupError, Folder};

/// Which version the controllers are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller; version 2 may sit beside it without any.
    V1,
    /// One hierarchy.
    V2,
}

/// The hierarchies' roots.
#[derive(Debug)]
pub struct Mounts {
    version: Version,
    unified: Option<Folder>,
    v1: [Option<Folder>; CONTROLLERS.len()],
}

impl Mounts {
    /// Looks at the folder.
    ///
    /// # Errors
    /// When there is no hierarchy at all.
    pub fn find(root: &Path) -> Result<Mounts, CgroupError> {
        let top = Folder::open(root)?;
        if top.has("cgroup.controllers") {
            return Ok(Mounts {
                version: Version::V2,
                unified: Some(top),
                v1: Default::default(),
            });
        }
        // Where several controllers share a hierarchy, links have their names.
        let open = |name: &str| Folder::open(&root.join(name)).ok();
        let unified = open(UNIFIED).filter(|folder| folder.has("cgroup.controllers"));
        let v1 = CONTROLLERS.map(|name| open(name).filter(|folder| folder.has("cgroup.procs")));
        if unified.is_none() && v1.iter().all(Option::is_none) {
            return Err(CgroupError::NotOffered {
                what: "a cgroup hierarchy",
            });
        }
        Ok(Mounts {
            version: Version::V1,
            unified,
            v1,
        })
    }

    /// Which version the controllers are in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The root of a controller's hierarchy, or of [`UNIFIED`].
    #[must_use]
    pub fn root(&self, controller: &str) -> Option<&Folder> {
        if controller == UNIFIED {
            return self.unified.as_ref();
        }
        let index = CONTROLLERS.iter().position(|name| *name == controller)?;
        self.v1[index].as_ref()
    }
}
