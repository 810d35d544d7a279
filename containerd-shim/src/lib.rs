//! containerd's runtime shim `io.containerd.packrank.v2`: it ranks inside its
//! own Create, Start, Update and Delete.
//!
//! In: containerd's shim protocol: `start`, `delete`, `-info`, and the task
//! service on ttrpc. Out: containers made by an engine, ranked; their streams,
//! their ends in order, their figures, their events.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod container;
mod death;
pub mod delete;
mod engine;
mod error;
pub mod events;
pub mod exits;
mod facts;
pub mod info;
mod io;
pub mod life;
mod log_fifo;
mod oom;
mod options;
mod place;
mod polled;
mod process;
mod rank;
mod rest;
mod rootfs;
mod saved;
pub mod serve;
pub mod shim;
mod socket;
pub mod start;
mod stats;
mod transport;

pub use error::Error;
