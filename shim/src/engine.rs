//! Which engine, and stepping aside for it.
//!
//! In: the flag's, the policy's and PATH's word. Out: the engine's path; then
//! this process is the engine.

use std::ffi::{CString, OsString};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The engines looked for, in this order.
pub const KNOWN: [&str; 4] = ["runc", "crun", "youki", OURS];

/// Our own engine, for where there is no other.
pub const OURS: &str = "packrank-engine";

/// Where an engine is looked for when PATH is not set: containerd and Docker
/// start runtimes with an environment of their own making.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why no engine was started.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine that was named is not there.
    #[error("engine {}: {source} (named by {by})", path.display())]
    Named {
        /// Its path.
        path: PathBuf,
        /// `--engine` or the policy.
        by: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// None was named and none was found.
    #[error("no engine found: none of {} is in PATH ({path}); name one with --engine or [engine] path in the policy", KNOWN.join(", "))]
    NotFound {
        /// What was searched.
        path: String,
    },
    /// It could not be started.
    #[error("engine {}: {source}", path.display())]
    Exec {
        /// Its path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// This program's own file. It is never an engine, since a runtime that calls
/// itself runs for ever; and beside it its companions are found.
#[derive(Debug, Clone)]
pub struct Own {
    path: PathBuf,
    /// Device and inode.
    file: Option<(u64, u64)>,
}

impl Own {
    /// By the path it was started by.
    #[must_use]
    pub fn at(path: &Path) -> Own {
        match std::fs::metadata(path) {
            Ok(meta) => Own::new(path, &meta),
            Err(_) => Own::running(),
        }
    }

    /// By the kernel's word. A process's first look into its own /proc costs
    /// more than all else that stepping aside takes.
    #[must_use]
    pub fn running() -> Own {
        let path = Path::new("/proc/self/exe");
        match std::fs::metadata(path) {
            Ok(meta) => Own::new(path, &meta),
            Err(_) => Own {
                path: path.to_owned(),
                file: None,
            },
        }
    }

    fn new(path: &Path, meta: &Metadata) -> Own {
        Own {
            path: path.to_owned(),
            file: Some((meta.dev(), meta.ino())),
        }
    }

    /// The program of this name that was installed beside it.
    #[must_use]
    pub fn beside(&self, name: &str) -> Option<PathBuf> {
        // Under its own name there is nothing to follow.
        let plain = self.path.is_absolute() && !self.path.is_symlink();
        let own = match plain {
            true => self.path.clone(),
            false => std::fs::canonicalize(&self.path).ok()?,
        };
        self.runnable(&own.with_file_name(name)).ok()
    }

    /// The engine to hand over to.
    ///
    /// # Errors
    /// When the one that was named, or any at all, is not there.
    pub fn find(&self, flag: Option<&Path>, policy: Option<&Path>) -> Result<PathBuf, EngineError> {
        for (named, by) in [(flag, "--engine"), (policy, "the policy's [engine] path")] {
            let Some(named) = named else { continue };
            let found = match named.components().count() {
                1 => self.in_path(&search_path(), &named.to_string_lossy()),
                _ => self.runnable(named).ok(),
            };
            return found.ok_or_else(|| EngineError::Named {
                path: named.to_owned(),
                by,
                source: match self.runnable(named) {
                    Err(source) => source,
                    Ok(_) => io::ErrorKind::NotFound.into(),
                },
            });
        }
        let path = search_path();
        KNOWN
            .into_iter()
            .find_map(|name| self.locate(&path, name))
            .ok_or(EngineError::NotFound { path })
    }

    fn is(&self, meta: &Metadata) -> bool {
        self.file == Some((meta.dev(), meta.ino()))
    }

    /// The path, if it is a program and not ourselves.
    fn runnable(&self, path: &Path) -> io::Result<PathBuf> {
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
            return Err(io::Error::other("is no program"));
        }
        if self.is(&meta) {
            return Err(io::Error::other("is packrank-runtime itself"));
        }
        Ok(path.to_owned())
    }

    fn in_path(&self, path: &str, name: &str) -> Option<PathBuf> {
        path.split(':')
            .filter(|folder| !folder.is_empty())
            .find_map(|folder| self.runnable(&Path::new(folder).join(name)).ok())
    }

    /// Where the engine of this name is: in PATH, or, if it is our own, beside
    /// us.
    fn locate(&self, path: &str, name: &str) -> Option<PathBuf> {
        let found = self.in_path(path, name);
        found.or_else(|| self.beside(name).filter(|_| name == OURS))
    }
}

fn search_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned())
}

/// The engine to hand over to.
///
/// # Errors
/// When the one that was named, or any at all, is not there.
pub fn find(flag: Option<&Path>, policy: Option<&Path>) -> Result<PathBuf, EngineError> {
    Own::running().find(flag, policy)
}

/// Where the engine of this name is: in PATH, or, if it is our own, beside us.
#[must_use]
pub fn locate(name: &str) -> Option<PathBuf> {
    Own::running().locate(&search_path(), name)
}

/// Runs the engine to its end; its exit status.
///
/// # Errors
/// When it cannot be started.
pub fn run(engine: &Path, args: &[OsString]) -> Result<i32, EngineError> {
    let status = std::process::Command::new(engine).args(args).status();
    let status = status.map_err(|source| EngineError::Exec {
        path: engine.to_owned(),
        source,
    })?;
    Ok(status.code().unwrap_or(1))
}

/// Becomes the engine, with the signals, files and environment that we were
/// given. Comes back only with the reason why not.
#[must_use]
pub fn exec(engine: PathBuf, args: &[OsString]) -> EngineError {
    let words = std::iter::once(engine.as_os_str());
    let words = words.chain(args.iter().map(OsString::as_os_str));
    let words: Result<Vec<CString>, _> = words.map(|word| CString::new(word.as_bytes())).collect();
    let source = match words {
        Ok(words) => match nix::unistd::execv(&words[0], &words) {
            Err(errno) => errno.into(),
            Ok(never) => match never {},
        },
        Err(source) => source.into(),
    };
    EngineError::Exec {
        path: engine,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_engine_must_be_a_program_and_not_ourselves() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runc");
        fs::write(&file, "").unwrap();
        let runnable = |path: &Path| Own::running().runnable(path);
        assert!(runnable(&file).is_err());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(runnable(&file).is_ok());
        assert!(runnable(folder.path()).is_err());
        assert!(runnable(&std::env::current_exe().unwrap()).is_err());
        let error = find(Some(Path::new("/nonexistent/runc")), None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "engine /nonexistent/runc: No such file or directory (os error 2) (named by --engine)"
        );
    }
}
