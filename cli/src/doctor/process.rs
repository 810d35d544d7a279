//! The host itself, and what this process may do on it.
//!
//! In: the host. Out: kernel, CPUs, memory and their sources; capabilities and
//! what their lack costs.

use std::fs;

use packrank_core::quantity::ShowBytes;

use super::{Finding, Mark, Patient, finding, or_lack};

/// CAP_NET_ADMIN's and CAP_SYS_ADMIN's bits (capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

pub(super) fn host(patient: &Patient) -> Vec<Finding> {
    let host = &patient.host;
    let release = read(patient, "sys/kernel/osrelease");
    let kernel = match release.as_deref().map(str::trim) {
        Some(release) if !release.is_empty() => {
            finding(Mark::Ok, "kernel", format!("Linux {release}"))
        }
        _ => finding(Mark::Lack, "kernel", "not known: taken as too old"),
    };
    let cpus = match (host.online().iter().count(), host.cores().len()) {
        (0, _) => finding(
            Mark::Lack,
            "cpus",
            "cannot be seen: cpu.affinity is left at all",
        ),
        (cpus, cores) => finding(
            Mark::Ok,
            "cpus",
            format!("{cpus} ({}), {cores} cores", host.online()),
        ),
    };
    let memory = match host.memory() {
        Some((bytes, source)) => {
            let shown = ShowBytes(bytes);
            let whose = match source {
                "MemTotal" => "the whole machine, by MemTotal".to_owned(),
                "MEMORY_LIMIT_BYTES" => "by MEMORY_LIMIT_BYTES of the environment".to_owned(),
                file => format!("by {file}"),
            };
            finding(Mark::Ok, "memory", format!("{shown}: {whose}"))
        }
        None => finding(
            Mark::Lack,
            "memory",
            "cannot be seen: guarantees are not held to it",
        ),
    };
    let init = read(patient, "1/comm").unwrap_or_default();
    let init = match init.trim() {
        "systemd" => finding(
            Mark::Ok,
            "systemd",
            "runs: engines may use its cgroup driver",
        ),
        _ => finding(
            Mark::Note,
            "systemd",
            "does not run: engines need their cgroupfs driver",
        ),
    };
    let mut found = vec![kernel, cpus, memory, init];
    found.extend(confinement(patient));
    found
}

/// What else confines processes here, where something does.
fn confinement(patient: &Patient) -> Option<Finding> {
    let says = |file: &str| {
        let text = fs::read_to_string(patient.roots.sys.join(file)).ok()?;
        Some(text.trim().to_owned())
    };
    let selinux = says("fs/selinux/enforce");
    let apparmor = says("module/apparmor/parameters/enabled");
    match (selinux.as_deref(), apparmor.as_deref()) {
        (Some("1"), _) => Some(finding(
            Mark::Note,
            "SELinux",
            "enforces; packrank was not tried under it: where a container does not start, look for denials",
        )),
        (Some(_), _) => Some(finding(Mark::Note, "SELinux", "logs, and refuses nothing")),
        (None, Some("Y")) => Some(finding(
            Mark::Ok,
            "AppArmor",
            "on: the engines' profiles hold as without packrank",
        )),
        (None, _) => None,
    }
}

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    let host = &patient.host;
    let status = read(patient, "self/status").unwrap_or_default();
    let least = host.oom_score_adj();
    let resource = if host.sys_resource() {
        finding(
            Mark::Ok,
            "CAP_SYS_RESOURCE",
            "held: oom.score and nofile as the class says",
        )
    } else {
        finding(
            Mark::Lack,
            "CAP_SYS_RESOURCE",
            format!("oom.score not below {least}, nofile not above our own"),
        )
    };
    let files = match host.nofile_hard() {
        None => finding(Mark::Ok, "open files", "no hard limit of our own"),
        Some(most) => finding(Mark::Ok, "open files", format!("hard limit {most}")),
    };
    let pages = match host.page_sizes().is_empty() {
        true => finding(
            Mark::Note,
            "huge pages",
            "none: there is nothing to withhold",
        ),
        false => {
            let sizes: Vec<&str> = host.page_sizes().iter().map(String::as_str).collect();
            finding(Mark::Ok, "huge pages", sizes.join(", "))
        }
    };
    vec![
        or_lack(
            "CAP_SYS_ADMIN",
            capability(&status, CAP_SYS_ADMIN),
            "held",
            "not held: run as root to see what containers get",
        ),
        resource,
        or_lack(
            "CAP_NET_ADMIN",
            capability(&status, CAP_NET_ADMIN),
            "held: container networks can be shaped",
            "not held: all network.* settings are left out",
        ),
        files,
        pages,
    ]
}

fn read(patient: &Patient, name: &str) -> Option<String> {
    fs::read_to_string(patient.roots.proc.join(name)).ok()
}

/// Whether the effective set of a `/proc/self/status` holds the capability.
fn capability(status: &str, bit: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> bit & 1 == 1)
}
