//! `packrank install` and `packrank uninstall`: an engine that knows packrank,
//! and one that never heard of it.
//!
//! In: an engine's name and its configuration. Out: a diff, and, unless it is
//! a dry run, the programs and the configuration in place. What the engine
//! itself does not take is never put there; what was done is kept, so that it
//! can be undone byte for byte.

mod activate;
mod containerd;
mod crio;
mod docker;
mod dump;
mod edit;
mod engine;
mod json;
mod kept;
mod needed;
mod node;
mod podman;
mod programs;
mod remove;
mod service;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::program::number;
use crate::terminal::{self, BOLD, DIM, GREEN, RED, YELLOW, item};
use activate::Takes;
use edit::Edit;
pub(crate) use engine::Engine;
use engine::{Draft, Wish};
use kept::{Kept, KeptEdit};
use node::Node;
pub(crate) use podman::hands_on_image_annotations;
use programs::Programs;
pub(crate) use remove::{Args as UninstallArgs, run as uninstall};

/// Put packrank in place and register it with an engine
///
/// Shows what it changes, asks the engine whether it takes the result, keeps
/// what was there, and tells what the engine must do to see it; one that does
/// not come up with it gets back what it had. Running it again changes nothing;
/// `packrank uninstall` takes it all back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engine
    #[arg(long = "for", value_enum, value_name = "ENGINE")]
    engine: Engine,
    /// Also one runtime per class, packrank-low and so on: for engines that
    /// carry no annotations, such as Docker before 24
    #[arg(long)]
    class_runtimes: bool,
    #[command(flatten)]
    how: How,
}

/// How either way is gone.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Have the engine reload or restart, where it must
    #[arg(long)]
    restart: bool,
    /// Another root folder than /: services are left alone there
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// A file that is there is not as it must be.
    #[error("{path} is left as it is: {problem}")]
    Broken {
        /// On the node.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file changed under our hands.
    #[error("{path} was changed by somebody else meanwhile: run it again")]
    Moved {
        /// On the node.
        path: String,
    },
    /// The engine is not there.
    #[error("{0} is not installed here")]
    NoEngine(&'static str),
    /// The engine does not take what we would write.
    #[error("{engine} does not accept the change, so it was not made: {said}")]
    Refused {
        /// Its name.
        engine: &'static str,
        /// Its own words.
        said: String,
    },
    /// A program that must come along is missing.
    #[error("{name} is not in {}: it must stand beside packrank", folder.display())]
    NotBeside {
        /// Its name.
        name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The engine did not come up with the change.
    #[error("{0}")]
    NotUp(String),
    /// Containers that need us still run.
    #[error("{0}")]
    InUse(String),
    /// We are not root.
    #[error("only root may change an engine's configuration (--dry-run shows the change)")]
    NotRoot,
    /// The kernel's answer.
    #[error("{path}: {source}")]
    Io {
        /// What it is about.
        path: String,
        /// The answer.
        source: io::Error,
    },
}

impl InstallError {
    fn io(path: &str, source: io::Error) -> InstallError {
        let path = path.to_owned();
        InstallError::Io { path, source }
    }
}

/// How an engine stands to packrank.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It is not installed here.
    Absent,
    /// It does not know packrank.
    Unregistered,
    /// It knows packrank, and so many runtimes of a class besides.
    Registered { classes: usize },
    /// It would start a program that is not there.
    Dangling { program: String },
    /// Its configuration is broken.
    Broken(InstallError),
}

/// How the engine stands to packrank on this node. Nothing is written.
pub(crate) fn standing(engine: Engine) -> Standing {
    let node = Node::new(Path::new("/"));
    if node.program(engine.program()).is_none() {
        return Standing::Absent;
    }
    match engine.registered(&node) {
        Err(error) => Standing::Broken(error),
        Ok(runtimes) if runtimes.is_empty() => Standing::Unregistered,
        Ok(runtimes) => {
            let gone = runtimes.iter().find(|r| !node.at(&r.program).exists());
            match gone {
                Some(gone) => Standing::Dangling {
                    program: gone.program.clone(),
                },
                None => Standing::Registered {
                    classes: runtimes.iter().filter(|r| r.name != "packrank").count(),
                },
            }
        }
    }
}

/// The number that the engine says is its version's.
pub(crate) fn version(engine: Engine) -> Option<String> {
    version_on(&Node::new(Path::new("/")), engine)
}

fn version_on(node: &Node, engine: Engine) -> Option<String> {
    let answer = node.ask(engine.program(), |c| c.arg("--version")).ok()??;
    number(answer.said.lines().next()?).map(str::to_owned)
}

/// Answers, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    match install(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::fail(&error),
    }
}

