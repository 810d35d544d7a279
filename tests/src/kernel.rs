//! What the kernel says of a process.
//!
//! In: its number. Out: the text of its cgroup's files and of its /proc, for
//! each setting that has one, on cgroup v1 and v2.

use std::fs;
use std::path::{Path, PathBuf};

use packrank_core::key::Key;
use packrank_core::plan::Plan;
use packrank_core::value::Value;

/// Where a setting is read back, and what should stand there.
#[derive(Debug)]
pub struct Reading {
    /// The file or the place in /proc, as the kernel names it.
    pub place: String,
    /// What the plan makes of it.
    pub planned: String,
    /// What stands there.
    pub found: String,
}

const PAGE: u64 = 4096;

/// The reading for a key; `None` where the kernel has no single place for it.
pub fn read(pid: u32, key: Key, plan: &Plan, v2: bool) -> Option<Reading> {
    let number = plan.number(key);
    let cgroup = |controller: &str, v1: &str, file: &str, planned: String| {
        let name = if v2 { file } else { v1 };
        let path = folder(pid, if v2 { "" } else { controller })?.join(name);
        let found =
            fs::read_to_string(path).map_or_else(|e| e.to_string(), |t| t.trim().to_owned());
        Some(Reading {
            place: name.to_owned(),
            planned,
            found,
        })
    };
    let pages = |n: u64| (n / PAGE * PAGE).to_string();
    let idle = plan.value(Key::CpuIdle) == Some(&Value::Switch(true));
    match key {
        Key::CpuShares if idle => None,
        Key::CpuShares => {
            let shares = number?;
            let planned = if v2 {
                weight(shares).to_string()
            } else {
                shares.to_string()
            };
            cgroup("cpu", "cpu.shares", "cpu.weight", planned)
        }
        Key::CpuIdle if idle => cgroup("cpu", "cpu.idle", "cpu.idle", "1".to_owned()),
        Key::CpuQuota => {
            let quota = number?;
            let planned = if v2 {
                format!("{quota} 100000")
            } else {
                quota.to_string()
            };
            cgroup("cpu", "cpu.cfs_quota_us", "cpu.max", planned)
        }
        Key::MemoryLimit => cgroup(
            "memory",
            "memory.limit_in_bytes",
            "memory.max",
            pages(number?),
        ),
        Key::MemoryHigh => cgroup("memory", "", "memory.high", pages(number?)),
        Key::MemoryGuarantee => {
            let bytes = if v2 { number? } else { number?.max(PAGE) };
            cgroup(
                "memory",
                "memory.soft_limit_in_bytes",
                plan.guarantee_file.name(),
                pages(bytes),
            )
        }
        Key::MemorySwap => {
            let limit = if v2 {
                0
            } else {
                plan.number(Key::MemoryLimit)?
            };
            cgroup(
                "memory",
                "memory.memsw.limit_in_bytes",
                "memory.swap.max",
                pages(limit + number?),
            )
        }
        Key::Pids => cgroup("pids", "pids.max", "pids.max", number?.to_string()),
        Key::IoReadBps | Key::IoWriteBps | Key::IoReadIops | Key::IoWriteIops => {
            throttle(pid, key, plan, v2)
        }
        Key::OomScore => {
            let Some(Value::Score(score)) = plan.value(key) else {
                return None;
            };
            let found = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?;
            Some(Reading {
                place: "oom_score_adj".to_owned(),
                planned: score.to_string(),
                found: found.trim().to_owned(),
            })
        }
        Key::Nofile => {
            let Some(Value::Files { soft, hard }) = plan.value(key) else {
                return None;
            };
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
            let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
            let mut words = line.split_whitespace().skip(3);
            Some(Reading {
                place: "limits: open files".to_owned(),
                planned: format!("{soft}/{hard}"),
                found: format!("{}/{}", words.next()?, words.next()?),
            })
        }
        _ => None,
    }
}

/// cpu.weight by libcontainer's conversion (as runc's since 1.3.2): a curve
/// through 2 to 1, 1024 to 100 and 262144 to 10000, rounded up.
fn weight(shares: u64) -> f64 {
    let l = (shares as f64).log2();
    10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil()
}

/// One throttle on the plan's first disk.
fn throttle(pid: u32, key: Key, plan: &Plan, v2: bool) -> Option<Reading> {
    let rate = plan.number(key)?;
    let device = plan.disks.first()?.device;
    let (v1, word) = match key {
        Key::IoReadBps => ("blkio.throttle.read_bps_device", "rbps"),
        Key::IoWriteBps => ("blkio.throttle.write_bps_device", "wbps"),
        Key::IoReadIops => ("blkio.throttle.read_iops_device", "riops"),
        _ => ("blkio.throttle.write_iops_device", "wiops"),
    };
    let path = folder(pid, if v2 { "" } else { "blkio" })?.join(if v2 { "io.max" } else { v1 });
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(&format!("{device} ")));
    let found = line.and_then(|l| match v2 {
        true => l
            .split(' ')
            .find_map(|w| w.strip_prefix(&format!("{word}="))),
        false => Some(l),
    });
    Some(Reading {
        place: if v2 {
            format!("io.max {word}")
        } else {
            v1.to_owned()
        },
        planned: rate.to_string(),
        found: found.unwrap_or("nothing").to_owned(),
    })
}

/// Whether containers are held by cgroup v2 here.
#[must_use]
pub fn v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// What a file of the process's cgroup says, on v2 without a controller.
#[must_use]
pub fn file(pid: u32, controller: &str, name: &str) -> String {
    let path = folder(pid, controller).unwrap().join(name);
    fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .trim()
        .to_owned()
}

/// What its `cpu.idle` says; `None` where the kernel has none.
#[must_use]
pub fn idle(pid: u32) -> Option<String> {
    let controller = if v2() { "" } else { "cpu" };
    let there = folder(pid, controller)?.join("cpu.idle").exists();
    there.then(|| file(pid, controller, "cpu.idle"))
}

/// The folder of the process's cgroup in the controller's hierarchy.
pub fn folder(pid: u32, controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?;
        let path = fields.next()?;
        names
            .split(',')
            .any(|n| n == controller)
            .then(|| path.to_owned())
    })?;
    Some(
        Path::new("/sys/fs/cgroup")
            .join(controller)
            .join(path.trim_start_matches('/')),
    )
}
