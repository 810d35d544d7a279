//! Trees as literals: what is written where, on both versions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use packrank_core::key::Key;
use packrank_core::record::GuaranteeFile;
use packrank_core::spec::{Device, Object, Resources};
use packrank_core::value::Value;

use super::*;

const UNIT: &str = "/lab.slice/lab-x.scope";

/// A line is `path = content`; the cgroup is `X`.
const V2: &str = "
    cgroup.controllers = cpu io memory
    X/cgroup.procs = 1
    X/cpu.weight = 100
    X/cpu.idle = 0
    X/cpu.max = max 100000
    X/cpu.max.burst = 0
    X/cpuset.cpus =
    X/memory.current = 0
    X/memory.max = max
    X/memory.high = max
    X/memory.low = 0
    X/memory.min = 0
    X/memory.swap.max = max
    X/memory.oom.group = 0
    X/pids.max = max
    X/io.max =
    X/io.weight = default 100
    X/hugetlb.2MB.max = max
    X/hugetlb.2MB.rsvd.max = max
";

const V1: &str = "
    cpu/cgroup.procs = 1
    cpu/X/cgroup.procs = 1
    cpu/X/cpu.shares = 1024
    cpu/X/cpu.cfs_quota_us = -1
    cpu/X/cpu.cfs_period_us = 100000
    memory/cgroup.procs = 1
    memory/X/cgroup.procs = 1
    memory/X/memory.limit_in_bytes = 9223372036854771712
    memory/X/memory.memsw.limit_in_bytes = 9223372036854771712
    memory/X/memory.soft_limit_in_bytes = 9223372036854771712
    blkio/cgroup.procs = 1
    blkio/X/cgroup.procs = 1
    blkio/X/blkio.throttle.read_bps_device =
    blkio/X/blkio.bfq.weight = 100
    pids/cgroup.procs = 1
    pids/X/cgroup.procs = 1
    pids/X/pids.max = max
    cpuset/cgroup.procs = 1
    cpuset/X/cgroup.procs = 1
    cpuset/X/cpuset.cpus = 0-3
    hugetlb/cgroup.procs = 1
    hugetlb/X/cgroup.procs = 1
    hugetlb/X/hugetlb.2MB.limit_in_bytes = 9223372036854771712
    hugetlb/X/hugetlb.2MB.rsvd.limit_in_bytes = 9223372036854771712
";

struct Tree {
    folder: tempfile::TempDir,
    place: Place,
}

impl Tree {
    fn grow(text: &str) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let own = UNIT.trim_start_matches('/');
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (path, content) = line.split_once(" =").unwrap();
            let path = folder.path().join(path.replace('X', own));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.trim_start()).unwrap();
        }
        let names = [
            "unified", "cpu", "memory", "blkio", "pids", "cpuset", "hugetlb",
        ];
        let cgroups: BTreeMap<String, PathBuf> = names
            .iter()
            .map(|n| ((*n).to_owned(), UNIT.into()))
            .collect();
        let place = Place::open(folder.path(), &cgroups).unwrap();
        Tree { folder, place }
    }

    fn says(&self, file: &str) -> String {
        let own = Path::new(file.split_once(':').map_or("", |(c, _)| c));
        let name = file.split_once(':').map_or(file, |(_, name)| name);
        let path = self.folder.path().join(own).join(&UNIT[1..]).join(name);
        fs::read_to_string(path).unwrap().trim().to_owned()
    }
}

/// A systemd that takes every property but one.
#[derive(Default)]
struct Told {
    properties: RefCell<Vec<String>>,
    refuses: &'static str,
}

impl Units for Told {
    fn set(&self, unit: &str, properties: &[Property]) -> Result<(), Error> {
        assert_eq!(unit, "lab-x.scope");
        if properties.iter().any(|p| p.name == self.refuses) {
            let (unit, problem) = (unit.to_owned(), "no".to_owned());
            return Err(Error::Systemd { unit, problem });
        }
        let words = properties.iter().map(ToString::to_string);
        self.properties.borrow_mut().extend(words);
        Ok(())
    }
}

fn resources(text: &str) -> Vec<Limit> {
    let object = Object::parse(text, "linux.resources").unwrap();
    of_resources(&Resources::read(&object).unwrap(), Scale::Linear)
}

const SPEC: &str = r#"{
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1"},
    "memory": {"limit": 536870912, "swap": 536870912, "reservation": 8192},
    "pids": {"limit": 512},
    "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
    "unified": {"memory.high": "483183820", "memory.oom.group": "1"}
}"#;

