//! `io.containerd.packrank.v2` under a real containerd.
//!
//! In: a containerd of the test's own, busybox, `ctr`, and a client on the
//! shim's socket. Out: the same answers as the stock shim gives beside it, what
//! a rank makes of a container, and nothing left behind.

mod asked;
mod calls;
mod engines;
mod leaks;
mod options;
mod pods;
mod ranked;
mod same;
mod wrong;
