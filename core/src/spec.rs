//! The OCI `config.json`: what a plan must know of it, and how a plan is
//! written into it.
//!
//! In: the document's bytes. Out: [`Spec`], the few parts we read, and, given a
//! plan, the document with the plan's members edited and every other byte as
//! it was.

mod facts;
mod hooks;
mod inform;
mod number;
mod object;
mod process;
mod resources;
mod rewrite;
mod security;

pub use facts::{Binding, Network, Nofile, SpecError};
pub use hooks::{Phase, add_hooks};
pub use object::{DocumentError, Object, quote};
pub use process::ProcessPart;
pub use resources::{Device, Resources};
pub use rewrite::{rewrite, write_resources};
pub use security::is_restricted;

use crate::place::Place;

/// The most of a config.json that is read. Engines' own are below 100 KB;
/// 300 environment variables and docker's seccomp profile make 30 KB.
pub const MOST_BYTES: usize = 16 << 20;

/// What a plan must know of a container's spec.
#[derive(Debug, Clone)]
pub struct Spec<'t> {
    /// The whole document.
    pub document: Object<'t>,
    /// Annotations, in order, duplicates included.
    pub annotations: Vec<(String, String)>,
    /// Where the container stands.
    pub place: Place,
    /// What the spec restricts already.
    pub resources: Resources,
    /// `process.rlimits`' RLIMIT_NOFILE.
    pub nofile: Option<Nofile>,
    /// `root.path`, as written.
    pub rootfs: Option<String>,
    /// Whether the root is mounted read-only.
    pub readonly: bool,
    /// Sources of the bind mounts.
    pub binds: Vec<Binding>,
    /// Whose network it has.
    pub network: Network,
    /// Whether its root is not the host's.
    pub user_namespace: bool,
    /// Whether it has a seccomp profile.
    pub seccomp: bool,
    /// Whether its processes may hold CAP_NET_ADMIN.
    pub net_admin: bool,
    /// Whether its processes may hold CAP_NET_RAW.
    pub net_raw: bool,
    /// `linux.cgroupsPath`, as written.
    pub cgroups_path: Option<String>,
}

impl Spec<'_> {
    /// Whether its cgroup is asked for in systemd's form, `SLICE:PREFIX:NAME`,
    /// which no other driver takes.
    #[must_use]
    pub fn systemd_cgroup(&self) -> bool {
        let path = self.cgroups_path.as_deref().unwrap_or_default();
        path.split(':').count() == 3 && !path.starts_with('/')
    }
}
