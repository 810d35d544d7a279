//! runc's command line, read only as far as we must.
//!
//! In: the arguments. Out: the verb, the options we need, and the arguments
//! the engine gets: the very same ones, less `--engine`, `--policy` and
//! `--priority`, which are ours. Options we do not know are the engine's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use packrank_core::Priority;
use packrank_core::rank::RuntimeClaim;

/// What was asked of the runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// `create`, `run`, `state` …; `None` for `--version` and the like.
    pub verb: Option<String>,
    /// The engine's arguments, without its name.
    pub forwarded: Vec<OsString>,
    /// `--engine`.
    pub engine: Option<PathBuf>,
    /// `--policy`: a file instead of `/etc/packrank`.
    pub policy: Option<PathBuf>,
    /// `--priority`, or the class in the name we were called by.
    pub claim: Option<RuntimeClaim>,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_json: bool,
    /// `--root`.
    pub root: OsString,
    /// The container's id, of a verb that names one.
    pub id: Option<OsString>,
    /// `--bundle`, of create and run.
    pub bundle: Option<PathBuf>,
    /// crun's `--config`, of create and run.
    pub config: Option<PathBuf>,
    /// The engine's global options, as forwarded: what stands before the verb.
    pub globals: usize,
    /// What stands behind the verb, as forwarded.
    pub rest: Vec<OsString>,
}

/// A command line of ours that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An option without its value.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// A class that does not exist.
    #[error(
        "{claimed}: {text:?} is no class: expected one of critical, high, normal, low, scavenger"
    )]
    NoClass {
        /// `--priority`.
        claimed: &'static str,
        /// What was given.
        text: String,
    },
}

/// Global options of runc, crun and youki that take a value.
const GLOBALS_WITH_VALUE: [&str; 7] = [
    "root",
    "criu",
    "rootless",
    "cgroup-manager",
    "log-level",
    "log",
    "log-format",
];

/// Options of the verbs of runc, crun and youki that take a value, by the
/// names that no verb has for anything else.
const WITH_VALUE: [&str; 34] = [
    "additional-gids",
    "apparmor",
    "b",
    "bundle",
    "c",
    "cap",
    "cgroup",
    "config",
    "console-socket",
    "cwd",
    "e",
    "empty-ns",
    "env",
    "format",
    "g",
    "image-path",
    "interval",
    "lsm-mount-context",
    "lsm-profile",
    "manage-cgroups-mode",
    "network-lock",
    "p",
    "page-server",
    "parent-path",
    "pid-file",
    "preserve-fds",
    "process",
    "process-label",
    "regex",
    "status-fd",
    "u",
    "user",
    "work-path",
    "worker-path",
];

/// Verbs with a short `-f` that takes a value: crun's file, runc's format.
const SHORT_F: [&str; 4] = ["create", "run", "ps", "list"];

/// Whether the verb's option of this name takes the next word.
pub(crate) fn takes_value(verb: &str, name: &str) -> bool {
    // All of update's options take one.
    let of_update = verb == "update" && !matches!(name, "h" | "help");
    of_update || WITH_VALUE.contains(&name) || (name == "f" && SHORT_F.contains(&verb))
}

/// `packrank-runtime-low` claims class low.
const CLASS_PREFIX: &str = "packrank-runtime-";

impl Command {
    /// Reads the arguments, the program's own name first.
    ///
    /// # Errors
    /// When an option of ours has no value or an unknown one.
    pub fn parse(args: Vec<OsString>) -> Result<Command, CommandError> {
        let (command, wrong) = Command::read(args);
        wrong.map_or(Ok(command), Err)
    }

