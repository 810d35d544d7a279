//! What this node has.
//!
//! In: the folders that hold `/proc` and `/sys`, so that another host's can be
//! looked at. Out: a [`Host`]. Facts are discovered, never assumed; what
//! cannot be read is taken as absent.

mod cgroup;
mod device;
mod memory;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::process::{Resource, geteuid, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

pub use cgroup::{Cgroups, Layout};
pub use device::{Devices, Disk, FileSystem};

use crate::cpus::CpuSet;
use crate::spec::Spec;

/// Where a host's facts are read.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// The value of `MEMORY_LIMIT_BYTES`, where the environment has it.
    pub memory_limit: Option<String>,
    /// Whether they are this host's own, so that its paths can be looked at.
    pub own: bool,
}

impl Roots {
    /// This host's own.
    #[must_use]
    pub fn own() -> Roots {
        Roots {
            memory_limit: std::env::var("MEMORY_LIMIT_BYTES").ok(),
            own: true,
            ..Roots::under(Path::new("/"))
        }
    }

    /// Those under `folder/proc` and `folder/sys`.
    #[must_use]
    pub fn under(folder: &Path) -> Roots {
        Roots {
            proc: folder.join("proc"),
            sys: folder.join("sys"),
            memory_limit: None,
            own: false,
        }
    }

    fn cgroup(&self) -> PathBuf {
        self.sys.join("fs/cgroup")
    }

    /// Whether this process may write the hierarchy: who may not starts and
    /// ends containers as a user without root on the node.
    #[must_use]
    pub fn writable(&self) -> bool {
        !self.own || cgroup::writable(&self.cgroup())
    }

    fn kernel(&self) -> (u32, u32) {
        version(&read(&self.proc.join("sys/kernel/osrelease")).unwrap_or_default())
    }
}

/// Facts about a node. Each is looked up when it is first asked for: a plan
/// needs few of them, and a container waits for each.
#[derive(Debug)]
pub struct Host {
    /// The cgroup hierarchies and what they can do.
    pub cgroups: Cgroups,
    roots: Roots,
    kernel: OnceCell<(u32, u32)>,
    online: OnceCell<CpuSet>,
    memory: OnceCell<Option<(u64, &'static str)>>,
    page_sizes: OnceCell<BTreeSet<String>>,
    sys_resource: OnceCell<bool>,
    oom_score_adj: OnceCell<i16>,
    nofile_hard: OnceCell<Option<u64>>,
    cores: OnceCell<Vec<CpuSet>>,
}

/// CAP_SYS_RESOURCE's bit in /proc/self/status' masks (capability.h).
const CAP_SYS_RESOURCE: u32 = 24;

impl Host {
    /// Looks at the host.
    #[must_use]
    pub fn probe(roots: Roots) -> Host {
        Host {
            cgroups: Cgroups::probe(
                &roots.cgroup(),
                || roots.kernel(),
                || roots.proc.join("swaps").exists(),
            ),
            roots,
            kernel: OnceCell::new(),
            online: OnceCell::new(),
            memory: OnceCell::new(),
            page_sizes: OnceCell::new(),
            sys_resource: OnceCell::new(),
            oom_score_adj: OnceCell::new(),
            nofile_hard: OnceCell::new(),
            cores: OnceCell::new(),
        }
    }

    /// The same as seen by who starts a container of this spec: without the
    /// right to write the hierarchy, only what was delegated, by systemd alone.
    #[must_use]
    pub fn in_reach(mut self, spec: &Spec<'_>) -> Host {
        if !self.roots.writable() {
            let root = self.roots.cgroup();
            let systemd = spec.systemd_cgroup();
            let user = systemd.then(|| self.user()).flatten();
            self.cgroups.delegate(&root, user);
        }
        self
    }

    /// Who this process's user is outside its user namespace.
    fn user(&self) -> Option<u32> {
        outside(&self.proc("self/uid_map")?, geteuid().as_raw())
    }

