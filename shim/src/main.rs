//! `packrank-runtime`: runc's command line, ranked.
//!
//! In: the arguments an engine gives to runc. Out: never a process of ours:
//! the real engine takes this one's place, with a ranked config.json where the
//! container has a class.
#![cfg_attr(not(test), no_main)]

#[cfg(not(test))]
mod entry;

use std::ffi::{OsString, c_int};

use packrank_arena::Arena;
use packrank_core::plain;
use packrank_shim::engine::Own;
use packrank_shim::runtime;

/// A start is one short burst of small allocations; musl's own allocator would
/// take most of its time.
#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

/// The exit status, where no engine took our place.
#[cfg_attr(test, expect(dead_code))]
fn run(args: Vec<OsString>, own: &Own) -> c_int {
    let error = runtime::main(args, own);
    eprintln!("packrank-runtime: {}", plain::lines(&error.to_string()));
    1
}
