//! What stands between an engine's caller and the engine.
//!
//! In: runc's command line and a bundle. Out: the bundle's config.json with
//! its plan written in, and the engine started in our place.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attach;
pub mod bundle;
pub mod command;
pub mod engine;
pub mod exec;
pub mod late;
pub mod log;
pub mod planning;
pub mod runtime;
pub mod started;
pub mod update;
