//! The cgroup hierarchies: which version, which controllers, which files.
//!
//! In: the folder that is `/sys/fs/cgroup`. Out: [`Cgroups`].

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{names, read};

/// How the hierarchies are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy per controller.
    V1,
    /// Controllers in version 1, an empty version 2 beside them.
    Hybrid,
    /// One hierarchy.
    V2,
    /// No cgroups found.
    None,
}

impl Layout {
    /// The word people use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Layout::V1 => "v1",
            Layout::Hybrid => "hybrid",
            Layout::V2 => "v2",
            Layout::None => "none",
        }
    }
}

/// The cgroup hierarchies and what they can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// How they are mounted.
    pub layout: Layout,
    /// The controllers that containers are held by: version 2's under v2,
    /// version 1's otherwise.
    pub controllers: BTreeSet<String>,
    /// Whether a cgroup can be marked idle.
    pub cpu_idle: bool,
    /// Whether swap is accounted for each cgroup.
    pub swap: bool,
    /// The file that takes I/O weights, by its kernel name.
    pub io_weight: Option<&'static str>,
    /// Whether only what was delegated to this user is counted: the hierarchy
    /// itself is not his to write.
    pub delegated: bool,
}

/// cpu.idle came with Linux 5.15 (kernel/sched, commit 304000390f88).
const CPU_IDLE_SINCE: (u32, u32) = (5, 15);

impl Cgroups {
    /// Looks at `root`; at the kernel's release and at whether it has swap only
    /// where that says something.
    pub(super) fn probe(
        root: &Path,
        kernel: impl FnOnce() -> (u32, u32),
        swap: impl FnOnce() -> bool,
    ) -> Cgroups {
        if let Some(list) = read(&root.join("cgroup.controllers")) {
            return Cgroups {
                layout: Layout::V2,
                controllers: list.split_whitespace().map(str::to_owned).collect(),
                cpu_idle: kernel() >= CPU_IDLE_SINCE,
                swap: swap(),
                io_weight: v2_weight(root),
                delegated: false,
            };
        }
        let mut controllers = BTreeSet::new();
        // Joint mounts such as `cpu,cpuacct` carry a link for each part.
        for name in names(root).iter().filter(|name| !name.starts_with('.')) {
            controllers.extend(name.split(',').map(str::to_owned));
        }
        let hybrid = root.join("unified/cgroup.controllers").exists();
        controllers.remove("unified");
        controllers.remove("systemd");
        Cgroups {
            layout: match (controllers.is_empty(), hybrid) {
                (true, _) => Layout::None,
                (false, true) => Layout::Hybrid,
                (false, false) => Layout::V1,
            },
            cpu_idle: kernel() >= CPU_IDLE_SINCE,
            swap: root.join("memory/memory.memsw.limit_in_bytes").exists(),
            io_weight: v1_weight(&root.join("blkio")),
            delegated: false,
            controllers,
        }
    }

    /// Leaves the controllers that a user's own service manager was given:
    /// those of `user@UID.service`, if a container is to be put there and it
    /// may be written. An engine without root fails over any other.
    pub(super) fn delegate(&mut self, root: &Path, user: Option<u32>) {
        let list = user.and_then(|user| {
            let slice = root.join(format!("user.slice/user-{user}.slice/user@{user}.service"));
            writable(&slice).then(|| read(&slice.join("cgroup.controllers")))?
        });
        let list = list.unwrap_or_default();
        self.controllers = list.split_whitespace().map(str::to_owned).collect();
        self.delegated = true;
    }

    /// Whether the containers' hierarchy is version 2.
    #[must_use]
    pub fn v2(&self) -> bool {
        self.layout == Layout::V2
    }

    /// Whether the containers' hierarchy has the controller.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.contains(controller)
    }
}

/// Whether this process may make something in the folder.
pub(super) fn writable(folder: &Path) -> bool {
    accessat(CWD, folder, Access::WRITE_OK, AtFlags::empty()).is_ok()
}

/// bfq's own file is passed over: crun writes blkio.weight whatever there is,
/// and fails where that is missing.
fn v1_weight(root: &Path) -> Option<&'static str> {
    let file = "blkio.weight";
    root.join(file).exists().then_some(file)
}

/// io.weight exists below the root only; io.cost.qos, which the same kernel
/// option brings, exists at the root only.
fn v2_weight(root: &Path) -> Option<&'static str> {
    if root.join("io.cost.qos").exists() {
        return Some("io.weight");
    }
    let files = ["io.weight", "io.bfq.weight"];
    files.into_iter().find(|file| somewhere(root, file))
}

/// Whether the folder or one of its direct children has the file.
fn somewhere(folder: &Path, file: &str) -> bool {
    let children = std::fs::read_dir(folder).into_iter().flatten().flatten();
    folder.join(file).exists()
        || children
            .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
            .any(|entry| entry.path().join(file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if file.ends_with("cgroup.controllers") {
                "cpu io memory pids\n"
            } else {
                ""
            };
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_user_has_what_was_delegated_to_him() {
        let service = "user.slice/user-7.slice/user@7.service/cgroup.controllers";
        let root = tree(&["cgroup.controllers", service]);
        let probed = || Cgroups::probe(root.path(), || (6, 12), || true);
        fs::write(root.path().join(service), "memory pids\n").unwrap();
        for (user, has) in [(Some(7), true), (Some(8), false), (None, false)] {
            let mut cgroups = probed();
            cgroups.delegate(root.path(), user);
            assert_eq!((cgroups.has("memory"), cgroups.has("io")), (has, false));
            assert!(cgroups.delegated && cgroups.v2());
        }
    }

    #[test]
    fn the_three_layouts() {
        let v2 = tree(&["cgroup.controllers", "io.cost.qos"]);
        let v2 = Cgroups::probe(v2.path(), || (6, 12), || true);
        assert_eq!(
            (v2.layout, v2.cpu_idle, v2.io_weight),
            (Layout::V2, true, Some("io.weight"))
        );
        assert!(v2.has("io") && !v2.has("hugetlb"));

        let hybrid = tree(&[
            "cpu/tasks",
            "memory/memory.memsw.limit_in_bytes",
            "systemd/tasks",
            "unified/cgroup.controllers",
        ]);
        let hybrid = Cgroups::probe(hybrid.path(), || (6, 12), || true);
        assert_eq!(hybrid.layout, Layout::Hybrid);
        assert!(hybrid.swap && hybrid.cpu_idle);
        assert_eq!(hybrid.controllers.len(), 2);

        let v1 = tree(&["cpu,cpuacct/tasks", "blkio/blkio.weight"]);
        let v1 = Cgroups::probe(v1.path(), || (4, 19), || true);
        assert_eq!(
            (v1.layout, v1.io_weight),
            (Layout::V1, Some("blkio.weight"))
        );
        assert!(v1.has("cpu") && v1.has("cpuacct") && !v1.swap);

        assert_eq!(
            Cgroups::probe(tree(&[]).path(), || (6, 1), || true).layout,
            Layout::None
        );
    }
}
