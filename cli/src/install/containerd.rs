//! containerd: a handler of the CRI, beside the others.
//!
//! In: config.toml with what it imports, as this containerd reads them. Out: a
//! block of ours behind what is there, or a drop-in, whichever changes nothing
//! but our handlers: containerd's own dump before and after says which. In
//! containerd 1.x a handler in the file takes the place of the built-in ones,
//! and an imported section that of the whole one.

mod block;
mod judge;

use std::path::Path;

use toml::{Table, Value};

use super::InstallError;
use super::dump::{Dump, dump};
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish, is_our_name};
use super::node::Node;
use super::service;
pub(super) use block::without;
use judge::trial;

const USUAL: &str = "/etc/containerd/config.toml";
const DROP_IN: &str = "99-packrank.toml";
/// What containerd drops of a pod's annotations unless it is told not to.
const ANNOTATIONS: [&str; 2] = ["packrank.io/*", "*.packrank.io/*"];

/// The shim that starts a program that speaks runc's command line.
const RUNC_SHIM: &str = "io.containerd.runc.v2";

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("containerd").is_none() {
        return Err(InstallError::NoEngine("containerd"));
    }
    let path = config_file(node)?;
    let text = node.read(&path)?;
    let before = read(node, &path, text.as_deref())?;
    if !before.has_cri() {
        return Ok(done(vec![], vec![
            "containerd's CRI is switched off, so there is no handler to register; ctr and nerdctl need none: they are given packrank-runtime by its path".to_owned(),
        ]));
    }
    if let Some(problem) = before.unfit() {
        return Err(broken(&path, &problem));
    }
    let (wanted, notes) = handlers(&before, wish);
    let is = before.runtimes();
    if wanted
        .iter()
        .all(|(name, entry)| is.get(name) == Some(entry))
    {
        return Ok(done(vec![], notes));
    }
    let mut refused = None;
    for candidate in candidates(node, &path, text.as_deref(), &before)? {
        match candidate.judged(node, &path, text.as_deref(), &before, &wanted) {
            Ok(edit) => return Ok(done(vec![edit], notes)),
            Err(said) => refused = refused.or(Some(said)),
        }
    }
    Err(InstallError::Refused {
        engine: "containerd",
        said: refused.unwrap_or_else(|| "there is no place for it".to_owned()),
    })
}

/// Our handlers, as containerd reads its configuration.
pub(super) fn registered(node: &Node) -> Result<Vec<Runtime>, InstallError> {
    let path = config_file(node)?;
    let text = node.read(&path)?;
    let is = read(node, &path, text.as_deref())?;
    if let Some(problem) = is.unfit().filter(|_| is.has_cri()) {
        return Err(broken(&path, &problem));
    }
    let ours = is.runtimes().into_iter();
    let ours = ours.filter(|(name, _)| is_our_name(name));
    let found = ours.filter_map(|(name, entry)| {
        let program = entry
            .get("options")?
            .get("BinaryName")?
            .as_str()?
            .to_owned();
        Some(Runtime { name, program })
    });
    Ok(found.collect())
}

fn done(edits: Vec<Edit>, notes: Vec<String>) -> Draft {
    let takes = Engine::Containerd.takes();
    Draft {
        edits,
        notes,
        takes,
    }
}

/// Where containerd reads: as its service is started, else the usual place.
fn config_file(node: &Node) -> Result<String, InstallError> {
    let lines = service::command_lines(node, "containerd");
    service::named(&lines, &["--config", "-c"], USUAL)
}

