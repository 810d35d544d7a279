//! packrank-runtime from outside, in front of a fake engine.

mod choosing;
mod claiming;
mod config;
mod forwarding;
mod messages;
mod refusing;
mod replacing;
mod updating;

/// The fake engine's program.
const ENGINE: &str = env!("CARGO_BIN_EXE_fake-engine");
