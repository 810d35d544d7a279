//! Podman: hooks for every annotated container, and runtimes by name.
//!
//! In: nothing of others': all files are our own. Out: three hooks and a
//! drop-in of containers.conf, as podman takes them.

use super::InstallError;
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish, is_our_name};
use super::node::Node;
use crate::program::is_below;

/// Where podman looks for hooks unless it is told to look elsewhere; in /etc
/// it does not look by itself.
const HOOKS: &str = "/usr/share/containers/oci/hooks.d";
const DROP_IN: &str = "/etc/containers/containers.conf.d/50-packrank.conf";

/// Podman ranks in `precreate`, before any engine sees the spec; the others
/// shape and clean up.
const STAGES: [&str; 3] = ["precreate", "createRuntime", "poststop"];

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("podman").is_none() {
        return Err(InstallError::NoEngine("podman"));
    }
    let folder = hooks_folder(node)?;
    let mut edits = Vec::new();
    for stage in STAGES {
        edits.push(whole(
            node,
            &format!("{folder}/packrank-{stage}.json"),
            hook(&wish.folder, stage),
        )?);
    }
    let text = drop_in(wish);
    validate(node, None).map_err(|said| InstallError::Broken {
        path: "podman's configuration".to_owned(),
        problem: said,
    })?;
    validate(node, Some(&text)).map_err(|said| InstallError::Refused {
        engine: "podman",
        said,
    })?;
    edits.push(whole(node, DROP_IN, text)?);
    let version = super::version_on(node, Engine::Podman).unwrap_or_default();
    let notes = match hands_on_image_annotations(&version) {
        true => vec![format!(
            "podman {version} hands on what an image says of itself, so any image can claim a class: unless all are trusted, grant less in /etc/packrank/policy.toml ([[grant]] outside-kubernetes = true, highest = \"normal\"), or take Podman 4.6"
        )],
        false => Vec::new(),
    };
    Ok(Draft {
        edits,
        notes,
        takes: Engine::Podman.takes(),
    })
}

/// Whether a podman of this version puts an image's own annotations into the
/// spec, as it did until 4.6.
pub(crate) fn hands_on_image_annotations(version: &str) -> bool {
    is_below(version, (4, 6))
}

/// Our hook before the engine, where there is one, and the runtimes by name.
pub(super) fn registered(node: &Node) -> Result<Vec<Runtime>, InstallError> {
    let path = format!("{}/packrank-{}.json", hooks_folder(node)?, STAGES[0]);
    let Some(text) = node.read(&path)? else {
        return Ok(Vec::new());
    };
    let hook: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| InstallError::Broken {
            path,
            problem: e.to_string(),
        })?;
    let program = hook["hook"]["path"].as_str().unwrap_or_default();
    let mut found = vec![Runtime {
        name: "packrank".to_owned(),
        program: program.to_owned(),
    }];
    let text = node.read(DROP_IN)?.unwrap_or_default();
    let table = parsed(DROP_IN, &text)?;
    let named = table.get("engine").and_then(|e| e.get("runtimes"));
    let named = named.and_then(toml::Value::as_table).into_iter().flatten();
    found.extend(named.filter_map(|(name, programs)| {
        let program = programs.as_array()?.first()?.as_str()?.to_owned();
        let name = name.clone();
        (name != "packrank").then_some(Runtime { name, program })
    }));
    Ok(found)
}

fn parsed(path: &str, text: &str) -> Result<toml::Table, InstallError> {
    toml::from_str(text).map_err(|e| InstallError::Broken {
        path: path.to_owned(),
        problem: e.message().to_owned(),
    })
}

/// Whether podman starts anything without our runtimes.
pub(super) fn check(node: &Node) -> Result<(), InstallError> {
    for (path, engine) in said_of_engines(node)? {
        let runtime = engine.get("runtime").and_then(toml::Value::as_str);
        if let Some(name) = runtime.filter(|name| is_our_name(name)) {
            return Err(InstallError::Broken {
                path,
                problem: format!(
                    "runtime is {name}, without which podman would start nothing: choose another first"
                ),
            });
        }
    }
    Ok(())
}

/// The table `engine` of each file that podman reads, in its order.
fn said_of_engines(node: &Node) -> Result<Vec<(String, toml::Table)>, InstallError> {
    let mut files = vec![
        "/usr/share/containers/containers.conf".to_owned(),
        "/etc/containers/containers.conf".to_owned(),
    ];
    files.extend(node.matching("/etc/containers/containers.conf.d/*.conf"));
    let mut said = Vec::new();
    for file in files {
        let Some(text) = node.read(&file)? else {
            continue;
        };
        if let Some(toml::Value::Table(engine)) = parsed(&file, &text)?.remove("engine") {
            said.push((file, engine));
        }
    }
    Ok(said)
}

/// The last folder of hooks that podman is told of: `hooks_dir` of the last
/// file that has one.
fn hooks_folder(node: &Node) -> Result<String, InstallError> {
    let mut folder = HOOKS.to_owned();
    for (_, engine) in said_of_engines(node)? {
        let list = engine.get("hooks_dir").and_then(toml::Value::as_array);
        let list = list.into_iter().flatten();
        if let Some(last) = list.filter_map(toml::Value::as_str).next_back() {
            folder = last.trim_end_matches('/').to_owned();
        }
    }
    Ok(folder)
}

/// A file that is ours alone.
fn whole(node: &Node, path: &str, text: String) -> Result<Edit, InstallError> {
    Ok(Edit {
        path: path.to_owned(),
        before: node.read(path)?,
        after: Some(text),
    })
}

fn hook(folder: &str, stage: &str) -> String {
    format!(
        r#"{{
  "version": "1.0.0",
  "hook": {{
    "path": "{folder}/packrank-hook",
    "args": ["packrank-hook", "{stage}"],
    "timeout": 10
  }},
  "when": {{ "annotations": {{ "packrank\\.io/priority$": ".*" }} }},
  "stages": ["{stage}"]
}}
"#
    )
}

fn drop_in(wish: &Wish) -> String {
    let mut text =
        "# Written by packrank install; packrank uninstall removes it.\n[engine.runtimes]\n"
            .to_owned();
    for runtime in &wish.runtimes {
        text.push_str(&format!("{} = [\"{}\"]\n", runtime.name, runtime.program));
    }
    text
}

/// Asks podman about its configuration as it is, or about ours alone; with a
/// storage of its own: one that has never run has none yet, and shall not get
/// one from us.
fn validate(node: &Node, text: Option<&str>) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let conf = folder.path().join("containers.conf");
    if let Some(text) = text {
        std::fs::write(&conf, text).map_err(|e| e.to_string())?;
    }
    let asked = node.ask("podman", |c| {
        if text.is_some() {
            c.env("CONTAINERS_CONF", &conf);
        }
        for (option, name) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            c.arg(option).arg(folder.path().join(name));
        }
        c.args(["--storage-driver", "vfs", "info"])
    });
    match asked {
        Ok(Some(answer)) if !answer.ok => Err(answer.last_line().to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
