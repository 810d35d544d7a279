//! packrank-hook under a real engine, in a network of the test's own.
//!
//! In: bundles, runc, veths. Out: what the kernel has while a container lives,
//! and that it has nothing of ours after.

mod added;
mod connected;
mod deadline;
mod gone;
mod input;
mod killed;
mod leaderless;
mod life;
mod pod;
mod precreate;
mod restricted;
mod twins;
mod watching;
mod world;
