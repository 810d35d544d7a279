//! `exec`: a process that is added to a container gets the plan's part of a
//! process too.
//!
//! In: the verb's arguments, and the container's record. Out: arguments with a
//! process within the plan, and this process with the limits that the added one
//! inherits. A container without a record costs one look into the folder of records.

use std::ffi::{OsStr, OsString};
use std::fs::{File, read_link};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use packrank_core::record::{Mode, Packs, Record};
use packrank_core::spec::{DocumentError, ProcessPart};

use crate::attach::{self, running};
use crate::command::{Command, option, takes_value};
use crate::update;

/// Why the process is not added.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Its file cannot be read.
    #[error("exec: process file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Its file holds no process.
    #[error("exec: {0}")]
    Document(#[from] DocumentError),
    /// An option in a form that engines read differently.
    #[error(
        "exec: {0:?} is not accepted for a container with security=restricted: give each short option a word of its own"
    )]
    Form(OsString),
}

/// The engine's arguments.
#[derive(Debug)]
pub struct Added {
    /// All of them.
    pub arguments: Vec<OsString>,
    /// Keeps the process's text alive until the engine has read it.
    _process: Option<File>,
}

/// The part of the plan that an added process gets; `None` for a container
/// that is not ranked, or only audited.
#[must_use]
pub fn part(record: &Record) -> Option<ProcessPart> {
    let value = |key| record.settings.value(key);
    let enforced = record.mode == Mode::Enforce;
    enforced.then(|| ProcessPart::of(value, user_namespace(record.pid)))
}

/// Whether the process is in another user namespace than this one.
fn user_namespace(pid: u32) -> bool {
    let of = |process: &str| read_link(format!("/proc/{process}/ns/user")).ok();
    let theirs = of(&pid.to_string());
    theirs.is_some() && theirs != of("self")
}

/// Brings the process within the plan, and gives this process what the added
/// one inherits; `None` where the engine's arguments stay as they are.
///
/// # Errors
/// When the process cannot be read, or not be restricted.
pub fn within_plan(command: &Command, run: &Path) -> Result<Option<Added>, ExecError> {
    let Some(id) = command.id.as_deref().and_then(OsStr::to_str) else {
        return Ok(None);
    };
    // Another engine may have given the same id: which of them is meant, only the engine knows.
    // The first may be gone, or its record damaged, while others live.
    let packs = Packs::under(run);
    let records = packs.read(id).into_iter().chain(packs.twins(id));
    let parts = records.filter(running::alive);
    let parts = parts.filter_map(|record| part(&record));
    let Some(part) = parts.reduce(ProcessPart::stricter) else {
        return Ok(None);
    };
    let added = rewritten(command, &part)?;
    // Engines differ in what of a process they set themselves.
    for note in attach::process(&inherited(&part), std::process::id()) {
        eprintln!("packrank-runtime: exec: {note}");
    }
    Ok(Some(added))
}

/// What the engine hands on to the process. Its open files are in the text,
/// since the engine needs more of them.
fn inherited(part: &ProcessPart) -> ProcessPart {
    ProcessPart {
        files: None,
        ..*part
    }
}

fn rewritten(command: &Command, part: &ProcessPart) -> Result<Added, ExecError> {
    let mut arguments = command.global_options().to_vec();
    arguments.push("exec".into());
    let mut process = None;
    let mut words = command.rest.iter();
    if part.restricted {
        arguments.push("--no-new-privs".into());
    }
    while let Some(word) = words.next() {
        let Some((name, inline)) = option(word).filter(|_| word != "--") else {
            // The container, or the end of the options: the rest is its program's.
            arguments.push(word.clone());
            arguments.extend(words.by_ref().cloned());
            break;
        };
        if part.restricted && name == "no-new-privs" {
            // It stands in front, and nobody takes it back.
            continue;
        }
        let takes = takes_value("exec", name);
        let value = match inline {
            None if takes => words.next().cloned(),
            inline => inline.filter(|_| takes),
        };
        let Some(value) = value else {
            if part.restricted && is_cluster(word, name) {
                return Err(ExecError::Form(word.clone()));
            }
            arguments.push(word.clone());
            continue;
        };
        let option = match name.len() {
            1 => format!("-{name}"),
            _ => format!("--{name}"),
        };
        let value = match name {
            "process" | "p" => {
                let (path, file) = process_file(&value, part)?;
                process = Some(file);
                Some(path)
            }
            "user" | "u" if part.restricted && !part.user_namespace => Some(nobody(&value)),
            "additional-gids" | "g" if part.restricted && !part.user_namespace => {
                Some(value).filter(|gid| gid != "0")
            }
            "cap" | "c" if part.restricted => Some(value).filter(|cap| is_kept(cap)),
            _ => Some(value),
        };
        if let Some(value) = value {
            arguments.extend([option.into(), value]);
        }
    }
    Ok(Added {
        arguments,
        _process: process,
    })
}

