//! `packrank explain`: the very plan that packrank-runtime would carry out.
//!
//! In: a bundle, a config.json or stdin, and what is to be different: more
//! annotations, another policy, another host. Out: every setting with its
//! value, its origin and the reason, or the rewritten config.json. Nothing is
//! changed.

mod document;
mod json;
mod table;
mod unranked;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use packrank_core::host::Roots;
use packrank_core::place::Cri;
use packrank_core::policy::{LoadError, Policy};
use packrank_core::spec::Spec;
use packrank_shim::bundle::BundleError;
use packrank_shim::command::{self, CommandError};
use packrank_shim::engine::{self, EngineError, Own};
use packrank_shim::planning::{self, Hook, Planned, Refusal};

use crate::{Format, terminal};
use document::{Document, DocumentError};

/// Show what would be done to a container, and why
///
/// Values come from the class, an annotation, the spec, a policy file or the
/// host, as the column FROM says. Nothing is changed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A bundle's folder, a config.json, or - for stdin
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Add an annotation, or replace it; may stand several times
    #[arg(short = 'a', long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<OsString>,
    /// A policy file instead of those in /etc/packrank
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Another host: a folder that holds its proc and sys
    #[arg(long, value_name = "FOLDER")]
    host: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print the rewritten config.json instead, byte for byte
    #[arg(long, conflicts_with = "format")]
    spec: bool,
    /// The engine, as packrank-runtime --engine has it
    #[arg(long, value_name = "PATH")]
    engine: Option<PathBuf>,
    /// Claim a class, as packrank-runtime --priority does
    #[arg(long, value_name = "CLASS")]
    priority: Option<OsString>,
}

/// Why the container would not be created.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// The class on the command line.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The document, or what was to be changed in it.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The bundle is not the caller's alone.
    #[error("bundle {0}")]
    Bundle(#[from] BundleError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// The engine that was named.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Spec, annotation, claim or plan.
    #[error(transparent)]
    Plan(#[from] Refusal),
}

/// What would be done.
struct Explained {
    /// The config.json, with the annotations of the command line.
    document: Vec<u8>,
    engine: Option<PathBuf>,
    /// The plan; or, for a container that is not ranked, why not.
    outcome: Result<Box<Planned>, &'static str>,
    /// The plan's notes and ours.
    notes: Vec<String>,
}

/// Answers, and gives the exit status.
pub(crate) fn run(args: &Args) -> ExitCode {
    let explained = explain(args);
    let status = match explained {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    match (explained, args.format) {
        (explained, Format::Json) => {
            terminal::print(status, |out| json::write(out, explained.as_ref()))
        }
        (Err(refused), Format::Table) => terminal::fail(&refused),
        (Ok(explained), _) if args.spec => spec(&explained),
        (Ok(explained), _) => terminal::print(status, |out| table::write(out, &explained)),
    }
}

fn explain(args: &Args) -> Result<Explained, Refused> {
    let claim = args.priority.as_deref().map(command::claim_by_flag);
    let claim = claim.transpose()?;
    let policy = planning::policy(args.policy.as_deref())?;
    let mut notes = Vec::new();
    let engine = engine(args, &policy, &mut notes)?;
    let Document {
        bytes,
        folder,
        bundle,
    } = document::read(&args.path)?;
    let bytes = document::annotate(bytes, &args.annotations)?;
    let roots = match &args.host {
        Some(folder) => Roots::under(folder),
        None => Roots::own(),
    };
    let hook = hook(args);
    let parsed = Spec::parse(&bytes).map_err(Refusal::from)?;
    let cri = match (Cri::of_bundle(&folder), &bundle) {
        // A document alone is explained as the CRI that it names would run it.
        (None, None) => Cri::named(&parsed.annotations),
        (known, _) => known,
    };
    let parsed = parsed.run_by(cri);
    let claimed = claim.as_ref();
    let planned = planning::ranked(&parsed, &folder, claimed, &policy, roots, hook.as_ref())?;
    let outcome = match planned {
        Some(planned) => Ok(Box::new(planned)),
        None => Err(unranked::reason(&bytes, claim.is_some(), &policy)?),
    };
    if let Ok(planned) = &outcome {
        if let Some(bundle) = bundle.filter(|_| planned.applies()) {
            bundle.check()?;
        }
        notes.extend(unwritten(planned).map(str::to_owned));
        notes.extend(planned.plan.notes.iter().cloned());
    }
    Ok(Explained {
        document: bytes,
        engine,
        outcome,
        notes,
    })
}

/// The engine that would run the container. What another host has installed
/// its /proc and /sys do not say.
fn engine(
    args: &Args,
    policy: &Policy,
    notes: &mut Vec<String>,
) -> Result<Option<PathBuf>, EngineError> {
    if args.host.is_some() {
        return Ok(args.engine.clone().or_else(|| policy.engine.clone()));
    }
    match engine::find(args.engine.as_deref(), policy.engine.as_deref()) {
        Ok(engine) => Ok(Some(engine)),
        Err(error @ EngineError::NotFound { .. }) => {
            notes.push(format!("nothing can be created here: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What packrank-runtime, installed beside us, would add to the spec. What
/// another host has installed we do not know.
fn hook(args: &Args) -> Option<Hook> {
    let own = Own::running();
    own.beside("packrank-runtime")
        .filter(|_| args.host.is_none())?;
    Hook::beside(&own, args.policy.as_deref())
}

/// Why the plan is not written into config.json, where it is not.
fn unwritten(planned: &Planned) -> Option<&'static str> {
    use packrank_core::policy::Mode;
    match planned.plan.rank.mode {
        _ if planned.applies() => None,
        Mode::Audit => Some("mode audit: the plan is recorded, and nothing of it is done"),
        _ => Some("a pod's sandbox: it keeps its own resources, and the rank is its containers'"),
    }
}

/// The config.json as the engine would get it.
fn spec(explained: &Explained) -> ExitCode {
    let bytes = match &explained.outcome {
        Ok(planned) => planned.document.as_bytes(),
        Err(_) => &explained.document,
    };
    let silent = match &explained.outcome {
        Ok(planned) => unwritten(planned),
        Err(reason) => Some(*reason),
    };
    // Straight to stdout: a document is no text for a terminal to colour.
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    if let Some(reason) = silent {
        // Exit status 0: this is the answer, and the note is beside it.
        terminal::fail(&reason);
    }
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => terminal::fail(&error),
        _ => ExitCode::SUCCESS,
    }
}
