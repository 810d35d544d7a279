//! The programs themselves, put where engines find them.
//!
//! In: the folder this program was started from. Out: the others beside it in
//! `/usr/local/bin`, with a link for each class; or nothing, where they stand
//! in a folder of the system's already, as a package puts them.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use packrank_core::Priority;

use super::InstallError;
use super::edit::{make_folders, remove_folders, replace};
use super::kept::{Kept, PROGRAMS};
use super::node::Node;

/// What is placed, of those that stand beside us. The last is replaced last:
/// it is the one that runs.
const NAMES: [&str; 6] = [
    "packrank-hook",
    "packrank-engine",
    "packrank-watcher",
    "packrank-runtime",
    "containerd-shim-packrank-v2",
    "packrank",
];

/// Without these there is nothing to register.
const NEEDED: [&str; 2] = ["packrank-runtime", "packrank-hook"];

/// Where programs that no package brought belong.
const USUAL: &str = "/usr/local/bin";

/// Programs to be placed.
#[derive(Debug)]
pub(super) struct Programs {
    /// The folder on the node.
    pub folder: String,
    /// Copies: from where, to which path on the node.
    copies: Vec<(PathBuf, String)>,
    /// Links: the path on the node, and what it points to.
    links: Vec<(String, String)>,
}

impl Programs {
    /// What is to be placed: only what is not there yet, or differs.
    ///
    /// # Errors
    /// When a program that is needed does not stand beside us.
    pub(super) fn plan(node: &Node, class_runtimes: bool) -> Result<Programs, InstallError> {
        let own = fs::read_link("/proc/self/exe").map_err(|e| InstallError::io("/proc/self", e))?;
        let beside = own.parent().unwrap_or(Path::new("/")).to_owned();
        for needed in NEEDED {
            if !beside.join(needed).is_file() {
                return Err(InstallError::NotBeside {
                    name: needed,
                    folder: beside,
                });
            }
        }
        let in_place = ["/usr/bin", USUAL]
            .into_iter()
            .find(|folder| fs::canonicalize(node.at(folder)).is_ok_and(|place| place == beside));
        let folder = in_place.unwrap_or(USUAL).to_owned();
        let mut copies = Vec::new();
        if in_place.is_none() {
            for name in NAMES {
                let (from, to) = (beside.join(name), format!("{folder}/{name}"));
                if from.is_file() && !same(&from, &node.at(&to)) {
                    copies.push((from, to));
                }
            }
        }
        let mut links = Vec::new();
        for class in Priority::ALL.into_iter().filter(|_| class_runtimes) {
            let path = format!("{folder}/{}", runtime(Some(class)));
            let target = runtime(None);
            let stands = fs::read_link(node.at(&path));
            if !stands.is_ok_and(|t| t == Path::new(&target)) {
                links.push((path, target));
            }
        }
        Ok(Programs {
            folder,
            copies,
            links,
        })
    }

    pub(super) fn changes(&self) -> bool {
        !self.copies.is_empty() || !self.links.is_empty()
    }

    /// One line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let copies = self.copies.iter().map(|(_, to)| format!("place {to}"));
        let links = self
            .links
            .iter()
            .map(|(path, to)| format!("link  {path} -> {to}"));
        copies.chain(links)
    }

    /// Places them, and keeps what was placed.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn place(&self, node: &Node) -> Result<(), InstallError> {
        if !self.changes() {
            return Ok(());
        }
        let mut kept = Kept::read(node, PROGRAMS)?.unwrap_or_default();
        let paths = self.copies.iter().map(|(_, to)| to);
        for path in paths.chain(self.links.iter().map(|(path, _)| path)) {
            // One that stood there before us is not ours to remove.
            if !kept.placed.contains(path) && !node.at(path).exists() {
                kept.placed.push(path.clone());
            }
        }
        let made = make_folders(node, &format!("{}/x", self.folder))?;
        kept.folders.extend(made);
        kept.write(node, PROGRAMS)?;
        for (from, to) in &self.copies {
            let bytes = fs::read(from).map_err(|e| InstallError::io(&from.to_string_lossy(), e))?;
            let place = node.at(to);
            replace(&place, &bytes, 0o755).map_err(|e| InstallError::io(to, e))?;
            let mode = fs::set_permissions(&place, fs::Permissions::from_mode(0o755));
            mode.map_err(|e| InstallError::io(to, e))?;
        }
        for (path, target) in &self.links {
            link(&node.at(path), target).map_err(|e| InstallError::io(path, e))?;
        }
        Ok(())
    }
}

/// Removes what was placed. Gives the paths that are gone.
///
/// # Errors
/// When one cannot be removed.
pub(super) fn remove(node: &Node) -> Result<Vec<String>, InstallError> {
    let Some(kept) = Kept::read(node, PROGRAMS)? else {
        return Ok(Vec::new());
    };
    for path in &kept.placed {
        match fs::remove_file(node.at(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(InstallError::io(path, e)),
            _ => {}
        }
    }
    Kept::forget(node, PROGRAMS)?;
    remove_folders(node, &kept.folders);
    Ok(kept.placed)
}

/// The name of the runtime that claims the class.
pub(super) fn runtime(class: Option<Priority>) -> String {
    match class {
        None => "packrank-runtime".to_owned(),
        Some(class) => format!("packrank-runtime-{class}"),
    }
}

fn same(from: &Path, to: &Path) -> bool {
    match (fs::read(from), fs::read(to)) {
        (Ok(from), Ok(to)) => from == to,
        _ => false,
    }
}

/// Makes the link, in place of one that points elsewhere; a file stays.
fn link(place: &Path, target: &str) -> io::Result<()> {
    if fs::symlink_metadata(place).is_ok_and(|meta| meta.is_symlink()) {
        fs::remove_file(place)?;
    }
    symlink(target, place)
}
