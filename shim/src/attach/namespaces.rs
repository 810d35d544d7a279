//! Who owns which network namespace.
//!
//! In: namespaces, and containers that are in them. Out: for each namespace one
//! small file with its owner, given to one container at a time; containers that
//! share a namespace (a pod's, or `--network container:…`) find it there.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use packrank_core::Priority;
use packrank_core::place::Role;
use packrank_core::spec::Network;
use packrank_kernel::process;
use serde::{Deserialize, Serialize};

use super::AttachError;
use super::identity::Process;
use crate::planning::Planned;

/// Whose name the namespace's objects carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The container, or the pod's sandbox.
    pub id: String,
    /// The class it was shaped for.
    pub class: String,
    /// A process that lives as long as the namespace is used: the one whose
    /// container was attached first.
    pub pid: u32,
    /// When that process started.
    pub started: u64,
    /// What keeps the namespace besides processes, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Owner {
    /// The owner of a container's network: its pod's sandbox, else itself.
    pub fn of(key: &str, process: &Process, planned: &Planned, network: &Network) -> Owner {
        let sandbox = match planned.place.role {
            Role::Container => planned.place.sandbox.as_ref(),
            _ => None,
        };
        Owner {
            id: sandbox.map_or(key, String::as_str).to_owned(),
            class: planned.plan.rank.priority.name().to_owned(),
            pid: process.pid,
            started: process.started,
            path: match network {
                Network::Joined(path) => Some(path.clone()),
                Network::Host | Network::Own => None,
            },
        }
    }

    fn priority(&self) -> Option<Priority> {
        self.class.parse().ok()
    }
}

/// Who owns which network namespace: one small file each.
#[derive(Debug)]
pub struct Namespaces {
    folder: PathBuf,
}

/// One namespace's file.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
}

impl Entry {
    /// The name that records have it by.
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }
}

impl Namespaces {
    /// Those under `/run/packrank`.
    pub fn under(run: &Path) -> Namespaces {
        Namespaces {
            folder: run.join("networks"),
        }
    }

    /// The entry of a namespace.
    ///
    /// # Errors
    /// When the namespace cannot be looked at.
    pub fn entry(&self, netns: &File) -> Result<Entry, AttachError> {
        let path = self.folder.join(name(netns)?);
        Ok(Entry { path })
    }

    /// The entry of that name, as a record has it.
    pub fn named(&self, name: &str) -> Entry {
        Entry {
            path: self.folder.join(name.replace('/', "_")),
        }
    }

    /// Held while an entry is judged and then changed, so that nobody else's
    /// change falls in between. Never held over the kernel's or an engine's work.
    fn lock(&self) -> Result<Flock<File>, AttachError> {
        let failed = |source| AttachError::Io {
            path: self.folder.clone(),
            source,
        };
        let folder = match File::open(&self.folder) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => {
                let mut make = DirBuilder::new();
                make.recursive(true).mode(0o700);
                let made = make.create(&self.folder);
                made.and_then(|()| File::open(&self.folder))
            }
            folder => folder,
        };
        let folder = folder.map_err(failed)?;
        Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))
    }

    /// Makes the namespace `own`'s, unless it is another's who lives, or the
    /// same pod's by a class at least as high: then that owner comes back.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn claim(&self, entry: &Entry, own: &Owner) -> Result<Option<Owner>, AttachError> {
        let _lock = self.lock()?;
        let other = |owner: &Owner| {
            let same_pod = owner.id == own.id;
            (!same_pod || owner.class != own.class)
                && entry.used_by(owner.pid, owner.started)
                && (!same_pod || owner.priority() >= own.priority())
        };
        if let Some(owner) = entry.read().filter(other) {
            return Ok(Some(owner));
        }
        entry.write(own)?;
        Ok(None)
    }

    /// Takes the namespace from `owner` and gives it to `heir`, or to nobody;
    /// whether it still was `owner`'s.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take(
        &self,
        entry: &Entry,
        owner: &Owner,
        heir: Option<&Owner>,
    ) -> Result<bool, AttachError> {
        let _lock = self.lock()?;
        if entry.read().as_ref() != Some(owner) {
            return Ok(false);
        }
        match heir {
            Some(heir) => entry.write(heir)?,
            None => entry.remove()?,
        }
        Ok(true)
    }

    /// Every entry.
    pub fn all(&self) -> impl Iterator<Item = Entry> + use<> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten();
        files.flatten().map(|file| Entry { path: file.path() })
    }
}

