//! Docker: `runtimes` in daemon.json.
//!
//! In: the file as it stands. Out: the file with our runtimes behind the
//! others, as `dockerd --validate` takes it.

use packrank_core::spec::{DocumentError, Object, quote};
use serde::Deserialize;

use super::InstallError;
use super::edit::Edit;
use super::engine::{Draft, Runtime, Wish, is_our_name, is_our_program};
use super::json::{Indent, append, duplicate, indent};
use super::node::Node;
use super::service;
use crate::install::Engine;

const USUAL: &str = "/etc/docker/daemon.json";

/// A runtime as daemon.json has it: what we must know of it.
#[derive(Debug, Deserialize)]
struct Registered {
    path: Option<String>,
}

pub(super) fn draft(node: &Node, wish: &Wish) -> Result<Draft, InstallError> {
    if node.program("dockerd").is_none() {
        return Err(InstallError::NoEngine("docker (dockerd)"));
    }
    let path = config_file(node)?;
    let before = node.read(&path)?;
    if let Some(text) = &before {
        sound(&path, text)?;
        validate(node, &path, text).map_err(|said| broken(&path, &said))?;
    }
    let after = with(&path, before.as_deref().unwrap_or(""), &wish.runtimes)?;
    let mut notes = Vec::new();
    match validate(node, &path, &after) {
        Ok(true) => {}
        Ok(false) => notes.push(
            "this dockerd is older than 23 and cannot be asked whether the file is right"
                .to_owned(),
        ),
        Err(said) => {
            return Err(InstallError::Refused {
                engine: "docker",
                said,
            });
        }
    }
    let edit = Edit {
        path,
        before,
        after: Some(after),
    };
    Ok(Draft {
        edits: vec![edit],
        notes,
        takes: Engine::Docker.takes(),
    })
}

/// Our runtimes in the file.
pub(super) fn registered(node: &Node) -> Result<Vec<Runtime>, InstallError> {
    let path = config_file(node)?;
    let Some(text) = node.read(&path)?.filter(|text| !text.trim().is_empty()) else {
        return Ok(Vec::new());
    };
    sound(&path, &text)?;
    let wrong = |e: DocumentError| broken(&path, &e.to_string());
    let top = Object::parse(&text, "").map_err(wrong)?;
    let runtimes = top.object("runtimes").map_err(wrong)?;
    let mut found = Vec::new();
    for (name, _) in runtimes.entries().filter(|(name, _)| is_our_name(name)) {
        let known: Option<Registered> = runtimes.read(name).map_err(wrong)?;
        found.extend(known.and_then(|known| known.path).map(|program| Runtime {
            name: name.to_owned(),
            program,
        }));
    }
    Ok(found)
}

/// Where dockerd reads: as its service is started, else the usual place.
fn config_file(node: &Node) -> Result<String, InstallError> {
    let lines = service::command_lines(node, "docker");
    if lines
        .iter()
        .flatten()
        .any(|w| w.starts_with("--add-runtime"))
    {
        // Together with `runtimes` in the file, dockerd would not start.
        return Err(broken(
            USUAL,
            "docker's service is started with --add-runtime, beside which daemon.json may name no runtimes: put them in one place first",
        ));
    }
    service::named(&lines, &["--config-file"], USUAL)
}

/// What the service gives dockerd besides the file: not all of it may stand in
/// both.
fn options(node: &Node) -> Vec<String> {
    let lines = service::command_lines(node, "docker");
    let line = lines.into_iter().next_back().unwrap_or_default();
    let mut words = line.into_iter();
    let program = words.next().unwrap_or_default();
    let mut kept = Vec::new();
    while let Some(word) = words.next().filter(|_| program.ends_with("/dockerd")) {
        match word.as_str() {
            "--config-file" => drop(words.next()),
            _ if word.starts_with("--config-file=") => {}
            _ => kept.push(word),
        }
    }
    kept
}