/// Whether the word may be several short options in one, or one with its value.
fn is_cluster(word: &OsStr, name: &str) -> bool {
    let double = word.as_bytes().starts_with(b"--");
    const LONG: [&str; 6] = [
        "tty",
        "detach",
        "no-new-privs",
        "ignore-paused",
        "no-subreaper",
        "help",
    ];
    !double && name.len() != 1 && !LONG.contains(&name)
}

/// The process's text within the plan, and the path by which the engine finds it.
fn process_file(path: &OsStr, part: &ProcessPart) -> Result<(OsString, File), ExecError> {
    let failed = |source| ExecError::File {
        path: path.into(),
        source,
    };
    let text = update::read(&path.to_string_lossy()).map_err(failed)?;
    let text = part.rewrite(&text)?;
    let (path, file) = update::in_memory(&text).map_err(failed)?;
    Ok((path.into(), file))
}

/// `UID[:GID]` with nobody in the place of root.
fn nobody(user: &OsStr) -> OsString {
    const NOBODY: &str = "65534";
    let text = user.to_string_lossy();
    let id = |id: &str| match id.trim_matches('0') {
        "" => NOBODY.to_owned(),
        _ => id.to_owned(),
    };
    let ids: Vec<String> = text.split(':').map(id).collect();
    ids.join(":").into()
}

/// The one capability that a restricted process may have.
fn is_kept(capability: &OsStr) -> bool {
    let name = capability.to_string_lossy().to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name) == "NET_BIND_SERVICE"
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTRICTED: ProcessPart = ProcessPart {
        oom_score: None,
        io_priority: None,
        files: Some((5, 7)),
        restricted: true,
        user_namespace: false,
    };

    fn arguments(line: &str, part: &ProcessPart) -> Result<String, ExecError> {
        let words = line.split(' ').map(OsString::from).collect();
        let added = rewritten(&Command::parse(words).unwrap(), part)?;
        let words = added.arguments.iter().map(|word| word.to_string_lossy());
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_give_no_more_than_the_preset() {
        let line = "rt --root /r exec -t -u 0:0 --cap CAP_SYS_ADMIN -c=net_bind_service -g 0 -g 5 -e A=b web sh -c x";
        assert_eq!(
            arguments(line, &RESTRICTED).unwrap(),
            "--root /r exec --no-new-privs -t -u 65534:65534 -c net_bind_service -g 5 -e A=b web sh -c x"
        );
        let inside = ProcessPart {
            user_namespace: true,
            ..RESTRICTED
        };
        let line = "rt exec --user=00 web sh";
        assert!(arguments(line, &inside).unwrap().contains("--user 00"));
        assert!(
            arguments(line, &RESTRICTED)
                .unwrap()
                .contains("--user 65534")
        );
        for odd in ["rt exec -u0 web sh", "rt exec -tcCAP_SYS_ADMIN web sh"] {
            assert!(matches!(
                arguments(odd, &RESTRICTED),
                Err(ExecError::Form(_))
            ));
        }
    }

    #[test]
    fn without_the_preset_options_stay() {
        let free = ProcessPart {
            restricted: false,
            ..RESTRICTED
        };
        let line = "exec -td --user 0 --cap CAP_SYS_ADMIN web sh --user 0";
        assert_eq!(arguments(&format!("rt {line}"), &free).unwrap(), line);
    }

    #[test]
    fn a_process_file_is_read_once_and_handed_on_within_the_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        let text =
            r#"{"args":["sh"],"rlimits":[{"type":"RLIMIT_NOFILE","hard":9999,"soft":9999}]}"#;
        std::fs::write(&path, text).unwrap();
        let (path, _file) = process_file(path.as_os_str(), &RESTRICTED).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let process: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(process["rlimits"][0]["hard"], 7);
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!(process["user"]["uid"], 65534);
        assert!(process_file("/nonexistent".as_ref(), &RESTRICTED).is_err());
    }
}
