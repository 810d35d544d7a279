//! containerd: a handler of the CRI, beside the others.
//!
//! In: config.toml with what it imports, as this containerd reads them. Out: a
//! block of ours behind what is there, or a drop-in, whichever changes nothing
//! but our handlers: containerd's own dump before and after says which. In
//! containerd 1.x a handler in the file takes the place of the built-in ones,
//! and an imported section that of the whole one.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::InstallError;
use super::dump::{Dump, dump, pruned};
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish, is_our_name};
use super::node::{Node, option};

const USUAL: &str = "/etc/containerd/config.toml";
const DROP_IN: &str = "99-packrank.toml";
const BEGIN: &str =
    "# packrank: begin (written by packrank install; packrank uninstall removes it)\n";
const END: &str = "# packrank: end\n";

/// What containerd drops of a pod's annotations unless it is told not to.
const ANNOTATIONS: [&str; 2] = ["packrank.io/*", "*.packrank.io/*"];

/// The shim that starts a program that speaks runc's command line.
const RUNC_SHIM: &str = "io.containerd.runc.v2";

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("containerd").is_none() {
        return Err(InstallError::NoEngine("containerd"));
    }
    let path = config_file(node);
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
    let path = config_file(node);
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
fn config_file(node: &Node) -> String {
    let own = node.is_own();
    let line = own.then(|| node.command_line("containerd")).flatten();
    let line = line.unwrap_or_default();
    option(&line, &["--config", "-c"])
        .unwrap_or(USUAL)
        .to_owned()
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

impl Candidate {
    /// The edit, if with it containerd reads our handlers and everything else
    /// as before; else why not.
    fn judged(
        self,
        node: &Node,
        root: &str,
        root_text: Option<&str>,
        before: &Dump,
        wanted: &Table,
    ) -> Result<Edit, String> {
        let own = match self.before.as_deref() {
            Some(text) if !self.path.ends_with(DROP_IN) => strip(text),
            _ => String::new(),
        };
        let mut entries = wanted.clone();
        for _ in 0..2 {
            let after = with_block(&own, self.version, &entries);
            let read = trial(node, root, root_text, &self.path, &after)?;
            let lost = lost(before, &read);
            if lost.is_empty() {
                return self.settled(after, before, &read, wanted);
            }
            // Written out where they are containerd's own; a copy of somebody
            // else's would outlive his changes.
            let built_in = dump(node, None).map_err(|wrong| match wrong {
                Ok(said) => said,
                Err(error) => error.to_string(),
            })?;
            let built_in = built_in.runtimes();
            if !lost
                .iter()
                .all(|(name, entry)| built_in.get(name) == Some(entry))
            {
                break;
            }
            entries.extend(lost);
        }
        Err(format!("{}: handlers of others would be lost", self.path))
    }

    fn settled(
        self,
        after: String,
        before: &Dump,
        read: &Dump,
        wanted: &Table,
    ) -> Result<Edit, String> {
        let is = read.runtimes();
        let missing = wanted
            .iter()
            .find(|(name, entry)| is.get(*name) != Some(entry));
        if let Some((name, _)) = missing {
            return Err(format!(
                "{}: the handler {name} would not be read as it is written",
                self.path
            ));
        }
        if read.others() != before.others() {
            return Err(format!(
                "{}: more than our handlers would change",
                self.path
            ));
        }
        if let Some(problem) = read.unfit() {
            return Err(format!("{}: {problem}", self.path));
        }
        Ok(Edit {
            path: self.path,
            before: self.before,
            after: Some(after),
        })
    }
}

/// The handlers of others that are no longer there.
fn lost(before: &Dump, after: &Dump) -> Table {
    let left = after.runtimes();
    let all = before.runtimes().into_iter();
    all.filter(|(name, _)| !left.contains_key(name) && !is_our_name(name))
        .collect()
}

/// What containerd would read if `path` held `text`. Tried beside the root, so
/// that relative imports mean the same, under a name that no pattern matches.
fn trial(
    node: &Node,
    root: &str,
    root_text: Option<&str>,
    path: &str,
    text: &str,
) -> Result<Dump, String> {
    let place = node.at(root);
    let temporary = tempfile::tempdir().map_err(|e| e.to_string())?;
    let above = place.parent().filter(|folder| folder.is_dir());
    let above = above.unwrap_or(temporary.path());
    let file = |name: &str, text: &str| -> Result<tempfile::TempPath, String> {
        let mut builder = tempfile::Builder::new();
        let file = builder
            .prefix(name)
            .suffix(".packrank-trial")
            .tempfile_in(above);
        let file = file.map_err(|e| e.to_string())?;
        std::fs::write(file.path(), text).map_err(|e| e.to_string())?;
        Ok(file.into_temp_path())
    };
    let (tried, _imported);
    if path == root {
        tried = file(".root", text)?;
    } else {
        let imported = file(".import", text)?;
        let files = resolved(node, root, root_text.unwrap_or_default());
        let files = files.into_iter().flat_map(|(_, files)| files);
        let mut files: Vec<PathBuf> = files.filter(|f| f != path).map(|f| node.at(&f)).collect();
        files.push(imported.to_path_buf());
        let list: Vec<Value> = files
            .iter()
            .map(|f| f.display().to_string().into())
            .collect();
        tried = file(".root", &with_imports(root_text.unwrap_or_default(), list))?;
        _imported = imported;
    }
    dump(node, Some(&tried)).map_err(|wrong| match wrong {
        Ok(said) => said.replace(&tried.display().to_string(), path),
        Err(error) => error.to_string(),
    })
}

/// The text with other imports. Only for a trial: its form is lost.
fn with_imports(text: &str, imports: Vec<Value>) -> String {
    let mut table: Table = toml::from_str(text).unwrap_or_default();
    table.insert("imports".to_owned(), Value::Array(imports));
    table.to_string()
}

/// The text with our block behind it; a new file says its form first.
fn with_block(text: &str, version: i64, entries: &Table) -> String {
    let mut out = text.to_owned();
    if text.trim().is_empty() {
        out = format!("version = {version}\n\n");
    } else if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(BEGIN);
    let plugin = match version {
        ..=1 => "cri",
        2 => "io.containerd.grpc.v1.cri",
        3.. => "io.containerd.cri.v1.runtime",
    };
    for (name, entry) in entries {
        let Value::Table(entry) = entry else { continue };
        let entry = pruned(entry);
        let at = format!("plugins.{plugin:?}.containerd.runtimes.{}", key(name));
        section(&mut out, &at, &entry);
    }
    out.push_str(END);
    out
}

/// A table under its header, and those inside it under theirs.
fn section(out: &mut String, at: &str, table: &Table) {
    out.push_str(&format!("[{at}]\n"));
    for (name, value) in table.iter().filter(|(_, v)| !v.is_table()) {
        out.push_str(&format!("  {} = {value}\n", key(name)));
    }
    for (name, value) in table {
        if let Value::Table(inner) = value {
            section(out, &format!("{at}.{}", key(name)), inner);
        }
    }
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}

/// The text without our block.
fn strip(text: &str) -> String {
    let Some((head, rest)) = text.split_once(BEGIN) else {
        return text.to_owned();
    };
    let tail = rest.split_once(END).map_or("", |(_, tail)| tail);
    format!("{head}{tail}")
}

/// The text without our block; no file, where there was nothing else.
pub(super) fn without(path: &str, text: &str) -> Result<Option<String>, InstallError> {
    if text.contains(BEGIN) && !text.contains(END) {
        return Err(broken(path, "the end of packrank's block is missing"));
    }
    let rest = strip(text);
    let table: Option<Table> = toml::from_str(&rest).ok();
    let only_ours =
        path.ends_with(DROP_IN) && table.is_some_and(|t| t.keys().all(|k| k == "version"));
    Ok((!only_ours).then_some(rest))
}

/// Whether containerd takes what would be there.
pub(super) fn check(node: &Node, edits: &[Edit]) -> Result<(), InstallError> {
    let root = config_file(node);
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
