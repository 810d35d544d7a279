//! The crate's effects on this machine's kernel, one module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disk_quota;
mod live_cgroup;
#[cfg(feature = "systemd")]
mod live_systemd;
mod net_evasion;
mod net_guard;
mod net_killed;
mod net_lab;
mod net_life;
mod net_parallel;
mod net_shape;
