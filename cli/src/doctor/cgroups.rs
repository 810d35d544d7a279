//! The cgroup hierarchies: controllers, files, pressure.
//!
//! In: the host. Out: what each class setting is worth on it.

use std::path::Path;

use packrank_core::host::Layout;

use super::features::Support;
use super::{Finding, Mark, Patient, finding, or_lack};

/// Controllers and what their lack costs; the last two by version.
const CONTROLLERS: [(&str, &str); 4] = [
    ("cpu", "cpu.shares, cpu.quota and cpu.idle are left out"),
    ("cpuset", "cpu.affinity is left out"),
    ("memory", "every memory.* setting is left out"),
    ("pids", "pids is left out: a fork bomb meets no limit"),
];

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    let host = &patient.host;
    let cgroups = &host.cgroups;
    let v2 = cgroups.v2();
    let mut found = vec![layout(cgroups.layout)];
    if cgroups.layout == Layout::None {
        return found;
    }
    for (name, cost) in CONTROLLERS {
        found.push(or_lack(name, cgroups.has(name), "controller", cost));
    }
    let io = if v2 { "io" } else { "blkio" };
    found.push(or_lack(
        io,
        cgroups.has(io),
        "controller",
        "every io.* setting but io.priority is left out",
    ));
    found.push(or_lack(
        "hugetlb",
        cgroups.has("hugetlb"),
        "controller",
        "huge pages cannot be withheld from any class",
    ));
    found.push(or_lack(
        "cpu.idle",
        cgroups.cpu_idle,
        "scavengers run when nobody else would",
        "Linux 5.15 has it: scavengers keep their small weight",
    ));
    found.push(match v2 {
        true => finding(
            Mark::Ok,
            "memory.high",
            "growth is slowed before the limit kills",
        ),
        false => finding(
            Mark::Lack,
            "memory.high",
            "v2 only: growth is not slowed, the limit kills",
        ),
    });
    found.push(match v2 {
        true => finding(
            Mark::Ok,
            "memory.min/low",
            "guarantees hold, as far as the parents have them",
        ),
        false => finding(
            Mark::Lack,
            "memory.min/low",
            "v2 only: guarantees become soft limits",
        ),
    });
    found.push(or_lack(
        "swap",
        cgroups.swap,
        "accounted for each container",
        "memory.swap is left out (boot with swapaccount=1)",
    ));
    found.push(throttles(patient, io));
    found.push(match cgroups.io_weight {
        Some(file) => finding(Mark::Ok, "io.weight", format!("disks are shared by {file}")),
        None => finding(
            Mark::Lack,
            "io.weight",
            "no iocost, no bfq: io.weight is left out",
        ),
    });
    found.push(pressure(patient));
    found
}

fn layout(layout: Layout) -> Finding {
    match layout {
        Layout::V2 => finding(Mark::Ok, "layout", "v2: one hierarchy, everything can hold"),
        Layout::Hybrid => finding(
            Mark::Note,
            "layout",
            "hybrid: limits are held by the v1 controllers",
        ),
        Layout::V1 => finding(
            Mark::Note,
            "layout",
            "v1: limits hold; what is v2's own is left out",
        ),
        Layout::None => finding(
            Mark::Lack,
            "layout",
            "no cgroups found: nothing can be limited",
        ),
    }
}

/// Throttles are a file below the root, which an empty hierarchy does not
/// show; then the kernel's configuration speaks.
fn throttles(patient: &Patient, controller: &str) -> Finding {
    let cgroups = &patient.host.cgroups;
    let root = patient.roots.sys.join("fs/cgroup");
    let seen = match cgroups.v2() {
        true => child_has(&root, "io.max"),
        false => root.join("blkio/blkio.throttle.read_bps_device").exists(),
    };
    let built = || patient.features.support("CONFIG_BLK_DEV_THROTTLING", "");
    let there = "operations and bytes per second, by disk";
    let cost = "no throttles in this kernel: io.*-iops and io.*-bps fail";
    match (cgroups.has(controller), seen) {
        (false, _) => finding(Mark::Lack, "io.max", "without the controller there is none"),
        (true, true) => finding(Mark::Ok, "io.max", there),
        (true, false) => match built() {
            Support::Present => finding(Mark::Ok, "io.max", there),
            Support::Unknown => finding(
                Mark::Note,
                "io.max",
                "cannot be seen while no cgroup uses it",
            ),
            _ => finding(Mark::Lack, "io.max", cost),
        },
    }
}

fn child_has(root: &Path, file: &str) -> bool {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
        .any(|entry| entry.path().join(file).exists())
}

fn pressure(patient: &Patient) -> Finding {
    let root = patient.roots.sys.join("fs/cgroup");
    let in_cgroups = [root.clone(), root.join("unified")]
        .iter()
        .any(|hierarchy| {
            hierarchy.join("memory.pressure").exists() || child_has(hierarchy, "memory.pressure")
        });
    match (patient.host.psi(), in_cgroups) {
        (true, true) => finding(Mark::Ok, "pressure (PSI)", "of the node and of each cgroup"),
        (true, false) => finding(
            Mark::Note,
            "pressure (PSI)",
            "of the node alone: no single container's",
        ),
        (false, _) => finding(
            Mark::Lack,
            "pressure (PSI)",
            "the watcher is blind to pressure (boot with psi=1)",
        ),
    }
}
