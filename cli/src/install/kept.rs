//! What an installation remembers, so that it can be undone without a trace.
//!
//! In: the edits made and the files placed. Out: one JSON file for each
//! engine and one for the programs, in `/var/lib/packrank/install`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::edit::{make_folders, remove_folders, replace};
use super::node::Node;
use super::{Engine, InstallError};

const FOLDER: &str = "/var/lib/packrank/install";

/// One file: what it held when we came, and what we left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptEdit {
    /// `None`: there was none.
    pub before: Option<String>,
    pub after: String,
}

/// What was done for one engine, or for the programs.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Of this file's form: 1.
    version: u32,
    /// By path on the node.
    #[serde(default)]
    pub edits: BTreeMap<String, KeptEdit>,
    /// Programs and links, by path on the node.
    #[serde(default)]
    pub placed: Vec<String>,
    /// Folders that were made, outermost first.
    #[serde(default)]
    pub folders: Vec<String>,
}

/// The programs' own.
pub(super) const PROGRAMS: &str = "programs";

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}.json")
}

impl Kept {
    /// What was kept under this name; empty when nothing was.
    ///
    /// # Errors
    /// When the file cannot be read, or is a newer packrank's.
    pub(super) fn read(node: &Node, name: &str) -> Result<Option<Kept>, InstallError> {
        let path = path(name);
        let Some(text) = node.read(&path)? else {
            return Ok(None);
        };
        let kept: Result<Kept, _> = serde_json::from_str(&text);
        match kept {
            Ok(kept) if kept.version == 1 => Ok(Some(kept)),
            Ok(kept) => Err(InstallError::Broken {
                path,
                problem: format!("its version is {}, not 1", kept.version),
            }),
            Err(error) => Err(InstallError::Broken {
                path,
                problem: error.to_string(),
            }),
        }
    }

    /// Writes it down: before the first change, so that any of them can be
    /// taken back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, node: &Node, name: &str) -> Result<(), InstallError> {
        let path = path(name);
        self.version = 1;
        let made = make_folders(node, &path)?;
        self.folders.splice(0..0, made);
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|e| InstallError::io(&path, e.into()))?;
        replace(&node.at(&path), &text, 0o600).map_err(|e| InstallError::io(&path, e))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(super) fn forget(node: &Node, name: &str) -> Result<(), InstallError> {
        let path = path(name);
        match fs::remove_file(node.at(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(InstallError::io(&path, error))
            }
            _ => {
                remove_folders(node, &["/var/lib/packrank".to_owned(), FOLDER.to_owned()]);
                Ok(())
            }
        }
    }
}

/// The engines that packrank was installed for.
///
/// # Errors
/// When what was kept cannot be read.
pub(super) fn installed(node: &Node) -> Result<Vec<Engine>, InstallError> {
    let mut found = Vec::new();
    for engine in Engine::ALL {
        if Kept::read(node, engine.name())?.is_some() {
            found.push(engine);
        }
    }
    Ok(found)
}
