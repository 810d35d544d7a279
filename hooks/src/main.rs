//! `packrank-hook PHASE`: what an OCI engine runs at the phases of a
//! container's life.
//!
//! In: the phase, and on stdin the container's state (for `precreate` its
//! spec). Out: for `precreate` the ranked spec; else the container shaped,
//! recorded or cleaned up after. A phase we do not know is no reason to stop a
//! container.

mod create_runtime;
mod input;
mod poststart;
mod poststop;
mod precreate;

use std::path::PathBuf;
use std::process::ExitCode;

use input::InputError;
use packrank_arena::Arena;
use packrank_core::plain;
use packrank_shim::attach::{AttachError, RUN_FOLDER};
use packrank_shim::planning::Refusal;

/// A hook is one short burst of small allocations.
#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

/// Seconds after which the kernel ends us, whatever we wait for: engines wait
/// for their hooks, some for ever. A machine so busy that it takes half a
/// minute for a millisecond's work is one where it is better to give up.
const DEADLINE: u32 = 30;

/// Why the container must not start.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// What our own options say.
struct Options {
    /// `--policy FILE`, instead of `/etc/packrank`.
    policy: Option<PathBuf>,
    /// `--run FOLDER`, instead of `/run/packrank`.
    run: PathBuf,
    /// `--engine FILE`: the container's engine, where it is not what runs us.
    engine: Option<PathBuf>,
}

fn main() -> ExitCode {
    nix::unistd::alarm::set(DEADLINE);
    let mut options = Options {
        policy: None,
        run: PathBuf::from(RUN_FOLDER),
        engine: None,
    };
    let mut phase = None;
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--policy") => options.policy = args.next().map(PathBuf::from),
            Some("--engine") => options.engine = args.next().map(PathBuf::from),
            Some("--run") => options.run = args.next().map_or(options.run, PathBuf::from),
            _ => phase = Some(arg),
        }
    }
    let phase = phase.unwrap_or_default();
    let done = match phase.to_str() {
        Some("precreate") => precreate::run(&options),
        Some("createRuntime" | "prestart") => create_runtime::run(&options),
        Some("poststart") => poststart::run(&options),
        Some("poststop") => poststop::run(&options),
        _ => {
            eprintln!("packrank-hook: phase {phase:?} is unknown and left alone");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("packrank-hook: {}", plain::lines(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}