    fn proc(&self, name: &str) -> Option<String> {
        read(&self.roots.proc.join(name))
    }

    /// Major and minor number of the kernel's release.
    pub fn kernel(&self) -> (u32, u32) {
        *self.kernel.get_or_init(|| self.roots.kernel())
    }

    /// The CPUs that are online.
    pub fn online(&self) -> &CpuSet {
        self.online.get_or_init(|| {
            read(&self.roots.sys.join("devices/system/cpu/online"))
                .and_then(|text| text.parse().ok())
                .unwrap_or_default()
        })
    }

    /// Memory of the place this runs in, in bytes, and which file said so.
    pub fn memory(&self) -> Option<(u64, &'static str)> {
        let look = || memory::limit(&self.roots, &self.proc("self/cgroup").unwrap_or_default());
        *self.memory.get_or_init(look)
    }

    /// Huge page sizes as cgroup files name them, such as `2MB`.
    pub fn page_sizes(&self) -> &BTreeSet<String> {
        self.page_sizes
            .get_or_init(|| page_sizes(&self.roots.sys.join("kernel/mm/hugepages")))
    }

    /// Whether CAP_SYS_RESOURCE is held: oom_score_adj may be lowered and hard
    /// limits raised. One held in a user namespace of its own counts for
    /// neither.
    pub fn sys_resource(&self) -> bool {
        *self.sys_resource.get_or_init(|| {
            if self.roots.own {
                // /proc would tell it for more than the rest of a plan costs.
                let own = capabilities(None);
                let held = own.is_ok_and(|c| c.effective.contains(CapabilitySet::SYS_RESOURCE));
                return held && self.proc("self/uid_map").is_none_or(|map| is_whole(&map));
            }
            let status = self.proc("self/status").unwrap_or_default();
            capability(&status, CAP_SYS_RESOURCE)
        })
    }

    /// This process's own oom_score_adj: the least that can be set without
    /// CAP_SYS_RESOURCE.
    pub fn oom_score_adj(&self) -> i16 {
        *self.oom_score_adj.get_or_init(|| {
            self.proc("self/oom_score_adj")
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0)
        })
    }

    /// This process's hard limit of open files; `None` is unlimited.
    pub fn nofile_hard(&self) -> Option<u64> {
        *self.nofile_hard.get_or_init(|| match self.roots.own {
            true => getrlimit(Resource::Nofile).maximum,
            false => nofile_hard(&self.proc("self/limits")?),
        })
    }

    /// Whether the kernel accounts pressure (PSI).
    #[must_use]
    pub fn psi(&self) -> bool {
        self.roots.proc.join("pressure/memory").exists()
    }

    /// The online CPUs by core: each entry one core's hardware threads. Read
    /// when first asked for, since few policies need it.
    pub fn cores(&self) -> &[CpuSet] {
        self.cores.get_or_init(|| {
            let mut cores: Vec<CpuSet> = Vec::new();
            for cpu in self.online().iter() {
                if cores.iter().any(|core| core.iter().any(|c| c == cpu)) {
                    continue;
                }
                let path = format!("devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
                let siblings = read(&self.roots.sys.join(path))
                    .and_then(|text| text.parse::<CpuSet>().ok())
                    .map(|set| set.intersection(self.online()))
                    .filter(|set| !set.is_empty());
                cores.push(siblings.unwrap_or_else(|| [cpu].into_iter().collect()));
            }
            cores
        })
    }

    /// The file system that holds `path`.
    #[must_use]
    pub fn file_system(&self, path: &Path) -> Option<FileSystem> {
        device::file_system(&self.roots, path)
    }

    /// The whole disks behind these paths.
    #[must_use]
    pub fn disks(&self, paths: &[PathBuf]) -> Devices {
        device::find(&self.roots, paths)
    }
}

/// A file's text; `None` when it cannot be read.
fn read(path: &Path) -> Option<String> {
    /// The kernel's files have no size of their own, and most fit in a page.
    const PAGE: usize = 4096;
    /// A mount table of a hundred thousand lines.
    const MOST: u64 = 16 << 20;
    let mut text = String::with_capacity(PAGE);
    let file = File::open(path).ok()?;
    file.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The names in a folder; none when it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    /// For the few names that the folders we look into have.
    const ROOM: usize = 2048;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(folder, flags, Mode::empty()) else {
        return Vec::new();
    };
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut entries = RawDir::new(folder, &mut room);
    let mut names = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        names.extend(entry.file_name().to_str().map(str::to_owned));
    }
    names
}

