//! Which engine, and stepping aside for it.
//!
//! In: the flag's, the policy's and PATH's word. Out: the engine's path; then
//! this process is the engine.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// The engines looked for, in this order.
pub const KNOWN: [&str; 4] = ["runc", "crun", "youki", "packrank-engine"];

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

/// The engine to hand over to.
///
/// # Errors
/// When the one that was named, or any at all, is not there.
pub fn find(flag: Option<&Path>, policy: Option<&Path>) -> Result<PathBuf, EngineError> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    for (named, by) in [(flag, "--engine"), (policy, "the policy's [engine] path")] {
        if let Some(named) = named {
            let found = if named.components().count() == 1 {
                in_path(&path, &named.to_string_lossy())
            } else {
                runnable(named).ok()
            };
            return found.ok_or_else(|| EngineError::Named {
                path: named.to_owned(),
                by,
                source: match runnable(named) {
                    Err(source) => source,
                    Ok(_) => io::ErrorKind::NotFound.into(),
                },
            });
        }
    }
    KNOWN
        .into_iter()
        .find_map(locate)
        .ok_or(EngineError::NotFound { path })
}

/// Where the engine of this name is: in PATH, or, if it is our own, beside us.
#[must_use]
pub fn locate(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    in_path(&path, name).or_else(|| beside_us().filter(|own| own.ends_with(name)))
}

fn in_path(path: &str, name: &str) -> Option<PathBuf> {
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .find_map(|folder| runnable(&Path::new(folder).join(name)).ok())
}

/// Our own engine, where it was put beside us.
fn beside_us() -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    runnable(&own.with_file_name("packrank-engine")).ok()
}

/// The path, if it is a program and not ourselves: a runtime that calls itself
/// runs for ever.
fn runnable(path: &Path) -> io::Result<PathBuf> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::other("is no program"));
    }
    let own = std::fs::metadata("/proc/self/exe");
    if own.is_ok_and(|own| (own.dev(), own.ino()) == (meta.dev(), meta.ino())) {
        return Err(io::Error::other("is packrank-runtime itself"));
    }
    Ok(path.to_owned())
}

/// Becomes the engine. Comes back only with the reason why not.
#[must_use]
pub fn exec(engine: PathBuf, args: &[OsString]) -> EngineError {
    let source = std::process::Command::new(&engine).args(args).exec();
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
