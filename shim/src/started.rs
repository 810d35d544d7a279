//! The engine that a container was started with.
//!
//! In: the engine's `--root` and the container's id, which together name one
//! container. Out: a link below `/run/packrank/engines` to the engine's
//! program. `create`, `run` and `restore` write it; every later verb follows
//! it, whatever the policy and PATH name by then, and reads no policy.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use packrank_core::record::file_name;

/// The link of one container.
#[derive(Debug, Clone)]
pub struct Started(PathBuf);

impl Started {
    /// The link of this container, where `run` is `/run/packrank`. Nothing is
    /// touched yet.
    #[must_use]
    pub fn of(run: &Path, root: &OsStr, id: &OsStr) -> Started {
        let name = format!("{}\n{}", root.to_string_lossy(), id.to_string_lossy());
        Started(run.join("engines").join(file_name(&name)))
    }

    /// Writes the link, over one that an earlier container of this name left.
    ///
    /// # Errors
    /// When the system refuses: a user without root on the node has no such
    /// folder.
    pub fn keep(&self, engine: &Path) -> io::Result<()> {
        match symlink(engine, &self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.0.parent().unwrap_or(Path::new("/"));
                let mut make = DirBuilder::new();
                make.recursive(true).mode(0o700).create(folder)?;
                symlink(engine, &self.0)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.forget();
                symlink(engine, &self.0)
            }
            done => done,
        }
    }

    /// The engine; `None` where none was written down.
    #[must_use]
    pub fn engine(&self) -> Option<PathBuf> {
        std::fs::read_link(&self.0).ok()
    }

    /// Removes the link. What cannot be removed is written over by the next
    /// container of this name.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_for_each_root_and_id() {
        let run = tempfile::tempdir().unwrap();
        let of = |root: &str, id: &str| Started::of(run.path(), root.as_ref(), id.as_ref());
        let (one, other) = (of("/a", "web"), of("/b", "web"));
        assert_eq!(one.engine(), None);
        one.keep(Path::new("/bin/runc")).unwrap();
        other.keep(Path::new("/bin/crun")).unwrap();
        one.keep(Path::new("/bin/youki")).unwrap();
        assert_eq!(one.engine(), Some("/bin/youki".into()));
        assert_eq!(other.engine(), Some("/bin/crun".into()));
        one.forget();
        assert_eq!((one.engine(), other.engine().is_some()), (None, true));
    }
}
