//! `packrank-runtime`: runc's command line, ranked.
//!
//! In: the arguments an engine gives to runc. Out: never a process of ours:
//! the real engine takes this one's place, with a ranked config.json where the
//! container has a class.

mod arena;

use std::process::ExitCode;

use packrank_shim::runtime;

/// A start is one short burst of small allocations; musl's own allocator would
/// take most of its time.
#[global_allocator]
static ALLOCATOR: arena::Arena = arena::Arena::new();

fn main() -> ExitCode {
    let error = runtime::main(std::env::args_os().collect());
    eprintln!("packrank-runtime: {error}");
    ExitCode::FAILURE
}
