//! What the tests share: programs, bundles, a fake engine, real engines, and
//! what the kernel says of a container.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod apart;
pub mod bundle;
pub mod containerd;
pub mod fake_engine;
pub mod kernel;
pub mod node;
pub mod program;
pub mod spec;
pub mod usage;

pub use packrank_skipped as skipped;
