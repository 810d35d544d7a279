//! Which record is whose.
//!
//! In: an engine's id, and the bundle. Out: the container's key on this node:
//! the name of its record and of everything made for it. An id is unique only
//! within an engine's root or a containerd namespace. The first container of
//! an id has it for its key; one that comes while another of that id lives has
//! `id@` and a hash of its bundle. No engine takes an id with an `@`.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use super::store::{Outcome, io_error};
use super::{Packs, Record, file_name};

impl Packs {
    /// Held from the choice of a key until its record is written, so that two
    /// containers that come at once do not choose the same.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn lock(&self) -> Outcome<OwnedFd> {
        let folder = self.folder();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match open(folder, flags, Mode::empty()) {
            // The first on this node makes the folders.
            Err(rustix::io::Errno::NOENT) => {
                self.make()?;
                open(folder, flags, Mode::empty())
            }
            opened => opened,
        };
        let failed = |errno: rustix::io::Errno| io_error("lock", folder)(errno.into());
        let opened = opened.map_err(failed)?;
        flock(&opened, FlockOperation::LockExclusive).map_err(failed)?;
        Ok(opened)
    }

    /// The key of a container that comes: the one it has, else its id, unless
    /// that is another's who lives, or whose record cannot be read.
    #[must_use]
    pub fn key(&self, id: &str, bundle: &Path, lives: impl FnOnce(&Record) -> bool) -> String {
        let twin = twin(id, bundle);
        let free = match self.read(id) {
            Ok(record) => record.bundle == bundle || !lives(&record),
            Err(error) => error.is_absent() && !self.path(&twin).exists(),
        };
        if free { id.to_owned() } else { twin }
    }

    /// The record of this very container.
    ///
    /// # Errors
    /// When there is none, or it is damaged, foreign or newer.
    pub fn find(&self, id: &str, bundle: &Path) -> Outcome<Record> {
        let first = self.read(id);
        match first {
            Ok(record) if record.bundle == bundle => Ok(record),
            Err(error) if !error.is_absent() => self.read(&twin(id, bundle)).map_err(|_| error),
            _ => self.read(&twin(id, bundle)),
        }
    }

    /// The records of all containers of this id but the first one.
    pub fn twins(&self, id: &str) -> impl Iterator<Item = Record> + use<> {
        let begin = file_name::of(&format!("{id}@"));
        let files = self.files().unwrap_or_default().into_iter();
        let files = files.filter(move |path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&begin))
        });
        files.filter_map(|path| Packs::read_file(&path).ok())
    }
}

impl Record {
    /// What the container's engine calls it.
    #[must_use]
    pub fn engine_id(&self) -> &str {
        engine_id(&self.id)
    }
}

/// The engine's id in a key.
#[must_use]
pub fn engine_id(key: &str) -> &str {
    key.split_once('@').map_or(key, |(id, _)| id)
}

fn twin(id: &str, bundle: &Path) -> String {
    let hash = file_name::hash(&bundle.to_string_lossy());
    format!("{id}@{:010x}", hash & 0xff_ffff_ffff)
}
