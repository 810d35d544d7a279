//! packrank-hook under a real engine, in a network of the test's own.
//!
//! In: bundles, runc, veths. Out: what the kernel has while a container lives,
//! and that it has nothing of ours after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod added;
mod connected;
mod deadline;
mod input;
mod killed;
mod life;
mod pod;
mod precreate;
mod restricted;
mod watching;
mod world;