fn broken(path: &str, problem: &str) -> InstallError {
    InstallError::Broken {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

/// A file that dockerd and we read alike.
fn sound(path: &str, text: &str) -> Result<(), InstallError> {
    if text.trim().is_empty() {
        return Ok(());
    }
    match duplicate(text) {
        Ok(None) => Ok(()),
        Ok(Some(twice)) => Err(broken(
            path,
            &format!("{twice} stands twice, and only one of them counts: remove the other"),
        )),
        Err(error) => Err(broken(path, &error.to_string())),
    }
}

/// The text with these runtimes registered.
fn with(path: &str, text: &str, runtimes: &[Runtime]) -> Result<String, InstallError> {
    let wrong = |e: DocumentError| broken(path, &e.to_string());
    let text = match text.trim() {
        "" => "{}\n",
        _ => text,
    };
    let mut top = Object::parse(text, "").map_err(wrong)?;
    let registered = top.object("runtimes").map_err(wrong)?;
    let mut missing = Vec::new();
    for runtime in runtimes {
        let known: Option<Registered> = registered.read(&runtime.name).map_err(wrong)?;
        match known.as_ref().map(|known| known.path.as_deref()) {
            None => missing.push(runtime),
            Some(Some(path)) if path == runtime.program => {}
            Some(Some(path)) if is_our_program(path) => {
                let inside = top.inside("runtimes").map_err(wrong)?;
                let inside = inside.inside(&runtime.name).map_err(wrong)?;
                inside.set("path", quote(&runtime.program)).map_err(wrong)?;
            }
            Some(_) => {
                let name = &runtime.name;
                return Err(broken(path, &format!("runtimes.{name} is somebody else's")));
            }
        }
    }
    let text = top.render();
    if missing.is_empty() {
        return Ok(text);
    }
    let members: Vec<(String, String)> = missing
        .iter()
        .map(|r| {
            (
                r.name.clone(),
                format!("{{ \"path\": {} }}", quote(&r.program)),
            )
        })
        .collect();
    let mut top = Object::parse(&text, "").map_err(wrong)?;
    if let Some(runtimes) = top.raw("runtimes").map_err(wrong)? {
        let longer = append(runtimes, &members, &indent(&text, 1));
        top.set("runtimes", longer).map_err(wrong)?;
        return Ok(top.render());
    }
    let runtimes = append("{}", &members, &indent(&text, 1));
    // A member that is null counts as absent to us and to dockerd.
    top.remove("runtimes").map_err(wrong)?;
    let outer = Indent {
        outer: String::new(),
        ..indent(&text, 0)
    };
    Ok(append(
        &top.render(),
        &[("runtimes".to_owned(), runtimes)],
        &outer,
    ))
}

/// The text without our runtimes.
pub(super) fn without(path: &str, text: &str) -> Result<Option<String>, InstallError> {
    sound(path, text)?;
    let wrong = |e: DocumentError| broken(path, &e.to_string());
    let mut top = Object::parse(text, "").map_err(wrong)?;
    let default: Option<String> = top.read("default-runtime").map_err(wrong)?;
    if let Some(default) = default.filter(|name| is_our_name(name)) {
        return Err(broken(
            path,
            &format!(
                "default-runtime is {default}, without which docker would not start: choose another first"
            ),
        ));
    }
    let registered = top.object("runtimes").map_err(wrong)?;
    let mut ours = Vec::new();
    for (name, _) in registered.entries() {
        let known: Option<Registered> = registered.read(name).map_err(wrong)?;
        let path = known.and_then(|known| known.path).unwrap_or_default();
        if is_our_name(name) && is_our_program(&path) {
            ours.push(name.to_owned());
        }
    }
    if ours.len() == registered.entries().count() && !ours.is_empty() {
        top.remove("runtimes").map_err(wrong)?;
    } else if !ours.is_empty() {
        let inside = top.inside("runtimes").map_err(wrong)?;
        for name in &ours {
            inside.remove(name).map_err(wrong)?;
        }
    }
    Ok(Some(top.render()))
}

/// Whether dockerd takes the files as they would be.
pub(super) fn check(node: &Node, edits: &[Edit]) -> Result<(), InstallError> {
    for edit in edits {
        let Some(text) = &edit.after else { continue };
        validate(node, &edit.path, text).map_err(|said| InstallError::Refused {
            engine: "docker",
            said,
        })?;
    }
    Ok(())
}

/// Asks dockerd: `Ok(false)` where it cannot be asked.
fn validate(node: &Node, path: &str, text: &str) -> Result<bool, String> {
    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    // dockerd reads an empty file as one without options.
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    let asked = node.ask("dockerd", |c| {
        c.arg("--validate").args(options(node));
        c.arg("--config-file").arg(file.path())
    });
    match asked {
        Ok(None) => Ok(false),
        Ok(Some(answer)) if answer.ok => Ok(true),
        Ok(Some(answer)) if answer.complained.contains("unknown flag") => Ok(false),
        Ok(Some(answer)) => {
            let temporary = file.path().display().to_string();
            Err(answer.last_line().replace(&temporary, path))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Vec<Runtime> {
        Wish::new("/usr/local/bin", false).runtimes
    }

    #[test]
    fn ours_come_behind_the_others_and_go_again() {
        for (before, after) in [
            (
                "",
                "{\n  \"runtimes\": {\n    \"packrank\": { \"path\": \"/usr/local/bin/packrank-runtime\" }\n  }\n}\n",
            ),
            (
                "{\n    \"log-driver\": \"journald\",\n    \"runtimes\": {\n        \"crun\": {\"path\": \"/usr/bin/crun\"}\n    },\n    \"x-comment\": 1\n}\n",
                "{\n    \"log-driver\": \"journald\",\n    \"runtimes\": {\n        \"crun\": {\"path\": \"/usr/bin/crun\"},\n        \"packrank\": { \"path\": \"/usr/local/bin/packrank-runtime\" }\n    },\n    \"x-comment\": 1\n}\n",
            ),
            (
                "{\"debug\":true}",
                "{\"debug\":true,\n  \"runtimes\": {\n    \"packrank\": { \"path\": \"/usr/local/bin/packrank-runtime\" }\n  }\n}",
            ),
        ] {
            let with_ours = with(USUAL, before, &wish()).unwrap();
            assert_eq!(with_ours, after);
            assert_eq!(with(USUAL, &with_ours, &wish()).unwrap(), with_ours);
            let gone = without(USUAL, &with_ours).unwrap().unwrap();
            let value = |text: &str| -> serde_json::Value {
                serde_json::from_str(if text.is_empty() { "{}" } else { text }).unwrap()
            };
            assert_eq!(value(&gone), value(before));
        }
    }

    #[test]
    fn what_is_wrong_or_not_ours_is_left_alone() {
        let said = |text: &str| {
            let read = sound(USUAL, text).and_then(|()| with(USUAL, text, &wish()));
            read.unwrap_err().to_string()
        };
        assert_eq!(
            said(r#"{"runtimes": {}, "debug": true, "runtimes": {"a": {"path": "/a"}}}"#),
            "/etc/docker/daemon.json is left as it is: runtimes stands twice, and only one of them counts: remove the other"
        );
        assert!(said("{").contains("EOF while parsing"));
        assert!(
            said(r#"{"runtimes": {"packrank": {"path": "/opt/other"}}}"#)
                .contains("somebody else's")
        );
        let default = without(USUAL, r#"{"default-runtime": "packrank-low"}"#);
        assert!(
            default
                .unwrap_err()
                .to_string()
                .contains("choose another first")
        );
    }

    #[test]
    fn a_moved_program_is_followed() {
        let text = r#"{"runtimes": {"packrank": {"path": "/opt/packrank-runtime", "runtimeArgs": ["--debug"]}}}"#;
        assert_eq!(
            with(USUAL, text, &wish()).unwrap(),
            text.replace("/opt/", "/usr/local/bin/")
        );
    }
}
