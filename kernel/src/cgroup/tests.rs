//! Trees as literals, and this machine's own hierarchies where it has them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};
use packrank_skipped::skipped;
use proptest::prelude::*;

use super::*;

/// Writes a tree of files; a line is `path = content`.
fn tree(root: &Path, text: &str) {
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (path, content) = line.split_once(" = ").unwrap();
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.replace('|', "\n")).unwrap();
    }
}

fn paths(pairs: &[(&str, &str)]) -> BTreeMap<String, PathBuf> {
    pairs
        .iter()
        .map(|(c, p)| ((*c).to_owned(), PathBuf::from(p)))
        .collect()
}

const V2: &str = "
    cgroup.controllers = cpu io memory
    a/b/cgroup.procs = 1
    a/b/cgroup.events = populated 1|frozen 0
    a/b/cgroup.freeze = 0
    a/b/memory.current = 4096
    a/b/memory.stat = anon 1|inactive_file 10|active_file 5|file_dirty 3|file_writeback 1|slab_reclaimable 4
    a/b/memory.events = low 0|high 2|max 7|oom 1
    a/b/memory.high = max
    a/b/memory.low = 0
    a/b/cpu.stat = usage_usec 99|throttled_usec 3
    a/b/cpu.max = max 100000
    a/b/io.max = |
    a/b/io.stat = 8:0 rbytes=1 wbytes=2 rios=3 wios=4|8:16 rbytes=10 wbytes=20 rios=30 wios=40
";

const V1: &str = "
    memory/cgroup.procs = 1
    memory/x/cgroup.procs = 5|6
    memory/x/memory.usage_in_bytes = 4096
    memory/x/memory.stat = total_inactive_file 14|total_active_file 5|total_dirty 3|total_writeback 1
    memory/x/memory.failcnt = 7
    memory/x/memory.soft_limit_in_bytes = 9223372036854771712
    cpu/cgroup.procs = 1
    cpu/x/cgroup.procs = 5
    cpu/x/cpu.stat = nr_periods 1|throttled_time 3000
    cpu/x/cpu.cfs_quota_us = -1
    cpu/x/cpu.cfs_period_us = 50000
    cpuacct/cgroup.procs = 1
    cpuacct/x/cgroup.procs = 5
    cpuacct/x/cpuacct.usage = 99000
    blkio/cgroup.procs = 1
    blkio/x/cgroup.procs = 5
    blkio/x/blkio.throttle.io_service_bytes_recursive = 8:0 Read 11|8:0 Write 22|8:0 Total 33|Total 33
    blkio/x/blkio.throttle.io_serviced_recursive = 8:0 Read 33|8:0 Write 44|Total 77
    blkio/x/blkio.throttle.write_bps_device = |
";

fn fake(text: &str, names: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
    let root = tempfile::tempdir().unwrap();
    tree(root.path(), text);
    let cgroup = Cgroup::open(&Mounts::find(root.path()).unwrap(), &paths(names)).unwrap();
    (root, cgroup)
}

const X: [(&str, &str); 4] = [
    ("memory", "/x"),
    ("cpu", "/x"),
    ("cpuacct", "/x"),
    ("blkio", "/x"),
];

#[test]
fn both_versions_tell_the_same() {
    for (text, names) in [(V2, &[("unified", "/a/b")][..]), (V1, &X[..])] {
        let (_root, cgroup) = fake(text, names);
        let mut buffer = [0; 4096];
        let mut read = |figure| cgroup.reader(figure).unwrap().read(&mut buffer).unwrap();
        assert_eq!(read(Figure::Memory), Some(4096));
        assert_eq!(read(Figure::Cache), Some(15));
        assert_eq!(read(Figure::CpuUsed), Some(99));
        assert_eq!(read(Figure::CpuThrottled), Some(3));
        let pair = cgroup
            .reader(Figure::IoBytes)
            .unwrap()
            .pair(&mut [0; 512])
            .unwrap();
        assert_eq!(pair, [11, 22]);
        let limits = cgroup.reader(Figure::AtLimit).unwrap();
        let high = if text == V2 { 2 } else { 0 };
        assert_eq!(limits.pair(&mut [0; 512]).unwrap(), [7, high]);
        assert!(cgroup.populated().unwrap());
        assert_eq!(
            cgroup.value(Key::MemoryHigh).unwrap(),
            Some(Amount::Unlimited)
        );
        assert_eq!(
            cgroup.value(Key::CpuQuota).unwrap(),
            Some(Amount::Unlimited)
        );
    }
}