/// `6.12.3-amd64` is (6, 12); what cannot be read is (0, 0).
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-', '+']).map(|n| n.trim().parse());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Whether the effective set of a `/proc/self/status` holds the capability.
fn capability(status: &str, bit: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> bit & 1 == 1)
}

/// The hard limit in `/proc/self/limits`: its fifth word is the hard one.
fn nofile_hard(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
    line.split_whitespace().nth(4)?.parse().ok()
}

/// `hugepages-2048kB` is `2MB`, as the hugetlb controller's files name it.
fn page_sizes(folder: &Path) -> BTreeSet<String> {
    let names = names(folder);
    let sizes = names.iter().filter_map(|name| {
        let kb = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let kb: u64 = kb.parse().ok()?;
        Some(match kb {
            kb if kb % (1 << 20) == 0 => format!("{}GB", kb >> 20),
            kb if kb % (1 << 10) == 0 => format!("{}MB", kb >> 10),
            kb => format!("{kb}KB"),
        })
    });
    sizes.collect()
}

/// Whether this is the uid_map of the first user namespace: all ids as they are.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The user that a namespace's `id` is outside of it, by its uid_map: lines of
/// first id inside, first id outside, count.
fn outside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        let at = id.checked_sub(inside).filter(|at| *at < count)?;
        outside.checked_add(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_outside_its_namespace() {
        let map = "         0       1000          1\n         1     200000      65536\n";
        assert_eq!(outside(map, 0), Some(1000));
        assert_eq!(outside(map, 5), Some(200_004));
        assert_eq!(outside(map, 70_000), None);
        assert_eq!(outside("0 0 4294967295\n", 1000), Some(1000));
        assert_eq!(outside("x", 0), None);
        assert!(is_whole("         0          0 4294967295\n") && !is_whole(map));
    }
    use std::fs;

    #[test]
    fn small_readers() {
        assert_eq!(version("6.12.3-amd64\n"), (6, 12));
        assert_eq!(version("5.15-rc1"), (5, 15));
        assert_eq!(version(""), (0, 0));
        assert!(capability("CapEff:\t000001ffffffffff\n", CAP_SYS_RESOURCE));
        assert!(!capability("CapEff:\t000001fffeffffff\n", CAP_SYS_RESOURCE));
        assert!(!capability("", CAP_SYS_RESOURCE));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files     \n";
        assert_eq!(nofile_hard(limits), Some(524_288));
    }

    #[test]
    fn threads_of_a_core_stay_together() {
        let folder = tempfile::tempdir().unwrap();
        let cpu = folder.path().join("sys/devices/system/cpu");
        for (n, siblings) in ["0,2", "1,3", "0,2", "1,3"].iter().enumerate() {
            let topology = cpu.join(format!("cpu{n}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(
                topology.join("thread_siblings_list"),
                format!("{siblings}\n"),
            )
            .unwrap();
        }
        fs::write(cpu.join("online"), "0-3\n").unwrap();
        let host = Host::probe(Roots::under(folder.path()));
        let cores: Vec<String> = host.cores().iter().map(ToString::to_string).collect();
        assert_eq!(cores, ["0,2", "1,3"]);
    }

    #[test]
    fn nothing_at_all_is_no_crash() {
        let host = Host::probe(Roots::under(Path::new("/nonexistent")));
        assert!(host.cores().is_empty() && host.memory().is_none() && !host.psi());
    }
}
