//! Disk space: whether a quota can be set where engines keep containers.
//!
//! In: the mount table. Out: one line for each file system that holds an
//! engine's containers.

use std::path::Path;

use packrank_core::host::FileSystem;

use super::{Finding, Mark, Patient, finding};

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
    if systems.is_empty() {
        let says = "no mount table: disk.space is left out";
        return vec![finding(Mark::Lack, "quota", says)];
    }
    let line = |(system, _): &(FileSystem, &str)| quota(system);
    systems.iter().map(line).collect()
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
