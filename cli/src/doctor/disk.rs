//! Disks: whether a quota can be set where engines keep containers, and
//! whether metrics can time requests.
//!
//! In: the mount table, the kernel's description of its types. Out: one line
//! for each file system that holds an engine's containers, and one for that.

use std::path::Path;

use packrank_core::host::FileSystem;

use super::{Finding, Mark, Patient, finding, or_lack};

/// Where Docker, containerd, and Podman and CRI-O keep writable layers.
const STORES: [&str; 3] = [
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
];

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    let mut systems: Vec<(FileSystem, &str)> = Vec::new();
    for store in STORES {
        let Some(system) = patient.host.file_system(Path::new(store)) else {
            continue;
        };
        if !systems.iter().any(|(known, _)| known.point == system.point) {
            systems.push((system, store));
        }
    }
    let line = |(system, _): &(FileSystem, &str)| quota(system);
    let mut findings: Vec<Finding> = systems.iter().map(line).collect();
    if systems.is_empty() {
        let says = "no mount table: disk.space is left out";
        findings.push(finding(Mark::Lack, "quota", says));
    }
    findings.push(requests(patient));
    findings
}

/// Whether BPF is allowed only loading it would tell; so does the help text of
/// the metric.
fn requests(patient: &Patient) -> Finding {
    let types = patient.roots.sys.join("kernel/btf/vmlinux");
    or_lack(
        "requests",
        types.exists(),
        "the kernel describes its types: metrics time each request where BPF is allowed",
        "no /sys/kernel/btf/vmlinux: pack_io_latency_seconds is an estimate",
    )
}

fn quota(system: &FileSystem) -> Finding {
    let point = system.point.display();
    let kind = system.kind.as_str();
    let on = ["prjquota", "pquota"];
    let counted = system.options.iter().any(|o| on.contains(&o.as_str()));
    match kind {
        "ext4" | "xfs" | "f2fs" if counted => finding(
            Mark::Ok,
            "quota",
            format!("{point} ({kind}): project quota is on"),
        ),
        "ext4" | "xfs" | "f2fs" => finding(
            Mark::Lack,
            "quota",
            format!("{point} ({kind}): no prjquota, disk.space is left out"),
        ),
        _ => finding(
            Mark::Lack,
            "quota",
            format!("{point} ({kind}): has no project quota, disk.space is left out"),
        ),
    }
}