fn broken(path: &str, problem: &str) -> InstallError {
    InstallError::Broken {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

/// The configuration as it stands.
fn read(node: &Node, path: &str, text: Option<&str>) -> Result<Dump, InstallError> {
    let place = text.map(|_| node.at(path));
    dump(node, place.as_deref()).map_err(|wrong| match wrong {
        Ok(said) => broken(path, &said),
        Err(error) => error,
    })
}

/// Our handlers: each is the node's default one, with our program in it, and
/// the annotations let through.
fn handlers(before: &Dump, wish: &Wish) -> (Table, Vec<String>) {
    let runtimes = before.runtimes();
    let is_runc =
        |entry: &&Value| entry.get("runtime_type").and_then(Value::as_str) == Some(RUNC_SHIM);
    let default = runtimes.get(&before.default_runtime()).filter(is_runc);
    let others = || {
        runtimes
            .iter()
            .find(|(name, entry)| !is_our_name(name) && is_runc(entry))
    };
    let like = default.or_else(|| others().map(|(_, entry)| entry));
    let mut base = like.and_then(Value::as_table).cloned().unwrap_or_default();
    base.insert("runtime_type".to_owned(), RUNC_SHIM.into());
    // It would stand in for the shim.
    base.remove("runtime_path");
    for key in ["pod_annotations", "container_annotations"] {
        let list = base.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            for glob in ANNOTATIONS {
                if !list.iter().any(|known| known.as_str() == Some(glob)) {
                    list.push(glob.into());
                }
            }
        }
    }
    let mut notes = Vec::new();
    let binary = base.get("options").and_then(|o| o.get("BinaryName"));
    if let Some(binary) = binary.and_then(Value::as_str).filter(|b| *b != "runc") {
        notes.push(format!(
            "the handler this one is made after runs {binary}; packrank-runtime hands over to the first of runc, crun and youki, or to what [engine] path in /etc/packrank/policy.toml names"
        ));
    }
    let entries = wish.runtimes.iter().map(|runtime| {
        let mut entry = base.clone();
        let options = entry
            .entry("options")
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(options) = options {
            options.insert("BinaryName".to_owned(), runtime.program.as_str().into());
        }
        (runtime.name.clone(), Value::Table(entry))
    });
    (entries.collect(), notes)
}

/// A file that our block could stand in.
#[derive(Debug)]
struct Candidate {
    path: String,
    before: Option<String>,
    /// The form that its text is in.
    version: i64,
}

/// Where our block could stand, best first: a drop-in of our own, where this
/// containerd merges them; the root; the imported files.
fn candidates(
    node: &Node,
    root: &str,
    text: Option<&str>,
    before: &Dump,
) -> Result<Vec<Candidate>, InstallError> {
    // 2.x is the first whose own form is 3, and the first that merges.
    let merges = before.version() >= 3;
    let version = match text {
        None => before.version(),
        Some(text) => version_of(text),
    };
    let imports = resolved(node, root, text.unwrap_or_default());
    let mut found = Vec::new();
    let folder = imports
        .iter()
        .find_map(|(pattern, _)| pattern.strip_suffix("/*.toml"));
    if let (true, Some(folder)) = (merges, folder) {
        let path = format!("{folder}/{DROP_IN}");
        // Where the forms are mixed, 2.1 takes them all for the highest.
        let mut versions = vec![version];
        for file in imports.iter().flat_map(|(_, files)| files) {
            versions.extend(node.read(file)?.as_deref().map(version_of));
        }
        versions.sort_unstable();
        versions.dedup();
        for version in versions {
            found.push(Candidate {
                before: node.read(&path)?,
                path: path.clone(),
                version,
            });
        }
    }
    found.push(Candidate {
        path: root.to_owned(),
        before: text.map(str::to_owned),
        version,
    });
    for path in imports.into_iter().flat_map(|(_, files)| files).rev() {
        let before = node.read(&path)?;
        let version = before.as_deref().map_or(version, version_of);
        if !path.ends_with(DROP_IN) {
            found.push(Candidate {
                path,
                before,
                version,
            });
        }
    }
    Ok(found)
}

fn version_of(text: &str) -> i64 {
    let table: Option<Table> = toml::from_str(text).ok();
    let version = table.and_then(|t| t.get("version")?.as_integer());
    version.unwrap_or(1)
}

/// The root's imports: each pattern as an absolute one, with the files that
/// match it, all as they are on the node.
fn resolved(node: &Node, root: &str, text: &str) -> Vec<(String, Vec<String>)> {
    let table: Table = toml::from_str(text).unwrap_or_default();
    let list = table.get("imports").and_then(Value::as_array);
    let patterns = list.into_iter().flatten().filter_map(Value::as_str);
    let above = Path::new(root).parent().unwrap_or(Path::new("/"));
    patterns
        .map(|pattern| {
            let pattern = above.join(pattern).display().to_string();
            let files = node.matching(&pattern);
            (pattern, files)
        })
        .collect()
}

/// Whether containerd takes what would be there.
pub(super) fn check(node: &Node, edits: &[Edit]) -> Result<(), InstallError> {
    let root = config_file(node)?;
    for edit in edits {
        let (Some(text), true) = (&edit.after, edit.path == root) else {
            continue;
        };
        let read = trial(node, &root, None, &root, text);
        let unfit = |read: Dump| match read.unfit().filter(|_| read.has_cri()) {
            Some(problem) => Err(problem),
            None => Ok(()),
        };
        read.and_then(unfit).map_err(|said| InstallError::Refused {
            engine: "containerd",
            said,
        })?;
    }
    Ok(())
}