fn install(args: &Args) -> Result<(), InstallError> {
    let node = Node::new(&args.how.root);
    root_only(args.how.dry_run)?;
    let engine = args.engine;
    // Those that are there stay: to take them away is to uninstall.
    let known = engine.registered(&node).unwrap_or_default();
    let classes = args.class_runtimes || known.iter().any(|r| r.name != "packrank");
    let programs = Programs::plan(&node, classes)?;
    let wish = Wish::new(&programs.folder, classes);
    let draft = engine.draft(&node, &wish)?;
    for line in programs.lines() {
        say(&line);
    }
    show(&draft);
    if args.how.dry_run {
        say(&format!("{DIM}a dry run: nothing was changed{DIM:#}"));
        return Ok(());
    }
    if !programs.changes() && !draft.changes() {
        say(&format!(
            "{GREEN}packrank is installed for {engine}{GREEN:#}: nothing to change"
        ));
        return Ok(());
    }
    let before = Before::read(&node, engine)?;
    programs.place(&node)?;
    put(&node, engine, &draft)?;
    let taken = match draft.changes() {
        true => activate(&node, engine, &draft, args.how.restart),
        false => Ok(()),
    };
    if let Err(InstallError::NotUp(_)) = &taken {
        before.again(&node, engine)?;
    }
    taken?;
    say(&format!(
        "{GREEN}packrank is installed for {engine}{GREEN:#}"
    ));
    say(&format!(
        "{DIM}back again: packrank uninstall --for {engine}{DIM:#}"
    ));
    Ok(())
}

/// What was kept before an installation, to which one that failed goes back.
struct Before {
    engine: Option<Kept>,
    programs: bool,
}

impl Before {
    fn read(node: &Node, engine: Engine) -> Result<Before, InstallError> {
        Ok(Before {
            engine: Kept::read(node, engine.name())?,
            programs: Kept::read(node, kept::PROGRAMS)?.is_some(),
        })
    }

    /// Forgets the installation, whose edits are undone; programs that came
    /// with it go, those that were there and are newer now stay.
    fn again(self, node: &Node, engine: Engine) -> Result<(), InstallError> {
        let now = Kept::read(node, engine.name())?.unwrap_or_default();
        match self.engine {
            Some(mut kept) => kept.write(node, engine.name())?,
            None => {
                edit::remove_folders(node, &now.folders);
                Kept::forget(node, engine.name())?;
            }
        }
        if !self.programs {
            programs::remove(node)?;
        }
        Ok(())
    }
}

/// Whether we may do more than look.
fn root_only(dry_run: bool) -> Result<(), InstallError> {
    match dry_run || nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(InstallError::NotRoot),
    }
}

/// Writes down what will have been done, then does it; what cannot be done
/// whole is undone.
fn put(node: &Node, engine: Engine, draft: &Draft) -> Result<(), InstallError> {
    let mut kept = Kept::read(node, engine.name())?.unwrap_or_default();
    for edit in draft.edits.iter().filter(|e| e.changes()) {
        let Some(after) = edit.after.clone() else {
            continue;
        };
        let ours = kept.edits.get(&edit.path);
        let before = match (ours, &edit.before) {
            // Nobody else has been at it: what was there first still counts.
            (Some(ours), Some(now)) if ours.after == *now => ours.before.clone(),
            (Some(_), Some(now)) => engine.without(&edit.path, now)?,
            (_, now) => now.clone(),
        };
        kept.edits
            .insert(edit.path.clone(), KeptEdit { before, after });
    }
    kept.write(node, engine.name())?;
    let done = apply(node, &draft.edits)?;
    kept.folders.extend(done);
    kept.write(node, engine.name())
}

/// Applies all edits or none; gives the folders made.
fn apply(node: &Node, edits: &[Edit]) -> Result<Vec<String>, InstallError> {
    let edits: Vec<&Edit> = edits.iter().filter(|e| e.changes()).collect();
    let mut made = Vec::new();
    for (index, edit) in edits.iter().enumerate() {
        match edit.apply(node) {
            Ok(folders) => made.extend(folders),
            Err(error) => {
                for done in edits[..index].iter().rev() {
                    // The first error is the one to tell.
                    let _ = done.undone().apply(node);
                }
                edit::remove_folders(node, &made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// Has the engine take notice, or says how; where it does not come up, takes
/// the change back and has it take notice of that.
fn activate(node: &Node, engine: Engine, draft: &Draft, now: bool) -> Result<(), InstallError> {
    if let Takes::Nothing = draft.takes {
        return Ok(());
    }
    let command = draft.takes.command();
    if !now || !node.is_own() {
        say(&format!("{YELLOW}to be done:{YELLOW:#} {command}"));
        return Ok(());
    }
    if !draft.takes.runs(node) {
        say("the engine is not running: it will see the change when it starts");
        return Ok(());
    }
    say(&command);
    let Err(problem) = draft.takes.carry_out(node, engine) else {
        return Ok(());
    };
    let back: Vec<Edit> = draft.edits.iter().map(Edit::undone).collect();
    apply(node, &back)?;
    let again = match draft.takes.carry_out(node, engine) {
        Ok(()) => "and it runs as before".to_owned(),
        Err(still) => format!("and it still does not run: {still}"),
    };
    Err(InstallError::NotUp(format!(
        "{engine} did not come up: {problem}; the change was taken back, {again}"
    )))
}

/// The diffs and the notes.
fn show(draft: &Draft) {
    for edit in draft.edits.iter().filter(|e| e.changes()) {
        for line in edit.diff().lines() {
            let line = terminal::plain(line);
            say(&match line.as_bytes().first() {
                Some(b'+') => format!("{GREEN}{line}{GREEN:#}"),
                Some(b'-') => format!("{RED}{line}{RED:#}"),
                Some(b'@') => format!("{BOLD}{line}{BOLD:#}"),
                _ => line,
            });
        }
    }
    for note in &draft.notes {
        terminal::print(ExitCode::SUCCESS, |out| item(out, "note: ", note));
    }
}

fn say(line: &str) {
    terminal::print(ExitCode::SUCCESS, |out| writeln!(out, "{line}"));
}
