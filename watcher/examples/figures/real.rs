//! A thousand real packs, for instruments: cgroups with a process each, and
//! their records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use packrank_core::Priority;
use packrank_core::record::Record;
use packrank_kernel::cgroup::{Mounts, Version, start_time};
use serde_json::json;

/// A line of a table: median, least and most.
pub fn row(what: &str, spans: &mut [Duration]) {
    spans.sort();
    let us = |at: usize| spans[at].as_secs_f64() * 1e6;
    let (half, last) = (spans.len() / 2, spans.len() - 1);
    println!(
        "  {what:<32} {:>10.1} {:>10.1} {:>10.1}",
        us(half),
        us(0),
        us(last)
    );
}

/// A pack's record.
pub fn record(number: usize, pid: u32, cgroups: &BTreeMap<String, PathBuf>) -> Record {
    let class = Priority::ALL[number % 5];
    serde_json::from_value(json!({
        "version": 1, "id": format!("pack-{number}"), "priority": class.name(), "pid": pid,
        "started": start_time(pid).unwrap_or(0), "cgroups": cgroups, "bundle": "/", "engine": "/",
        // What every built-in class sets.
        "settings": {
            "memory.limit": 1u64 << 30, "memory.high": 1u64 << 29, "memory.guarantee": 1u64 << 28,
            "cpu.quota": 100, "io.read-bps": 1u64 << 26, "io.write-bps": 1u64 << 26,
            "io.read-iops": 1_000, "io.write-iops": 1_000,
        },
        "devices": ["7:0"],
    }))
    .unwrap()
}

/// Cgroups with a sleeping process each, removed at the end.
pub struct Real {
    pub mounts: Mounts,
    pub pods: Vec<(Child, BTreeMap<String, PathBuf>, Vec<PathBuf>)>,
}

impl Real {
    pub fn make(count: usize) -> Option<Real> {
        let mounts = Mounts::find(Path::new("/sys/fs/cgroup")).ok()?;
        let wanted: &[&str] = match mounts.version() {
            Version::V2 => &["unified"],
            Version::V1 => &["unified", "memory", "cpu", "cpuacct", "blkio", "freezer"],
        };
        let mut real = Real {
            mounts,
            pods: Vec::new(),
        };
        for number in 0..count {
            let name = format!("packrank-test-figures-{}-{number}", std::process::id());
            let child = Command::new("sleep")
                .arg("900")
                .stdin(Stdio::null())
                .spawn()
                .ok()?;
            let (mut names, mut folders) = (BTreeMap::new(), Vec::new());
            for controller in wanted {
                let Some(root) = real.mounts.root(controller) else {
                    continue;
                };
                let folder = root.path().join(&name);
                fs::create_dir(&folder).ok()?;
                fs::write(folder.join("cgroup.procs"), child.id().to_string()).ok()?;
                names.insert((*controller).to_owned(), Path::new("/").join(&name));
                folders.push(folder);
            }
            real.pods.push((child, names, folders));
        }
        Some(real)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for (child, _, folders) in &mut self.pods {
            let _ = child.kill();
            let _ = child.wait();
            for folder in folders {
                for _ in 0..100 {
                    if fs::remove_dir(&*folder).is_ok() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}
