//! CRI-O: a drop-in with our handlers.
//!
//! In: nothing of others'. Out: `99-packrank.conf` in the folder of drop-ins
//! that CRI-O's service is started with, as `crio config` takes it.
//!
//! CRI-O passes annotations on as they are: `allowed_annotations` knows only
//! its own, and a handler with any other is left out. So none is written.
//!
//! What `crio config` judges is the form of the files. Of a handler it says
//! nothing; one that CRI-O does not take is left out when it starts, with a
//! line in its log, so it is asked again then.
//!
//! A handler whose conmon is not found keeps all of CRI-O from starting, and
//! packages put conmon where no PATH leads (seen with 1.36). So ours is that of
//! the handler that is there already.

use std::path::Path;

use packrank_shim::engine::{KNOWN, OURS};

use super::InstallError;
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish, is_our_name};
use super::node::Node;
use super::service;

const USUAL: &str = "/etc/crio/crio.conf";
const FOLDER: &str = "/etc/crio/crio.conf.d";
const DROP_IN: &str = "99-packrank.conf";

/// Where CRI-O reads: its file, and the folder of drop-ins.
struct Places {
    file: String,
    folder: String,
}

impl Places {
    fn of(node: &Node) -> Result<Places, InstallError> {
        let lines = service::command_lines(node, "crio");
        let folder = service::named(&lines, &["--config-dir", "-d"], FOLDER)?;
        if folder.is_empty() {
            return Err(InstallError::Broken {
                path: FOLDER.to_owned(),
                problem: "crio's service is started without drop-ins (--config-dir)".to_owned(),
            });
        }
        Ok(Places {
            file: service::named(&lines, &["--config", "-c"], USUAL)?,
            folder: folder.trim_end_matches('/').to_owned(),
        })
    }

    fn drop_in(&self) -> String {
        format!("{}/{DROP_IN}", self.folder)
    }
}

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("crio").is_none() {
        return Err(InstallError::NoEngine("crio"));
    }
    let places = Places::of(node)?;
    let is = configuration(node, &places, None)?;
    let theirs = theirs(&is);
    let text = drop_in(wish, monitor(node, &theirs)?.as_deref());
    validate(node, &places, wish, &text)?;
    let path = places.drop_in();
    let edit = Edit {
        before: node.read(&path)?,
        path,
        after: Some(text),
    };
    Ok(Draft {
        edits: vec![edit],
        notes: engine_note(node, &theirs).into_iter().collect(),
        takes: Engine::Crio.takes(),
    })
}

/// Whether CRI-O starts without our handlers.
pub(super) fn check(node: &Node) -> Result<(), InstallError> {
    let runtime = runtime(&configuration(node, &Places::of(node)?, None)?);
    default_of(&runtime).filter(|name| is_our_name(name)).map_or(Ok(()), |name| {
        Err(InstallError::Refused {
            engine: "crio",
            said: format!(
                "default_runtime is {name}, without which it would not start: choose another first"
            ),
        })
    })
}

/// The handlers in our drop-in.
pub(super) fn registered(node: &Node) -> Result<Vec<Runtime>, InstallError> {
    let path = Places::of(node)?.drop_in();
    let text = node.read(&path)?.unwrap_or_default();
    let read: Result<toml::Table, _> = toml::from_str(&text);
    read.map_err(|e| InstallError::Broken {
        path,
        problem: e.message().to_owned(),
    })?;
    Ok(handlers(&text))
}

/// The handlers that a configuration has; a comment has none.
pub(super) fn handlers(text: &str) -> Vec<Runtime> {
    let runtime = runtime(text);
    let found = entries(&runtime).filter_map(|(name, entry)| {
        let program = entry.get("runtime_path")?.as_str()?.to_owned();
        let name = name.clone();
        Some(Runtime { name, program })
    });
    found.collect()
}

/// The table `crio.runtime` of a configuration; empty where there is none.
fn runtime(text: &str) -> toml::Table {
    let read = || {
        let table: toml::Table = toml::from_str(text).ok()?;
        Some(table.get("crio")?.get("runtime")?.as_table()?.clone())
    };
    read().unwrap_or_default()
}

/// The handlers of that table, by name.
fn entries(runtime: &toml::Table) -> impl Iterator<Item = (&String, &toml::Value)> {
    let all = runtime.get("runtimes").and_then(toml::Value::as_table);
    all.into_iter().flatten()
}

