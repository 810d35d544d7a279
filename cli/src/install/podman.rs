//! Podman: hooks for every annotated container, and runtimes by name.
//!
//! In: nothing of others': all files are our own. Out: three hooks and a
//! drop-in of containers.conf, as podman takes them.

use super::InstallError;
use super::edit::Edit;
use super::engine::{Draft, Engine, Runtime, Wish};
use super::node::Node;

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
    Ok(Draft {
        edits,
        notes: Vec::new(),
        takes: Engine::Podman.takes(),
    })
}

/// Our hook before the engine, where there is one.
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
    Ok(vec![Runtime {
        name: "packrank".to_owned(),
        program: program.to_owned(),
    }])
}

/// The last folder of hooks that podman is told of: `hooks_dir` of the last
/// file that has one.
fn hooks_folder(node: &Node) -> Result<String, InstallError> {
    let mut files = vec![
        "/usr/share/containers/containers.conf".to_owned(),
        "/etc/containers/containers.conf".to_owned(),
    ];
    files.extend(node.matching("/etc/containers/containers.conf.d/*.conf"));
    let mut folder = HOOKS.to_owned();
    for file in files {
        let Some(text) = node.read(&file)? else {
            continue;
        };
        let table: toml::Table = toml::from_str(&text).map_err(|e| InstallError::Broken {
            path: file,
            problem: e.message().to_owned(),
        })?;
        let list = table.get("engine").and_then(|e| e.get("hooks_dir"));
        let list = list.and_then(toml::Value::as_array).into_iter().flatten();
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
