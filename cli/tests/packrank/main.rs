//! The real binary, from outside.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that cannot go on has failed.

mod annotations;
mod bad_input;
mod docs;
mod doctor;
mod explain;
mod generate;
mod golden;
mod install;
mod namespace;
mod policy;
mod reference;
mod run;