/// Its default; a default that is CRI-O's own, `crio config` leaves out.
fn default_of(runtime: &toml::Table) -> Option<&str> {
    runtime.get("default_runtime")?.as_str()
}

/// The handlers that are not ours, the default one first.
fn theirs(configuration: &str) -> Vec<toml::Value> {
    let runtime = runtime(configuration);
    let default = default_of(&runtime);
    let others = entries(&runtime).filter(|(name, _)| !is_our_name(name));
    let mut theirs: Vec<_> = others.collect();
    theirs.sort_by_key(|(name, _)| Some(name.as_str()) != default);
    theirs.into_iter().map(|(_, entry)| entry.clone()).collect()
}

/// What a person should know of the engine behind ours, which is looked for in
/// PATH: packages put CRI-O's where none leads, and name it by its path.
fn engine_note(node: &Node, theirs: &[toml::Value]) -> Option<String> {
    let mut others = KNOWN.iter().filter(|name| **name != OURS);
    let found = others.any(|name| node.program(name).is_some());
    let path = theirs.first()?.get("runtime_path")?.as_str()?;
    (!found && path.starts_with('/')).then(|| {
        format!(
            "crio's own engine is in no PATH, so {OURS} runs its containers; [engine] path = \"{path}\" in /etc/packrank/policy.toml takes its own"
        )
    })
}

/// The conmon to name: that of the default handler, else of any that is
/// there; `None` where CRI-O finds one in its PATH. A handler of CRI-O's own
/// kind (`pod`) has conmonrs, beside which conmon lies.
fn monitor(node: &Node, theirs: &[toml::Value]) -> Result<Option<String>, InstallError> {
    let mut named = theirs.iter().filter_map(|handler| {
        let path = Path::new(handler.get("monitor_path")?.as_str()?);
        Some(path.with_file_name("conmon").to_string_lossy().into_owned())
    });
    match named.find(|path| path.starts_with('/') && node.at(path).is_file()) {
        Some(path) => Ok(Some(path)),
        None if node.program("conmon").is_some() => Ok(None),
        None => Err(InstallError::Refused {
            engine: "crio",
            said: "no conmon was found for our handlers, and without one it would not start"
                .to_owned(),
        }),
    }
}

fn drop_in(wish: &Wish, monitor: Option<&str>) -> String {
    let mut text = "# Written by packrank install; packrank uninstall removes it.\n".to_owned();
    for runtime in &wish.runtimes {
        text.push_str(&format!(
            "\n[crio.runtime.runtimes.{}]\nruntime_path = \"{}\"\nruntime_type = \"oci\"\n",
            runtime.name, runtime.program
        ));
        if let Some(path) = monitor {
            text.push_str(&format!("monitor_path = \"{path}\"\n"));
        }
    }
    text
}

/// What crio makes of the file and the drop-ins that are there, with ours or
/// without; nothing where it cannot be asked.
fn configuration(node: &Node, places: &Places, ours: Option<&str>) -> Result<String, InstallError> {
    let wrong = |e| InstallError::io("a temporary folder", e);
    let folder = tempfile::tempdir().map_err(wrong)?;
    if let Ok(entries) = std::fs::read_dir(node.at(&places.folder)) {
        let others = entries.flatten().filter(|e| e.file_name() != DROP_IN);
        for entry in others.filter(|e| e.path().is_file()) {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).map_err(wrong)?;
        }
    }
    if let Some(text) = ours {
        std::fs::write(folder.path().join(DROP_IN), text).map_err(wrong)?;
    }
    let file = node.at(&places.file);
    let asked = node.ask("crio", |c| {
        if file.exists() {
            c.arg("--config").arg(&file);
        }
        c.arg("--config-dir").arg(folder.path()).arg("config")
    })?;
    match asked {
        Some(answer) if !answer.ok => Err(InstallError::Refused {
            engine: "crio",
            said: answer.last_line().to_owned(),
        }),
        Some(answer) => Ok(answer.said),
        None => Ok(String::new()),
    }
}

/// Whether crio sees the handlers of our drop-in.
fn validate(node: &Node, places: &Places, wish: &Wish, text: &str) -> Result<(), InstallError> {
    let is = handlers(&configuration(node, places, Some(text))?);
    let lost = wish.runtimes.iter().find(|wanted| !is.contains(wanted));
    lost.map_or(Ok(()), |lost| {
        Err(InstallError::Refused {
            engine: "crio",
            said: format!("it does not see handler {}", lost.name),
        })
    })
}
