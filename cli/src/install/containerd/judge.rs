//! Whether an edit does what it is for, and nothing else.
//!
//! In: a place for our block. Out: the edit, if containerd's own dump with it
//! shows our handlers and everything else as before; else why not.

use std::path::PathBuf;

use toml::{Table, Value};

use super::super::dump::{Dump, dump};
use super::super::edit::Edit;
use super::super::engine::is_our_name;
use super::super::node::Node;
use super::block::{strip, with_block};
use super::{Candidate, DROP_IN, resolved};

impl Candidate {
    /// The edit, if with it containerd reads our handlers and everything else
    /// as before; else why not.
    pub(super) fn judged(
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
pub(super) fn trial(
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