    /// [`Command::parse`] that reads on after a mistake, so that it can be
    /// told in the log, whose name may stand behind it.
    #[must_use]
    pub fn read(args: Vec<OsString>) -> (Command, Option<CommandError>) {
        let mut wrong = None;
        let mut args = args.into_iter();
        let mut command = Command {
            claim: args.next().and_then(|name| claim_by_name(&name)),
            ..Command::default()
        };
        while let Some(arg) = args.next() {
            let Some((name, inline)) = option(&arg) else {
                command.globals = command.forwarded.len();
                command.verb = Some(arg.to_string_lossy().into_owned());
                command.forwarded.push(arg);
                command.rest = args.collect();
                command.forwarded.extend(command.rest.iter().cloned());
                break;
            };
            let ours = ["engine", "policy", "priority"]
                .into_iter()
                .find(|n| *n == name);
            if let Some(ours) = ours {
                let value = inline.or_else(|| args.next());
                wrong = wrong.or(command.take(ours, value).err());
                continue;
            }
            let takes_value = GLOBALS_WITH_VALUE.contains(&name);
            let value = match inline {
                Some(value) => Some(value),
                None if takes_value => args.next(),
                None => None,
            };
            match (name, &value) {
                ("log", Some(path)) => command.log = Some(PathBuf::from(path)),
                ("log-format", Some(format)) => command.log_json = format == "json",
                ("root", Some(path)) => command.root.clone_from(path),
                _ => {}
            }
            let separate = option(&arg).is_some_and(|(_, inline)| inline.is_none());
            command.forwarded.push(arg);
            command.forwarded.extend(value.filter(|_| separate));
        }
        if let Some(verb) = command.verb.as_deref() {
            command.id = first_plain(verb, &command.rest);
        }
        if command.begins() {
            command.bundle = last_value(&command.rest, &["bundle", "b"]);
            command.config = last_value(&command.rest, &["config", "f"]);
        }
        (command, wrong)
    }

    fn take(&mut self, name: &'static str, value: Option<OsString>) -> Result<(), CommandError> {
        match (name, value) {
            ("engine", Some(path)) => self.engine = Some(path.into()),
            ("engine", None) => return Err(CommandError::NoValue("--engine")),
            ("policy", Some(path)) => self.policy = Some(path.into()),
            ("policy", None) => return Err(CommandError::NoValue("--policy")),
            (_, None) => return Err(CommandError::NoValue("--priority")),
            (_, Some(class)) => self.claim = Some(claim_by_flag(&class)?),
        }
        Ok(())
    }

    /// Whether the verb makes a container.
    #[must_use]
    pub fn begins(&self) -> bool {
        matches!(self.verb.as_deref(), Some("create" | "run" | "restore"))
    }

    /// The engine's global options.
    #[must_use]
    pub fn global_options(&self) -> &[OsString] {
        &self.forwarded[..self.globals]
    }
}

/// The class that `--priority` claims.
///
/// # Errors
/// When there is no class of that name.
pub fn claim_by_flag(class: &OsStr) -> Result<RuntimeClaim, CommandError> {
    let claimed = "--priority";
    let text = class.to_string_lossy().into_owned();
    match text.parse() {
        Ok(priority) => Ok(RuntimeClaim {
            priority,
            claimed: claimed.to_owned(),
        }),
        Err(_) => Err(CommandError::NoClass { claimed, text }),
    }
}

/// The class in the name a runtime was called by.
fn claim_by_name(program: &OsStr) -> Option<RuntimeClaim> {
    let name = Path::new(program).file_name()?.to_str()?;
    let priority: Priority = name.strip_prefix(CLASS_PREFIX)?.parse().ok()?;
    Some(RuntimeClaim {
        priority,
        claimed: format!("the runtime's name {name}"),
    })
}

/// Name and inline value of `--name=value`, `--name`, `-name`; `None` for what
/// is no option. The engines take one dash for two.
pub(crate) fn option(arg: &OsStr) -> Option<(&str, Option<OsString>)> {
    let bytes = arg.as_bytes();
    let body = bytes
        .strip_prefix(b"--")
        .or_else(|| bytes.strip_prefix(b"-"))?;
    if body.is_empty() {
        return None;
    }
    let equals = body.iter().position(|b| *b == b'=');
    let (name, value) = match equals {
        Some(at) => (
            &body[..at],
            Some(OsStr::from_bytes(&body[at + 1..]).to_owned()),
        ),
        None => (body, None),
    };
    // A name that is no text is an option all the same, and none of ours.
    Some((std::str::from_utf8(name).unwrap_or(""), value))
}

/// The first word that is neither an option nor an option's value.
fn first_plain(verb: &str, args: &[OsString]) -> Option<OsString> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match option(arg) {
            None if arg == "--" => return args.next().cloned(),
            Some((name, None)) if takes_value(verb, name) => drop(args.next()),
            Some(_) => {}
            None => return Some(arg.clone()),
        }
    }
    None
}

