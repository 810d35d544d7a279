//! What packs use, what presses, and what was done about it.
//!
//! In: records, the packs' open cgroups, `/proc`, and the watcher's socket.
//! Out: a [`Snapshot`], which [`metrics`] turns into OpenMetrics for
//! [`serve`] and [`textfile`], and which `packrank top` and `packrank report`
//! draw. Everything here reads; nothing here changes a pack.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ask;
pub mod event;
pub mod follow;
pub mod latency;
pub mod metrics;
pub mod sampler;
pub mod serve;
pub mod snapshot;
pub mod tally;
pub mod textfile;

pub use sampler::Sampler;
pub use snapshot::{Pack, Pressures, Rates, Snapshot, Use};
