//! Specs as the engines' callers write them.
//!
//! In: which caller, and how much of everything. Out: config.json's text, the
//! same each time.

mod docker;
mod kubernetes;
mod podman;
mod seccomp;

pub use docker::docker;
pub use kubernetes::{containerd, crio};
pub use podman::podman;

/// How large a spec is to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Environment variables.
    pub variables: usize,
    /// Bind mounts beside the usual ones.
    pub mounts: usize,
    /// Whether it has a seccomp profile.
    pub seccomp: bool,
}

/// A container of the busier kind: 27 to 30 KB with docker's members.
pub const BUSY: Size = Size {
    variables: 300,
    mounts: 16,
    seccomp: true,
};

/// `NAME=value` of many lengths.
fn environment(count: usize) -> Vec<String> {
    const WORDS: [&str; 8] = [
        "SERVICE", "HOST", "PORT", "TOKEN", "CACHE", "DATABASE", "REGION", "FEATURE",
    ];
    (0..count)
        .map(|n| {
            let (first, second) = (WORDS[n % 8], WORDS[n / 8 % 8]);
            let value = "abcdefghijklmnopqrstuvwxyz0123456789"
                .split_at(n * 7 % 24)
                .1;
            format!("{first}_{second}_{n}={value}")
        })
        .collect()
}

/// The paths that container engines hide from their containers.
const MASKED: [&str; 8] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The capabilities that docker gives.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
