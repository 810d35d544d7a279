//! Limits on real cgroups of this machine's version, each in a subtree of its
//! own that is removed whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};
use packrank_core::spec::{Device, Object, Resources};
use packrank_core::value::Value;
use packrank_kernel::live::{
    Applied, Error, Limit, Means, Place, Scale, apply, of_key, of_resources,
};
use packrank_skipped::skipped;

const ROOT: &str = "/sys/fs/cgroup";
const V1: [&str; 6] = ["cpu", "memory", "blkio", "pids", "cpuset", "hugetlb"];

struct Lab {
    name: String,
    folders: Vec<PathBuf>,
    place: Place,
    children: Vec<Child>,
}

impl Lab {
    fn make(test: &str) -> Option<Lab> {
        let name = format!("packrank-live-{test}-{}", std::process::id());
        let v2 = Path::new(ROOT).join("cgroup.controllers").exists();
        let tops: Vec<PathBuf> = if v2 {
            // What the children of the root are given.
            for controller in ["cpu", "cpuset", "memory", "io", "pids"] {
                let file = Path::new(ROOT).join("cgroup.subtree_control");
                let _ = fs::write(file, format!("+{controller}"));
            }
            vec![ROOT.into()]
        } else {
            let all = V1.iter().map(|name| Path::new(ROOT).join(name));
            all.filter(|top| top.join("cgroup.procs").exists())
                .collect()
        };
        let folders: Vec<PathBuf> = tops.iter().map(|top| top.join(&name)).collect();
        if folders.is_empty() || folders.iter().any(|folder| fs::create_dir(folder).is_err()) {
            folders
                .iter()
                .for_each(|folder| drop(fs::remove_dir(folder)));
            skipped(test, "no cgroups can be made here");
            return None;
        }
        let cgroups: BTreeMap<String, PathBuf> = match v2 {
            true => [("unified".to_owned(), format!("/{name}").into())].into(),
            false => tops
                .iter()
                .filter_map(|top| top.file_name()?.to_str())
                .map(|controller| (controller.to_owned(), format!("/{name}").into()))
                .collect(),
        };
        let place = Place::open(Path::new(ROOT), &cgroups).unwrap();
        Some(Lab {
            name,
            folders,
            place,
            children: Vec::new(),
        })
    }

    fn v2(&self) -> bool {
        self.folders[0].parent() == Some(Path::new(ROOT))
    }

    fn says(&self, controller: &str, file: &str) -> String {
        let top = if self.v2() {
            PathBuf::from(ROOT)
        } else {
            Path::new(ROOT).join(controller)
        };
        let text = fs::read_to_string(top.join(&self.name).join(file)).unwrap();
        text.trim().to_owned()
    }

    fn apply(&self, limits: &[Limit]) -> Result<Applied, Error> {
        apply(&self.place, limits, None)
    }

    fn set(&self, key: Key, text: &str) -> Result<Applied, Error> {
        let means = Means {
            devices: &[],
            guarantee_file: GuaranteeFile::Low,
            page_sizes: &BTreeSet::new(),
            scale: Scale::Linear,
        };
        let limits = of_key(key, &Value::parse(key, text).unwrap(), means).unwrap();
        self.apply(&limits)
    }

