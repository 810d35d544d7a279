//! The node that is installed on: its files and its programs.
//!
//! In: paths as they are on the node. Out: what stands there, from under the
//! root that was given. Links are not followed in place of a file we edit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::InstallError;
use crate::program::{Answer, ask};

/// Where a node's programs are.
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// `dockerd --validate` takes 0.3 s; on a busy node many times as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node's root folder: `/`, or another one in tests.
#[derive(Debug, Clone)]
pub(super) struct Node {
    root: PathBuf,
}

impl Node {
    pub(super) fn new(root: &Path) -> Node {
        Node {
            root: root.to_owned(),
        }
    }

    /// Whether it is the node we run on: only there services are restarted.
    pub(super) fn is_own(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where the node's `path` is for us.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The file's text; `None` when it is absent.
    ///
    /// # Errors
    /// When it is a link or no file, is no text, or cannot be read.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, InstallError> {
        let place = self.at(path);
        let broken = |problem: &str| InstallError::Broken {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(InstallError::io(path, error)),
            Ok(meta) if meta.is_symlink() => {
                return Err(broken("it is a link: edit what it points to by hand"));
            }
            Ok(meta) if !meta.is_file() => return Err(broken("it is no file")),
            Ok(_) => {}
        }
        let bytes = fs::read(&place).map_err(|e| InstallError::io(path, e))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| broken("it is not UTF-8"))
    }

    /// The files that a pattern with one star in its last part matches,
    /// sorted.
    pub(super) fn matching(&self, pattern: &str) -> Vec<String> {
        let Some((folder, last)) = pattern.rsplit_once('/') else {
            return Vec::new();
        };
        let Some((start, end)) = last.split_once('*') else {
            return vec![pattern.to_owned()];
        };
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten();
        let names = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok());
        let mut files: Vec<String> = names
            .filter(|name| name.starts_with(start) && name.ends_with(end))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        files.sort();
        files
    }

    /// The program of this name, where the node has it.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let mut places = FOLDERS.iter().map(|folder| self.at(folder).join(name));
        places.find(|place| place.is_file())
    }

    /// What the program says; `None` when the node has none of this name.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    pub(super) fn ask(
        &self,
        name: &str,
        set: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Option<Answer>, InstallError> {
        let Some(program) = self.program(name) else {
            return Ok(None);
        };
        let mut command = Command::new(&program);
        // Programs that start others of their package look for them in PATH.
        let path: Vec<PathBuf> = FOLDERS.iter().map(|folder| self.at(folder)).collect();
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        let answer = ask(set(&mut command), PATIENCE);
        let answer = answer.map_err(|e| InstallError::io(&program.display().to_string(), e))?;
        Ok(Some(answer))
    }
}