#[test]
fn limits_are_written_in_each_versions_own_words() {
    let set = |cgroup: &Cgroup, key, amount| {
        cgroup.set(key, amount, &["8:0".to_owned()], GuaranteeFile::Low)
    };
    let (root, cgroup) = fake(V2, &[("unified", "/a/b")]);
    let file = |name: &str| fs::read_to_string(root.path().join("a/b").join(name)).unwrap();
    set(&cgroup, Key::CpuQuota, Amount::At(50_000)).unwrap();
    assert_eq!(file("cpu.max"), "50000 100000");
    set(&cgroup, Key::MemoryHigh, Amount::At(4096)).unwrap();
    assert!(file("memory.high").starts_with("4096"));
    set(&cgroup, Key::IoWriteBps, Amount::Unlimited).unwrap();
    assert_eq!(file("io.max").trim(), "8:0 wbps=max");
    set(&cgroup, Key::MemoryGuarantee, Amount::At(7)).unwrap();
    assert_eq!(file("memory.low"), "7");
    let refused = set(&cgroup, Key::MemoryLimit, Amount::At(7));
    assert!(
        matches!(refused, Err(CgroupError::NotOffered { .. })),
        "{refused:?}"
    );

    let (root, cgroup) = fake(V1, &X);
    let file = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    set(&cgroup, Key::CpuQuota, Amount::At(50_000)).unwrap();
    assert_eq!(file("cpu/x/cpu.cfs_quota_us"), "25000");
    set(&cgroup, Key::IoWriteBps, Amount::At(1000)).unwrap();
    assert_eq!(
        file("blkio/x/blkio.throttle.write_bps_device").trim(),
        "8:0 1000"
    );
}

#[test]
fn the_disk_with_the_least_is_told() {
    let (root, cgroup) = fake(V2, &[("unified", "/a/b")]);
    assert_eq!(cgroup.io_rates(), [None, None]);
    let text =
        "8:0 rbps=2000 wbps=max riops=5 wiops=max\n8:16 rbps=1000 wbps=max riops=max wiops=max\n";
    fs::write(root.path().join("a/b/io.max"), text).unwrap();
    assert_eq!(cgroup.io_rates(), [Some(1000), None]);
    let (root, cgroup) = fake(V1, &X);
    assert_eq!(cgroup.io_rates(), [None, None]);
    let file = "blkio/x/blkio.throttle.write_bps_device";
    fs::write(root.path().join(file), "8:0 3000\n8:16 400\n").unwrap();
    assert_eq!(cgroup.io_rates(), [None, Some(400)]);
}

#[test]
fn paths_that_climb_or_name_only_roots_are_refused() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path(), V2);
    let mounts = Mounts::find(root.path()).unwrap();
    for path in ["/", "", "/../etc", "a/../b"] {
        let opened = Cgroup::open(&mounts, &paths(&[("unified", path)]));
        assert!(
            matches!(opened, Err(CgroupError::Foreign { .. })),
            "{path}: {opened:?}"
        );
    }
    let gone = Cgroup::open(&mounts, &paths(&[("unified", "/nowhere")])).unwrap_err();
    assert!(gone.is_gone(), "{gone}");
    assert!(Mounts::find(&root.path().join("a")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (number(&bytes), flat(&bytes, b"max"), io_totals(&bytes), v1_totals(&bytes));
        let _ = (parse::io_max(&bytes), parse::v1_least(&bytes));
        let _ = (meminfo(&bytes), parse::cpu_max(&bytes));
    }

    #[test]
    fn kernel_like_lines_do_not_panic(
        words in prop::collection::vec("8:0|rbytes=|=|[0-9]{1,25}|Read|max|\n| |kB|MemTotal:", 0..60)
    ) {
        let bytes = words.concat().into_bytes();
        let _ = (number(&bytes), flat(&bytes, b"max"), io_totals(&bytes), v1_totals(&bytes));
        let _ = (parse::io_max(&bytes), parse::v1_least(&bytes));
        let _ = (meminfo(&bytes), parse::cpu_max(&bytes));
    }
}

/// Cgroups of our own on the real kernel, removed whatever happens.
struct Real {
    names: BTreeMap<String, PathBuf>,
    folders: Vec<PathBuf>,
    child: Child,
}

