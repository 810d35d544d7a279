//! packrank from outside, in one program: beside stock engines, under a real
//! containerd, on a node in small.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod containerd;
mod corpus;
mod engines;
mod hooks;
mod kubernetes;
mod runtime;
mod see;