    /// A shell that is charged to the memory cgroup.
    fn shell(&mut self, script: &str) -> u32 {
        let folder = match self.v2() {
            true => self.folders[0].clone(),
            false => Path::new(ROOT).join("memory").join(&self.name),
        };
        let script = format!("echo $$ >{}/cgroup.procs; {script}", folder.display());
        let mut shell = Command::new("sh");
        let child = shell
            .args(["-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    fn memory(&self) -> u64 {
        let file = if self.v2() {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        self.says("memory", file).parse().unwrap()
    }

    fn wait_for(&self, what: impl Fn(&Lab) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !what(self) {
            assert!(Instant::now() < until, "not in time");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn processes(&self) -> String {
        self.says("memory", "cgroup.procs")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for folder in &self.folders {
            for _ in 0..200 {
                for pid in fs::read_to_string(folder.join("cgroup.procs"))
                    .unwrap_or_default()
                    .lines()
                {
                    // Only processes that this test put there.
                    let _ = Command::new("kill").args(["-KILL", pid]).status();
                }
                if fs::remove_dir(folder).is_ok() || !folder.exists() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The number of a whole disk of this machine.
fn disk() -> Option<Device> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten();
    let real = disks.filter(|disk| disk.path().join("device").exists());
    let dev = real.filter_map(|disk| fs::read_to_string(disk.path().join("dev")).ok());
    dev.filter_map(|text| {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Device {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    })
    .min()
}

#[test]
fn a_specs_limits_are_the_kernels() {
    let Some(lab) = Lab::make("spec") else { return };
    let Some(Device { major, minor }) = disk() else {
        return;
    };
    let throttle = format!(r#"[{{"major": {major}, "minor": {minor}, "rate": 20971520}}]"#);
    let text = format!(
        r#"{{"cpu": {{"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"}},
        "memory": {{"limit": 536870912, "swap": 536870912, "reservation": 8192}},
        "pids": {{"limit": 512}}, "blockIO": {{"throttleReadBpsDevice": {throttle}}},
        "unified": {{"memory.high": "483183820"}}}}"#
    );
    let object = Object::parse(&text, "linux.resources").unwrap();
    let limits = of_resources(&Resources::read(&object).unwrap(), Scale::Linear);
    let applied = lab.apply(&limits).unwrap();
    println!("{applied:#?}");
    let device = format!("{major}:{minor}");
    let wanted: &[(&str, &str, &str)] = if lab.v2() {
        &[
            ("cpu", "cpu.weight", "20"),
            ("cpu", "cpu.max", "50000 100000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("memory", "memory.max", "536870912"),
            ("memory", "memory.high", "483180544"),
            ("memory", "memory.low", "8192"),
            ("memory", "memory.swap.max", "0"),
            ("pids", "pids.max", "512"),
        ]
    } else {
        &[
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("memory", "memory.limit_in_bytes", "536870912"),
            ("memory", "memory.memsw.limit_in_bytes", "536870912"),
            ("memory", "memory.soft_limit_in_bytes", "8192"),
            ("pids", "pids.max", "512"),
        ]
    };
    for (controller, file, text) in wanted {
        assert_eq!(lab.says(controller, file), *text, "{file}");
    }
    let rates = match lab.v2() {
        true => (
            "io.max",
            format!("{device} rbps=20971520 wbps=max riops=max wiops=max"),
        ),
        false => (
            "blkio.throttle.read_bps_device",
            format!("{device} 20971520"),
        ),
    };
    assert_eq!(lab.says("blkio", rates.0), rates.1);
    assert_eq!(lab.apply(&limits).unwrap().changes, []);
    // And looser again, one by one.
    let gone = Limit::Throttle(2, Device { major, minor }, Amount::Unlimited);
    assert_eq!(lab.apply(&[gone]).unwrap().changes.len(), 1);
    assert_eq!(lab.says("blkio", rates.0), "");
    for (key, text) in [
        (Key::CpuQuota, "unlimited"),
        (Key::Pids, "unlimited"),
        (Key::MemoryLimit, "1Gi"),
        (Key::MemorySwap, "64Mi"),
        (Key::MemoryLimit, "unlimited"),
    ] {
        lab.set(key, text).unwrap();
        assert_eq!(lab.set(key, text).unwrap().changes, [], "{key}={text}");
    }
}

#[test]
fn values_that_depend_on_each_other() {
    let Some(lab) = Lab::make("depend") else {
        return;
    };
    let quota = |quota, burst| {
        let (quota, period) = (Amount::At(quota), Some(100_000));
        [Limit::Quota { quota, period }, Limit::Burst(burst)]
    };
    // Up: the quota first; down: the burst first.
    for (q, b) in [(50_000, 40_000), (20_000, 10_000), (90_000, 80_000)] {
        lab.apply(&quota(q, b)).unwrap();
        assert_eq!(lab.apply(&quota(q, b)).unwrap().changes, [], "{q} {b}");
    }
    // Memory with swap, up and down; on version 1 one bounds the other.
    for (m, s) in [(64 << 20, 0), (256 << 20, 64 << 20), (32 << 20, 1 << 20)] {
        let memory = [Limit::Memory(Amount::At(m)), Limit::Swap(Amount::At(s))];
        lab.apply(&memory).unwrap();
        assert_eq!(lab.apply(&memory).unwrap().changes, [], "{m} {s}");
    }
    // An idle cgroup takes no weight, until it is idle no more.
    if Path::new(&lab.folders[0]).join("cpu.idle").exists() {
        lab.apply(&[Limit::Idle(true)]).unwrap();
        assert!(lab.apply(&[Limit::Shares(2048, Scale::Linear)]).is_err());
        lab.apply(&[Limit::Shares(2048, Scale::Linear), Limit::Idle(false)])
            .unwrap();
    }
    let refused = lab.apply(&[
        Limit::Cpus("4000-4010".to_owned()),
        Limit::Pids(Amount::At(7)),
    ]);
    println!("{}", refused.unwrap_err());
    assert_eq!(lab.says("pids", "pids.max"), "7");
}

#[test]
fn a_limit_falls_to_what_can_be_taken_back_and_no_further() {
    let Some(mut lab) = Lab::make("lower") else {
        return;
    };
    // 64 MiB of cache: taken back. On a disk, since a tmpfs keeps its pages.
    let file = Path::new("/var/tmp").join(&lab.name);
    let write = format!(
        "dd if=/dev/zero of={} bs=1M count=64 conv=fsync 2>/dev/null",
        file.display()
    );
    lab.shell(&write);
    lab.wait_for(|lab| lab.memory() > 60 << 20 && lab.processes().is_empty());
    lab.set(Key::MemoryLimit, "16Mi").unwrap();
    assert!(lab.memory() <= 16 << 20);
    fs::remove_file(&file).unwrap();
    // 48 MiB of a process's own, and no swap: not taken back, nobody killed.
    lab.set(Key::MemoryLimit, "unlimited").unwrap();
    let _ = lab.set(Key::MemorySwap, "0");
    lab.shell("dd if=/dev/zero bs=48M 2>/dev/null | sleep 600");
    lab.wait_for(|lab| lab.memory() > 48 << 20);
    let before = lab.processes();
    let error = lab.set(Key::MemoryLimit, "16Mi").unwrap_err();
    println!("{error}");
    assert!(
        matches!(error, Error::InUse { used, .. } if used > 48 << 20),
        "{error}"
    );
    assert_eq!(lab.processes(), before);
}

#[test]
fn a_cgroup_that_is_gone_is_gone() {
    let Some(lab) = Lab::make("gone") else { return };
    lab.folders
        .iter()
        .for_each(|folder| fs::remove_dir(folder).unwrap());
    let error = lab.set(Key::Pids, "5").unwrap_err();
    let Error::Cgroup(error) = error else {
        panic!("{error}")
    };
    assert!(error.is_gone(), "{error}");
}