/// Namespace files are told apart by device and inode.
pub fn name(netns: &File) -> Result<String, AttachError> {
    let meta = netns.metadata().map_err(|source| AttachError::Io {
        path: PathBuf::from("network namespace"),
        source,
    })?;
    Ok(format!("{}-{}", meta.dev(), meta.ino()))
}

impl Entry {
    /// Its owner; `None` when it has none, or none that can be read.
    pub fn read(&self) -> Option<Owner> {
        let text = std::fs::read(&self.path).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether this process runs and is in the namespace. The kernel gives a
    /// namespace's number to another one as soon as its last process has left
    /// it, which is before that process is gone.
    pub fn used_by(&self, pid: u32, started: u64) -> bool {
        let netns = process::network(pid, started);
        let there = netns.and_then(|netns| name(&netns).ok());
        there.is_some() && there.as_deref() == self.name()
    }

    /// The namespace, where its owner's path still names it.
    pub fn kept(&self, owner: &Owner) -> Option<File> {
        let mut open = File::options();
        // Whatever the path names by now, opening it waits for nobody.
        open.read(true).custom_flags(nix::libc::O_NONBLOCK);
        let netns = open.open(owner.path.as_ref()?).ok()?;
        (Some(&*name(&netns).ok()?) == self.name()).then_some(netns)
    }

    /// Whether its owner's first process still is in it.
    pub fn alive(&self) -> bool {
        let owner = self.read();
        owner.is_some_and(|owner| self.used_by(owner.pid, owner.started))
    }

    /// Writes its owner.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, owner: &Owner) -> Result<(), AttachError> {
        let failed = |source| AttachError::Io {
            path: self.path.clone(),
            source,
        };
        let text = serde_json::to_vec(owner).map_err(|e| failed(io::Error::other(e)))?;
        super::register::replace(&self.path, &text).map_err(failed)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self) -> Result<(), AttachError> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(AttachError::Io {
                path: self.path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: &str, class: &str) -> Owner {
        let pid = std::process::id();
        Owner {
            id: id.to_owned(),
            class: class.to_owned(),
            pid,
            started: process::Stat::of(pid).unwrap().started,
            path: None,
        }
    }

    #[test]
    fn a_namespace_is_claimed_once_and_taken_from_its_owner_only() {
        let run = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::under(run.path());
        let netns = File::open("/proc/self/ns/net").unwrap();
        let entry = namespaces.entry(&netns).unwrap();
        let (low, high, other) = (owner("a", "low"), owner("a", "high"), owner("b", "high"));
        assert_eq!(namespaces.claim(&entry, &low).unwrap(), None);
        assert_eq!(namespaces.claim(&entry, &other).unwrap(), Some(low.clone()));
        assert_eq!(namespaces.claim(&entry, &high).unwrap(), None);
        assert_eq!(namespaces.claim(&entry, &low).unwrap(), Some(high.clone()));

        // Who judged the entry before it changed hands takes nothing.
        assert!(!namespaces.take(&entry, &low, None).unwrap());
        assert_eq!(entry.read(), Some(high.clone()));
        assert!(namespaces.take(&entry, &high, Some(&other)).unwrap());
        assert!(namespaces.take(&entry, &other, None).unwrap());
        assert_eq!(entry.read(), None);
        assert_eq!(namespaces.all().count(), 0);
    }
}