impl Real {
    fn make(test: &str) -> Option<(Real, Cgroup)> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("packrank-test-{test}-{}", std::process::id());
        let mounts = Mounts::find(root).ok()?;
        let mut names = BTreeMap::new();
        let mut folders = Vec::new();
        let v2 = mounts.version() == Version::V2;
        let wanted: &[&str] = if v2 {
            &["unified"]
        } else {
            &["unified", "memory", "cpu", "freezer"]
        };
        for controller in wanted {
            let Some(top) = mounts.root(controller) else {
                continue;
            };
            let folder = top.path().join(&name);
            if fs::create_dir(&folder).is_ok() {
                names.insert((*controller).to_owned(), Path::new("/").join(&name));
                folders.push(folder);
            }
        }
        let child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let real = Real {
            names,
            folders,
            child,
        };
        for folder in &real.folders {
            fs::write(folder.join("cgroup.procs"), real.child.id().to_string()).ok()?;
        }
        let cgroup = Cgroup::open(&mounts, &real.names).ok()?;
        Some((real, cgroup))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for folder in &self.folders {
            let thaw = folder.join("freezer.state");
            let _ = thaw.exists().then(|| fs::write(thaw, "THAWED"));
            // A process that has just ended holds its cgroup for a moment.
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn a_real_cgroup_is_frozen_limited_and_killed() {
    let Some((mut real, cgroup)) = Real::make("kill") else {
        return skipped("a real cgroup", "none can be made here");
    };
    assert!(cgroup.populated().unwrap());
    assert_eq!(cgroup.processes().unwrap(), [real.child.id()]);
    cgroup.freeze().unwrap();
    assert_eq!(cgroup.frozen().unwrap(), Some(true));
    if cgroup.value(Key::CpuQuota).unwrap().is_some() {
        let half = Amount::At(50_000);
        cgroup
            .set(Key::CpuQuota, half, &[], GuaranteeFile::Low)
            .unwrap();
        assert_eq!(cgroup.value(Key::CpuQuota).unwrap(), Some(half));
    }
    // Frozen, it still dies.
    cgroup.kill().unwrap();
    assert!(!real.child.wait().unwrap().success());
    assert!(!cgroup.populated().unwrap());
}

#[test]
fn a_real_cgroup_that_goes_between_two_reads_is_gone() {
    let Some((real, cgroup)) = Real::make("gone") else {
        return skipped("a real cgroup", "none can be made here");
    };
    let reader = cgroup
        .reader(Figure::Memory)
        .or(cgroup.reader(Figure::CpuUsed));
    drop(real);
    let reader = reader.map(|r| r.read(&mut [0; 64]));
    assert!(!matches!(reader, Some(Ok(Some(1..)))), "{reader:?}");
    assert!(cgroup.freeze().unwrap_err().is_gone());
    assert!(cgroup.processes().unwrap_err().is_gone());
}

#[test]
fn a_signal_reaches_only_the_process_that_was_meant() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let started = start_time(child.id()).unwrap();
    assert!(
        Cgroup::signal(child.id(), started + 1, 15)
            .unwrap_err()
            .is_gone()
    );
    Cgroup::signal(child.id(), started, 15).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(Cgroup::signal(child.id(), started, 15).is_err());
}

#[test]
fn the_nodes_memory_is_read_with_what_cannot_be_allocated() {
    let text = b"MemTotal: 1000 kB\nMemAvailable: 60 kB\nSwapFree: 8 kB\nHugetlb: 900 kB\n";
    let kib = |n: u64| n * 1024;
    let memory = Meminfo {
        total: kib(1000),
        available: kib(60),
        huge: kib(900),
        swap_free: kib(8),
    };
    assert_eq!(meminfo(text), Some(memory));
    let old = b"MemTotal: 1000 kB\nMemAvailable: 60 kB\nHugePages_Total: 3\nHugepagesize: 100 kB\n";
    assert_eq!(
        meminfo(old).map(|m| (m.huge, m.swap_free)),
        Some((kib(300), 0))
    );
    assert_eq!(meminfo(b"MemTotal: 1000 kB\n"), None);
}

#[test]
fn the_nodes_own_reclaim_and_what_zfs_gives_back() {
    let text = b"pgscan_kswapd 5\npgscan_direct 7\npgscan_direct_throttle 9\n";
    let scanned = Reclaim {
        background: 5,
        direct: 7,
    };
    assert_eq!(reclaim(text), Some(scanned));
    assert_eq!(reclaim(b"nr_free_pages 1\n"), None);
    let text =
        b"12 1 0x01\nname type data\nsize                            4    900\nc_min    4 300\n";
    assert_eq!(arc(text), Some(600));
    assert_eq!(
        (arc(b"size 4 1\nc_min 4 300\n"), arc(b"size 4\n")),
        (Some(0), None)
    );
}
