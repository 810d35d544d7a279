//! One file's edit: shown, put in place, taken back.
//!
//! In: a path, what it holds and what it shall hold. Out: a diff; or the file
//! replaced by rename, with the old one's owner and mode.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use similar::TextDiff;

use super::InstallError;
use super::node::Node;

/// A new configuration file's mode: engines and their users read it.
const MODE: u32 = 0o644;

/// What a file holds and shall hold; `None` where there is or shall be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Edit {
    pub(super) fn changes(&self) -> bool {
        self.before != self.after
    }

    /// A unified diff, with /dev/null for a file that is not there.
    pub(super) fn diff(&self) -> String {
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        let name = |side: &str, text: Option<&str>| match text {
            Some(_) => format!("{side}{}", self.path),
            None => "/dev/null".to_owned(),
        };
        TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default())
            .unified_diff()
            .context_radius(2)
            .header(&name("a", before), &name("b", after))
            .to_string()
    }

    /// Puts the file in place, or takes it away. Gives the folders that were
    /// made for it, outermost first.
    ///
    /// # Errors
    /// When the file is no longer what the diff was made from, or cannot be
    /// written.
    pub(super) fn apply(&self, node: &Node) -> Result<Vec<String>, InstallError> {
        if node.read(&self.path)? != self.before {
            return Err(InstallError::Moved {
                path: self.path.clone(),
            });
        }
        let wrong = |e| InstallError::io(&self.path, e);
        let place = node.at(&self.path);
        let Some(text) = &self.after else {
            fs::remove_file(&place).map_err(wrong)?;
            return Ok(Vec::new());
        };
        let made = make_folders(node, &self.path)?;
        replace(&place, text.as_bytes(), MODE).map_err(wrong)?;
        Ok(made)
    }

    /// The edit that undoes this one.
    pub(super) fn undone(&self) -> Edit {
        Edit {
            path: self.path.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
        }
    }
}

/// Makes the folders above the node's `path`; gives those that were not there.
///
/// # Errors
/// When one cannot be made.
pub(super) fn make_folders(node: &Node, path: &str) -> Result<Vec<String>, InstallError> {
    let above = Path::new(path).ancestors().skip(1);
    let missing: Vec<String> = above
        .map(|folder| folder.display().to_string())
        .take_while(|folder| !node.at(folder).exists())
        .collect();
    let missing: Vec<String> = missing.into_iter().rev().collect();
    for folder in &missing {
        fs::create_dir(node.at(folder)).map_err(|e| InstallError::io(folder, e))?;
        let set = fs::set_permissions(node.at(folder), Permissions::from_mode(0o755));
        set.map_err(|e| InstallError::io(folder, e))?;
    }
    Ok(missing)
}

/// Takes away those of the folders that are empty, innermost first.
pub(super) fn remove_folders(node: &Node, folders: &[String]) {
    for folder in folders.iter().rev() {
        // One that others use by now stays.
        let _ = fs::remove_dir(node.at(folder));
    }
}

/// Replaces the file by rename, keeping owner and mode of the one that stands
/// there; a new one gets `mode`.
///
/// # Errors
/// When the new file cannot be written beside it.
pub(super) fn replace(place: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    // The end of the name keeps it out of every `*.toml`, `*.conf`, `*.json`.
    let new = place.with_file_name(format!(".{name}.packrank-new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = fs::symlink_metadata(place).ok().filter(|m| m.is_file());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = (|| {
        file.write_all(bytes)?;
        if let Some(old) = &old {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        let mode = old.map_or(mode, |old| old.mode() & 0o7777);
        file.set_permissions(Permissions::from_mode(mode))?;
        // Engines read it at boot: it must be whole after a power cut.
        file.sync_all()?;
        fs::rename(&new, place)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
