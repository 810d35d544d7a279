//! In: the root directory and a container's id. Out: the container's directory, claimed for a new
//! container or found for an old one, and the record kept in it.
//!
//! A container's directory holds `record.json` (see [`Record`]), `config.json` (as it was at
//! create), `exec.lock` (see [`crate::payload`]) and, until the container is started,
//! `notify.sock`, which libcontainer waits on. The configuration holds secrets: directories are made
//! with mode 0700 and files with 0600, from the first byte on and whatever the umask.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use crate::record::Record;

/// Where containers are kept unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/packrank-engine";
/// runc's own bound: longer names make paths that sockets and cgroups refuse.
const LONGEST_ID: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("invalid container ID format {0:?}: letters, digits and _ + - . only")]
    InvalidId(String),
    #[error("container with given ID already exists: {0}")]
    Exists(String),
    #[error("container does not exist: {0}")]
    Absent(String),
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("{path} is damaged: {cause}")]
    Damaged {
        path: PathBuf,
        cause: serde_json::Error,
    },
}

/// The root directory.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// `root` as given, or the default: `/run/packrank-engine`, for other users than root
    /// `$XDG_RUNTIME_DIR/packrank-engine`.
    pub fn at(root: Option<PathBuf>) -> Result<Self, StoreError> {
        let root = root.unwrap_or_else(|| match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(own) if !nix::unistd::geteuid().is_root() => {
                Path::new(&own).join("packrank-engine")
            }
            _ => PathBuf::from(DEFAULT_ROOT),
        });
        let root =
            std::path::absolute(&root).map_err(|cause| StoreError::Io { path: root, cause })?;
        Ok(Self { root })
    }

    /// Makes the directory of a new container; refuses an id that is taken.
    pub fn claim(&self, id: &str) -> Result<Home, StoreError> {
        check_id(id)?;
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| StoreError::Io { path, cause }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .map_err(at(&self.root))?;
        let path = self.root.join(id);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Exists(id.to_owned()))
            }
            Err(cause) => Err(at(&path)(cause)),
            Ok(()) => Ok(Home { path }),
        }
    }

    /// The directory of a container that was created before.
    pub fn find(&self, id: &str) -> Result<Home, StoreError> {
        check_id(id)?;
        let path = self.root.join(id);
        if path.is_dir() {
            Ok(Home { path })
        } else {
            Err(StoreError::Absent(id.to_owned()))
        }
    }

    /// Every container's directory, by id.
    pub fn all(&self) -> Result<Vec<Home>, StoreError> {
        let entries = match fs::read_dir(&self.root) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => {
                return Err(StoreError::Io {
                    path: self.root.clone(),
                    cause,
                });
            }
            Ok(entries) => entries,
        };
        let mut homes: Vec<Home> = entries
            .flatten()
            .map(|entry| Home { path: entry.path() })
            .filter(|home| home.path.is_dir())
            .collect();
        homes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(homes)
    }
}

/// One container's directory.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn notify_socket(&self) -> PathBuf {
        self.file(libcontainer::notify_socket::NOTIFY_FILE)
    }

    pub fn record(&self) -> Result<Record, StoreError> {
        let path = self.file("record.json");
        let text = fs::read(&path).map_err(|cause| StoreError::Io {
            path: path.clone(),
            cause,
        })?;
        serde_json::from_slice(&text).map_err(|cause| StoreError::Damaged { path, cause })
    }

    /// Replaces the record in one step: a reader sees the old one or the new one.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.file("record.json");
        let text = serde_json::to_vec(record).map_err(|cause| StoreError::Damaged {
            path: path.clone(),
            cause,
        })?;
        write_whole(&path, &text, OWN).map_err(|cause| StoreError::Io { path, cause })
    }

    /// Keeps a copy of the configuration.
    pub fn keep(&self, config: &[u8]) -> Result<(), StoreError> {
        let path = self.file("config.json");
        write_whole(&path, config, OWN).map_err(|cause| StoreError::Io { path, cause })
    }

    pub fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(StoreError::Io {
                path: self.path.clone(),
                cause,
            }),
            _ => Ok(()),
        }
    }
}

/// The mode of what is nobody else's to read.
pub const OWN: u32 = 0o600;

/// Makes a socket with mode 0600: the kernel takes a socket's mode from the umask alone.
pub fn privately<T>(make: impl FnOnce() -> T) -> T {
    let before = umask(Mode::from_bits_truncate(0o177));
    let made = make();
    umask(before);
    made
}

/// Writes a pid file with the mode that runc gives one: it is for the caller's eyes.
pub fn write_pid(path: &Path, pid: i32) -> io::Result<()> {
    write_whole(path, pid.to_string().as_bytes(), 0o644)
}

/// Writes a file beside its place and renames it there. Also how a pid file is written: a caller
/// that polls for it must never read half a number.
fn write_whole(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = path.with_file_name(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&beside)?;
    let written = file
        .write_all(contents)
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The file beside it is of no use to anyone; what matters is the first error.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn check_id(id: &str) -> Result<(), StoreError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if id.is_empty() || id.len() > LONGEST_ID || id == "." || id == ".." || !id.chars().all(allowed)
    {
        return Err(StoreError::InvalidId(id.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for good in ["a", "A-1_b+c.d", "..."] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "ä", "a\0"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(Some(folder.path().to_owned())).unwrap();
        let home = store.claim("a").unwrap();
        assert!(matches!(store.claim("a"), Err(StoreError::Exists(_))));
        home.remove().unwrap();
        assert!(matches!(store.find("a"), Err(StoreError::Absent(_))));
    }
}
