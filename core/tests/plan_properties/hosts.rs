//! Hosts to plan for, as folders with the files that tell them apart.
//!
//! In: a [`HostKind`]. Out: the [`Host`] that is found in its folder.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use packrank_core::host::{Host, Roots};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
pub enum HostKind {
    /// cgroup v2 with everything.
    Two,
    /// cgroup v2 on an old kernel: no io.weight, no cpu.idle, no hugetlb, no
    /// capabilities.
    TwoPoor,
    /// cgroup v1, swap accounted.
    One,
    /// v1 controllers with an empty v2 beside them, swap not accounted.
    Hybrid,
    /// No cgroups at all.
    Nothing,
}

pub fn kind() -> impl Strategy<Value = HostKind> {
    prop_oneof![
        4 => Just(HostKind::Two),
        2 => Just(HostKind::TwoPoor),
        2 => Just(HostKind::One),
        1 => Just(HostKind::Hybrid),
        1 => Just(HostKind::Nothing),
    ]
}

impl HostKind {
    pub fn host(self) -> Host {
        static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
        let all = FOLDER.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for kind in [
                HostKind::Two,
                HostKind::TwoPoor,
                HostKind::One,
                HostKind::Hybrid,
            ] {
                kind.make(&folder.path().join(format!("{kind:?}")));
            }
            folder
        });
        Host::probe(Roots::under(&all.path().join(format!("{self:?}"))))
    }

    fn make(self, folder: &Path) {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/devices/system/cpu/online", "0-7\n");
        write("proc/meminfo", "MemTotal:       8388608 kB\n");
        write("proc/self/oom_score_adj", "0\n");
        let (all, none) = ("000001ffffffffff", "0000000000000000");
        match self {
            HostKind::Two => {
                write(
                    "sys/fs/cgroup/cgroup.controllers",
                    "cpuset cpu io memory hugetlb pids\n",
                );
                write("sys/fs/cgroup/io.cost.qos", "");
                write(
                    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
                    "0\n",
                );
                write("proc/swaps", "");
                write("proc/sys/kernel/osrelease", "6.12.3\n");
                write("proc/self/status", &format!("CapEff:\t{all}\n"));
            }
            HostKind::TwoPoor => {
                write("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n");
                write("proc/swaps", "");
                write("proc/sys/kernel/osrelease", "5.10.0\n");
                write("proc/self/status", &format!("CapEff:\t{none}\n"));
                let limits = "Max open files            1024                 2048                 files     \n";
                write("proc/self/limits", limits);
            }
            HostKind::One | HostKind::Hybrid => {
                for controller in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb"] {
                    write(&format!("sys/fs/cgroup/{controller}/tasks"), "");
                }
                write("sys/fs/cgroup/blkio/blkio.bfq.weight", "");
                write("proc/self/status", &format!("CapEff:\t{all}\n"));
                if matches!(self, HostKind::One) {
                    write("sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "");
                    write(
                        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
                        "0\n",
                    );
                } else {
                    write("sys/fs/cgroup/unified/cgroup.controllers", "");
                }
            }
            HostKind::Nothing => {}
        }
    }
}
