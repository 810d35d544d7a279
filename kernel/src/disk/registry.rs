//! In: a folder and containers' ids. Out: which project belongs to whom.
//!
//! One small file for each container, named by the project's number and a
//! hash of the container's id, so that one look at the folder tells which
//! numbers are taken. Numbers are given out under the folder's lock, and who
//! changes or ends one container's quota holds that container's file; the
//! kernel drops both locks with the process that holds them.

mod lock;
mod name;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use self::name::Name;
use super::error::Error;

/// A container's quota, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The container's id.
    pub id: String,
    /// The project's number.
    pub project: u32,
    /// The directory that is limited.
    pub upper: PathBuf,
    /// The bytes it may hold.
    pub bytes: u64,
    /// Bytes that were there before.
    #[serde(default)]
    pub before: u64,
    /// Files that were there before.
    #[serde(default)]
    pub files_before: u64,
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// Its device, major and minor number.
    pub device: (u32, u32),
}

/// The folder.
#[derive(Debug)]
pub(super) struct Registry {
    path: PathBuf,
}

/// The folder, locked.
#[derive(Debug)]
pub(super) struct Locked<'r> {
    registry: &'r Registry,
    _lock: Flock<File>,
}

/// A container's entry, held by its file.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) entry: Entry,
    _lock: Flock<File>,
}

/// How long a lock is waited for. It is held for well below a millisecond: who
/// holds it longer is stopped, and no engine shall wait for that.
const PATIENCE: Duration = Duration::from_secs(3);
/// Tried again after this, then after twice as long, up to the other.
const SOON: Duration = Duration::from_micros(100);
const LATER: Duration = Duration::from_millis(5);

/// What is registered, by project's number.
///
/// # Errors
/// When the folder or a file in it cannot be read. A folder that is not there
/// is empty.
pub fn list(registry: &Path) -> Result<Vec<Entry>, Error> {
    let registry = Registry {
        path: registry.to_owned(),
    };
    let names = registry.names()?;
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        entries.extend(registry.read(&name)?);
    }
    entries.sort_by_key(|entry| entry.project);
    Ok(entries)
}

impl Registry {
    /// Opens the folder, and makes it where it is not there.
    pub(super) fn open(path: &Path) -> Result<Registry, Error> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path);
        let registry = Registry {
            path: path.to_owned(),
        };
        made.map_err(|source| registry.failed("make", "", source))?;
        Ok(registry)
    }

    pub(super) fn lock(&self) -> Result<Locked<'_>, Error> {
        let folder = File::open(&self.path).map_err(|e| self.failed("open", "", e))?;
        Ok(Locked {
            registry: self,
            _lock: self.wait(folder, "")?,
        })
    }

    /// The container's entry, which then nobody else changes or ends.
    pub(super) fn hold(&self, id: &str) -> Result<Option<Held>, Error> {
        while let Some(entry) = self.find(id)? {
            let name = Name::of(&entry);
            let text = name.text();
            let failed = |source| self.failed("read", &text, source);
            let file = match File::open(self.path.join(&text)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let lock = self.wait(file, &text)?;
            // Ended or replaced while it was waited for?
            let held = lock.metadata().map_err(failed)?;
            let now = fs::metadata(self.path.join(&text));
            if !now.is_ok_and(|now| (now.dev(), now.ino()) == (held.dev(), held.ino())) {
                continue;
            }
            let mut content = Vec::new();
            (&*lock).read_to_end(&mut content).map_err(failed)?;
            if let Some(entry) = name.entry(&content).filter(|entry| entry.id == id) {
                return Ok(Some(Held { entry, _lock: lock }));
            }
        }
        Ok(None)
    }

    fn wait(&self, mut file: File, name: &str) -> Result<Flock<File>, Error> {
        let until = Instant::now() + PATIENCE;
        let mut pause = SOON;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < until => file,
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                    return Err(Error::Locked {
                        path: self.path.join(name),
                        seconds: PATIENCE.as_secs(),
                    });
                }
                Err((_, errno)) => return Err(self.failed("lock", name, errno.into())),
            };
            thread::sleep(pause);
            pause = (pause * 2).min(LATER);
        }
    }

    /// The container's entry.
    pub(super) fn find(&self, id: &str) -> Result<Option<Entry>, Error> {
        let hash = name::hash(id);
        for name in self.names()?.into_iter().filter(|name| name.hash == hash) {
            if let Some(entry) = self.read(&name)?.filter(|entry| entry.id == id) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        let folder = match fs::read_dir(&self.path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("read", "", error)),
        };
        let mut names = Vec::new();
        for entry in folder {
            let entry = entry.map_err(|e| self.failed("read", "", e))?;
            names.extend(entry.file_name().to_str().and_then(Name::parse));
        }
        Ok(names)
    }

    /// `None` for what has gone meanwhile, and for what is no entry: a file
    /// cut short by a power loss.
    fn read(&self, name: &Name) -> Result<Option<Entry>, Error> {
        match fs::read(self.path.join(name.text())) {
            Ok(text) => Ok(name.entry(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", &name.text(), error)),
        }
    }

    /// Takes an entry away.
    pub(super) fn remove(&self, entry: &Entry) -> Result<(), Error> {
        self.unlink(&Name::of(entry).text())
    }

    fn unlink(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", name, error))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> Error {
        Error::Io {
            action,
            path: self.path.join(name),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
