//! `packrank uninstall`: back out without a trace.
//!
//! In: what installations kept. Out: each file as it was, byte for byte; where
//! others changed it meanwhile, their changes stay and only ours go.

use std::fs;
use std::process::ExitCode;

use packrank_shim::attach::RUN_FOLDER;

use super::edit::{Edit, remove_folders};
use super::engine::Draft;
use super::kept::{Kept, installed};
use super::needed::needed;
use super::node::Node;
use super::{Engine, How, InstallError, activate, apply, programs, root_only, say, show};
use crate::terminal::{self, DIM, GREEN};

/// Take back what `packrank install` did
///
/// Configuration files become what they were, byte for byte; what others
/// changed in them since stays. Containers that run are not touched; while any
/// runs under packrank, ranked or not, nothing is done: it needs
/// packrank-runtime to end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One engine only; the programs go with the last one
    #[arg(long = "for", value_enum, value_name = "ENGINE")]
    engine: Option<Engine>,
    #[command(flatten)]
    how: How,
}

/// Answers, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    match uninstall(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::fail(&error),
    }
}

fn uninstall(args: &Args) -> Result<(), InstallError> {
    let node = Node::new(&args.how.root);
    root_only(args.how.dry_run)?;
    nobody_needs_us(&node)?;
    let installed = installed(&node)?;
    let chosen: Vec<Engine> = match args.engine {
        Some(engine) => installed.iter().copied().filter(|e| *e == engine).collect(),
        None => installed.clone(),
    };
    if let (Some(engine), true) = (args.engine, chosen.is_empty()) {
        say(&format!(
            "packrank is not installed for {engine}: nothing to change"
        ));
        return Ok(());
    }
    for engine in &chosen {
        back_out(&node, *engine, args)?;
    }
    if args.how.dry_run {
        say(&format!("{DIM}a dry run: nothing was changed{DIM:#}"));
        return Ok(());
    }
    if chosen.len() == installed.len() {
        let gone = programs::remove(&node)?;
        for path in &gone {
            say(&format!("remove {path}"));
        }
        // What runs is registered there, and nothing does.
        let _ = fs::remove_dir_all(node.at(RUN_FOLDER));
        if chosen.is_empty() && gone.is_empty() {
            say("packrank is not installed for any engine: nothing to change");
        }
    }
    Ok(())
}

fn back_out(node: &Node, engine: Engine, args: &Args) -> Result<(), InstallError> {
    let kept = Kept::read(node, engine.name())?.unwrap_or_default();
    let mut edits = Vec::new();
    for (path, kept) in &kept.edits {
        let now = node.read(path)?;
        let after = match &now {
            None => None,
            Some(now) if *now == kept.after => kept.before.clone(),
            Some(now) => engine.without(path, now)?,
        };
        edits.push(Edit {
            path: path.clone(),
            before: now,
            after,
        });
    }
    engine.check(node, &edits)?;
    let draft = Draft {
        edits,
        notes: Vec::new(),
        takes: engine.takes(),
    };
    show(&draft);
    if args.how.dry_run {
        return Ok(());
    }
    apply(node, &draft.edits)?;
    if draft.changes() {
        activate(node, engine, &draft, args.how.restart)?;
    }
    remove_folders(node, &kept.folders);
    Kept::forget(node, engine.name())?;
    remove_folders(node, &kept.folders);
    say(&format!(
        "{GREEN}packrank is no longer installed for {engine}{GREEN:#}"
    ));
    Ok(())
}

/// Containers that run under packrank end through packrank-runtime.
fn nobody_needs_us(node: &Node) -> Result<(), InstallError> {
    let ids: Vec<String> = needed(node).iter().map(|id| terminal::plain(id)).collect();
    match ids.as_slice() {
        [] => Ok(()),
        [one] => Err(InstallError::InUse(format!(
            "container {one} runs under packrank: end and remove it first, which takes packrank-runtime"
        ))),
        many => Err(InstallError::InUse(format!(
            "{} containers run under packrank ({}): end and remove them first, which takes packrank-runtime",
            many.len(),
            many.join(", ")
        ))),
    }
}