#[test]
fn a_spec_in_version_2() {
    let tree = Tree::grow(V2);
    let told = Told::default();
    let limits = resources(SPEC);
    let applied = apply(&tree.place, &limits, Some(&told)).unwrap();
    assert_eq!(applied.missing, []);
    for (file, text) in [
        ("cpu.weight", "20"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("memory.max", "536870912"),
        ("memory.high", "483183820"),
        ("memory.low", "8192"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", "512"),
        ("io.max", "8:0 rbps=7"),
        ("hugetlb.2MB.max", "0"),
        ("hugetlb.2MB.rsvd.max", "0"),
    ] {
        assert_eq!(tree.says(file), text, "{file}");
        assert!(
            applied
                .changes
                .iter()
                .any(|c| c.file == file && c.new == text)
        );
    }
    let words = told.properties.take().join(" ");
    assert_eq!(
        words,
        "CPUWeight=20 CPUQuotaPeriodUSec=100000 CPUQuotaPerSecUSec=500000 AllowedCPUs=[03] \
         MemoryMax=536870912 MemorySwapMax=0 MemoryLow=8192 TasksMax=512 \
         IOReadBandwidthMax=/dev/block/8:0 7 MemoryHigh=483183820"
    );
    let again = apply(&tree.place, &limits, Some(&told)).unwrap();
    assert_eq!(again.changes, []);
    // What systemd was told it is told again: it may have forgotten.
    assert_eq!(again.told.len(), 10);
}

#[test]
fn a_spec_in_version_1() {
    let tree = Tree::grow(V1);
    let limits = resources(SPEC);
    let applied = apply(&tree.place, &limits, Some(&Told::default())).unwrap();
    for (file, text) in [
        ("cpu:cpu.shares", "512"),
        ("cpu:cpu.cfs_quota_us", "50000"),
        ("cpuset:cpuset.cpus", "0-1"),
        ("memory:memory.limit_in_bytes", "536870912"),
        ("memory:memory.memsw.limit_in_bytes", "536870912"),
        ("memory:memory.soft_limit_in_bytes", "8192"),
        ("pids:pids.max", "512"),
        ("blkio:blkio.throttle.read_bps_device", "8:0 7"),
        ("hugetlb:hugetlb.2MB.limit_in_bytes", "0"),
        ("hugetlb:hugetlb.2MB.rsvd.limit_in_bytes", "0"),
    ] {
        assert_eq!(tree.says(file), text, "{file}");
    }
    let missing: Vec<&str> = applied.missing.iter().map(|m| m.file.as_str()).collect();
    assert_eq!(missing, ["memory.high", "memory.oom.group"]);
    assert_eq!(applied.told, []);
    assert_eq!(apply(&tree.place, &limits, None).unwrap().changes, []);
}

#[test]
fn an_older_systemd_keeps_what_it_knows() {
    let tree = Tree::grow(V2);
    let told = Told {
        refuses: "AllowedCPUs",
        ..Told::default()
    };
    let applied = apply(&tree.place, &resources(SPEC), Some(&told)).unwrap();
    let untold: Vec<&str> = applied.untold.iter().map(|p| p.name).collect();
    assert_eq!(untold, ["AllowedCPUs"]);
    assert_eq!(told.properties.borrow().len(), 9);
    assert_eq!(tree.says("cpuset.cpus"), "0-1");

    let idle = [Limit::Idle(true)];
    let refuses = Told {
        refuses: "CPUWeight",
        ..Told::default()
    };
    let error = apply(&tree.place, &idle, Some(&refuses)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "systemd does not take the limits of lab-x.scope: no"
    );
    assert_eq!(tree.says("cpu.idle"), "1");
}

fn set(tree: &Tree, key: Key, text: &str) -> Result<Vec<String>, Error> {
    let sizes = BTreeSet::from(["2MB".to_owned()]);
    let means = Means {
        devices: &[Device { major: 8, minor: 0 }],
        guarantee_file: GuaranteeFile::Min,
        page_sizes: &sizes,
        scale: Scale::Curve,
    };
    let limits = of_key(key, &Value::parse(key, text).unwrap(), means)?;
    let applied = apply(&tree.place, &limits, None)?;
    let missing = applied
        .missing
        .into_iter()
        .map(|m| format!("no {}", m.file));
    let changes = applied.changes.into_iter();
    let changes = changes.map(|c| format!("{}: {} -> {}", c.file, c.old, c.new));
    Ok(changes.chain(missing).collect())
}

#[test]
fn one_setting_at_a_time() {
    let (v2, v1) = (Tree::grow(V2), Tree::grow(V1));
    for (key, text, in_v2, in_v1) in [
        (
            Key::CpuShares,
            "2",
            "cpu.weight: 100 -> 1",
            "cpu.shares: 1024 -> 2",
        ),
        (
            Key::CpuQuota,
            "12.5%",
            "cpu.max: max 100000 -> 12500 100000",
            "cpu.cfs_quota_us: -1 -> 12500",
        ),
        (
            Key::CpuQuota,
            "unlimited",
            "cpu.max: 12500 100000 -> max 100000",
            "cpu.cfs_quota_us: 12500 -> -1",
        ),
        (Key::CpuIdle, "true", "cpu.idle: 0 -> 1", "no cpu.idle"),
        (
            Key::MemoryHigh,
            "8Mi",
            "memory.high: max -> 8388608",
            "no memory.high",
        ),
        (
            Key::MemoryGuarantee,
            "0",
            "",
            "memory.soft_limit_in_bytes: 9223372036854771712 -> 4096",
        ),
        (Key::Pids, "5", "pids.max: max -> 5", "pids.max: max -> 5"),
        (
            Key::IoReadBps,
            "1Mi",
            "io.max:  -> 8:0 rbps=1048576",
            "blkio.throttle.read_bps_device:  -> 8:0 1048576",
        ),
        (
            Key::IoReadBps,
            "unlimited",
            "io.max: 8:0 rbps=1048576 -> 8:0 rbps=max",
            "blkio.throttle.read_bps_device: 8:0 1048576 -> 8:0 0",
        ),
        (
            Key::IoWeight,
            "5000",
            "io.weight: default 100 -> 5000",
            "blkio.bfq.weight: 100 -> 1000",
        ),
    ] {
        for (tree, wanted) in [(&v2, in_v2), (&v1, in_v1)] {
            let done = set(tree, key, text).unwrap();
            let wanted: Vec<&str> = wanted.split_terminator(", ").collect();
            assert_eq!(done, wanted, "{key}={text}");
        }
    }
    for (key, text) in [
        (Key::NetworkEgress, "1Mbit"),
        (Key::OomScore, "5"),
        (Key::DiskSpace, "1Gi"),
    ] {
        let error = set(&v2, key, text).unwrap_err();
        assert!(matches!(error, Error::NotHere { .. }), "{error}");
    }
}

#[test]
fn memory_and_swap_of_version_1_move_together() {
    let tree = Tree::grow(V1);
    let changes = set(&tree, Key::MemoryLimit, "8Mi").unwrap();
    assert_eq!(
        changes,
        ["memory.limit_in_bytes: 9223372036854771712 -> 8388608"]
    );
    let changes = set(&tree, Key::MemorySwap, "1Mi").unwrap();
    assert_eq!(
        changes,
        ["memory.memsw.limit_in_bytes: 9223372036854771712 -> 9437184"]
    );
    let changes = set(&tree, Key::MemoryLimit, "16Mi").unwrap();
    assert_eq!(
        changes,
        [
            "memory.limit_in_bytes: 8388608 -> 16777216",
            "memory.memsw.limit_in_bytes: 9437184 -> 17825792"
        ]
    );
}

#[test]
fn a_limit_does_not_fall_below_what_stays_in_use() {
    let tree = Tree::grow(&V2.replace("memory.current = 0", "memory.current = 67108864"));
    let error = set(&tree, Key::MemoryLimit, "8Mi").unwrap_err();
    let words = "would go to 8388608 bytes, and 67108864 are in use that cannot be taken back";
    assert!(error.to_string().ends_with(words), "{error}");
    assert_eq!(tree.says("memory.max"), "max");
    assert_eq!(set(&tree, Key::MemoryLimit, "64Mi").unwrap().len(), 1);
}

#[test]
fn an_io_class_where_the_kernel_has_one() {
    let idle = [Limit::IoClass("idle")];
    for (tree, file, says) in [
        (V2, "X/io.prio.class = no-change\n", "io.prio.class"),
        (
            V1,
            "blkio/X/blkio.prio.class = no-change\n",
            "blkio:blkio.prio.class",
        ),
    ] {
        let without = Tree::grow(tree);
        let applied = apply(&without.place, &idle, None).unwrap();
        assert_eq!((applied.changes.len(), applied.missing.len()), (0, 1));
        let with = Tree::grow(&format!("{tree}{file}"));
        assert_eq!(apply(&with.place, &idle, None).unwrap().missing, []);
        assert_eq!(with.says(says), "idle");
    }
}
