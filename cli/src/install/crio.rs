//! CRI-O: a drop-in with our handlers.
//!
//! In: nothing of others'. Out: `crio.conf.d/99-packrank.conf`, as `crio
//! config` takes it.
//!
//! CRI-O passes annotations on as they are: `allowed_annotations` knows only
//! its own, and with any other CRI-O does not start. So none is written.

use super::InstallError;
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish};
use super::node::Node;

const FOLDER: &str = "/etc/crio/crio.conf.d";
const DROP_IN: &str = "/etc/crio/crio.conf.d/99-packrank.conf";

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("crio").is_none() {
        return Err(InstallError::NoEngine("crio"));
    }
    let text = drop_in(wish);
    validate(node, &text)?;
    let edit = Edit {
        path: DROP_IN.to_owned(),
        before: node.read(DROP_IN)?,
        after: Some(text),
    };
    Ok(Draft {
        edits: vec![edit],
        notes: Vec::new(),
        takes: Engine::Crio.takes(),
    })
}

/// The handlers in our drop-in.
pub(super) fn registered(node: &Node) -> Result<Vec<Runtime>, InstallError> {
    let text = node.read(DROP_IN)?.unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).map_err(|e| InstallError::Broken {
        path: DROP_IN.to_owned(),
        problem: e.message().to_owned(),
    })?;
    let part = |value: &toml::Value, name: &str| value.get(name).cloned();
    let runtimes = table
        .get("crio")
        .and_then(|crio| part(&part(crio, "runtime")?, "runtimes"));
    let runtimes = runtimes
        .and_then(|r| r.as_table().cloned())
        .unwrap_or_default();
    let found = runtimes.into_iter().filter_map(|(name, entry)| {
        let program = entry.get("runtime_path")?.as_str()?.to_owned();
        Some(Runtime { name, program })
    });
    Ok(found.collect())
}

fn drop_in(wish: &Wish) -> String {
    let mut text = "# Written by packrank install; packrank uninstall removes it.\n".to_owned();
    for runtime in &wish.runtimes {
        text.push_str(&format!(
            "\n[crio.runtime.runtimes.{}]\nruntime_path = \"{}\"\nruntime_type = \"oci\"\n",
            runtime.name, runtime.program
        ));
    }
    text
}

/// Asks crio, with the drop-ins that are there and ours.
fn validate(node: &Node, text: &str) -> Result<(), InstallError> {
    let wrong = |e| InstallError::io("a temporary folder", e);
    let folder = tempfile::tempdir().map_err(wrong)?;
    if let Ok(entries) = std::fs::read_dir(node.at(FOLDER)) {
        for entry in entries.flatten().filter(|e| e.path().is_file()) {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).map_err(wrong)?;
        }
    }
    std::fs::write(folder.path().join("99-packrank.conf"), text).map_err(wrong)?;
    let asked = node.ask("crio", |c| {
        c.arg("--config-dir").arg(folder.path()).arg("config")
    })?;
    match asked {
        Some(answer) if !answer.ok || !answer.said.contains("[crio.runtime.runtimes.packrank]") => {
            Err(InstallError::Refused {
                engine: "crio",
                said: answer.last_line().to_owned(),
            })
        }
        _ => Ok(()),
    }
}
