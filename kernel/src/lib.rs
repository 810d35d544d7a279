//! Every effect on a running kernel.

pub mod cgroup;
pub mod disk;
pub mod live;
pub mod net;
pub mod pressure;
pub mod process;
pub mod procfs;
pub mod requests;
