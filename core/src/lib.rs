//! What packrank decides, and nothing that touches a running kernel.
//!
//! In: annotations, a container's spec, a policy, facts about the host.
//! Out: a plan, each value with its origin, and the edits to `config.json`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod annotation;
pub mod cpus;
pub mod host;
pub mod key;
pub mod place;
pub mod plain;
pub mod plan;
pub mod policy;
pub mod priority;
pub mod quantity;
pub mod rank;
pub mod record;
pub mod spec;
pub mod value;

pub use priority::Priority;