/// The last value given for one of these names, as the engines take it.
fn last_value(args: &[OsString], names: &[&str]) -> Option<PathBuf> {
    let mut found = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match option(arg) {
            Some((name, value)) if names.contains(&name) => {
                found = value.or_else(|| args.next().cloned());
            }
            _ => {}
        }
    }
    found.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Command {
        Command::parse(line.split(' ').map(OsString::from).collect()).unwrap()
    }

    fn forwarded(command: &Command) -> String {
        let words: Vec<_> = command
            .forwarded
            .iter()
            .map(|w| w.to_string_lossy())
            .collect();
        words.join(" ")
    }

    #[test]
    fn the_engine_gets_what_is_its_own() {
        let line = "rt --root /r --engine /e --systemd-cgroup --log=/l --log-format json --policy=/p --priority low create --bundle /b --pid-file f id";
        let command = parse(line);
        assert_eq!(
            forwarded(&command),
            "--root /r --systemd-cgroup --log=/l --log-format json create --bundle /b --pid-file f id"
        );
        assert_eq!(command.verb.as_deref(), Some("create"));
        assert_eq!(command.bundle, Some("/b".into()));
        assert_eq!(command.engine, Some("/e".into()));
        assert_eq!(command.policy, Some("/p".into()));
        assert_eq!(command.log, Some("/l".into()));
        assert!(command.log_json);
        assert_eq!(command.claim.as_ref().unwrap().priority, Priority::Low);
        assert_eq!(command.global_options().len(), 6);
    }

    #[test]
    fn forms_of_the_bundle() {
        for line in [
            "rt run -b /b id",
            "rt run --bundle=/b id",
            "rt run -bundle /b id",
            "rt run -b=/b x",
        ] {
            assert_eq!(parse(line).bundle, Some("/b".into()), "{line}");
        }
        assert_eq!(parse("rt run id").bundle, None);
        // What stands behind another verb is none of ours.
        assert_eq!(parse("rt exec --priority low id sh").claim, None);
        assert_eq!(
            forwarded(&parse("rt exec --engine x id")),
            "exec --engine x id"
        );
    }

    #[test]
    fn the_container_is_the_first_word_that_is_no_options() {
        for (line, id) in [
            ("rt state c1", Some("c1")),
            ("rt --root /r kill --all c1 TERM", Some("c1")),
            ("rt delete -f c1", Some("c1")),
            ("rt update --resources - c1", Some("c1")),
            ("rt update --memory 100M --cpu-shares=2 c1", Some("c1")),
            ("rt ps -f json c1 aux", Some("c1")),
            (
                "rt exec -t -e A=b --user 0 --process=/p c1 sh -c x",
                Some("c1"),
            ),
            ("rt exec --cwd / -- c1 sh", Some("c1")),
            ("rt create -b /b --pid-file p c1", Some("c1")),
            ("rt list -q", None),
            ("rt --version", None),
        ] {
            assert_eq!(parse(line).id, id.map(Into::into), "{line}");
        }
        assert_eq!(parse("rt --root=/r state c1").root, "/r");
    }

    #[test]
    fn classes_by_name_and_flag() {
        let by_name = parse("/usr/bin/packrank-runtime-scavenger create id")
            .claim
            .unwrap();
        assert_eq!(by_name.priority, Priority::Scavenger);
        assert_eq!(parse("/usr/bin/packrank-runtime-x create id").claim, None);
        let wrong = Command::parse(
            ["rt", "--priority", "urgent", "run"]
                .map(OsString::from)
                .to_vec(),
        );
        assert!(
            wrong
                .unwrap_err()
                .to_string()
                .starts_with("--priority: \"urgent\" is no class")
        );
        let none = Command::parse(["rt", "--engine"].map(OsString::from).to_vec());
        assert_eq!(none.unwrap_err(), CommandError::NoValue("--engine"));
    }

    proptest! {
        #[test]
        fn nothing_of_the_engines_is_lost(words in prop::collection::vec("(--?[a-z]{0,6}(=[a-z/]{0,3})?|[a-z/]{0,5}|-)", 0..8)) {
            let mut args = vec![OsString::from("rt")];
            args.extend(words.iter().map(OsString::from));
            let ours = words.iter().any(|w| ["engine", "policy", "priority"].iter().any(|o| w.contains(o)));
            if let (false, Ok(command)) = (ours, Command::parse(args)) {
                prop_assert_eq!(command.forwarded, words.iter().map(OsString::from).collect::<Vec<_>>());
            }
        }
    }
}
