//! The real binary on real bundles, natively on this machine: needs root and `/bin/busybox`.
//! What is missing is said as SKIPPED, never passed over in silence.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod devices;
mod exec;
mod hooks;
mod lab;
mod life;
mod limits;
mod log;
mod private;
mod refusals;
mod terminals;
