//! packrank's own programs, which must stand beside each other.
//!
//! In: the folder this program was started from. Out: a line for each, with
//! what its lack costs.

use super::{Finding, Patient, or_lack};

/// Each program, and what does not happen without it.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "packrank-runtime",
        "no engine can hand a container to packrank",
    ),
    (
        "packrank-hook",
        "network and disk space are not limited, and nothing is recorded",
    ),
    (
        "packrank-watcher",
        "limits hold, but nobody reacts to pressure",
    ),
    ("packrank-engine", "containers need runc, crun or youki"),
];

pub(super) fn findings(patient: &Patient) -> Vec<Finding> {
    if !patient.own {
        return Vec::new();
    }
    let own = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let one = |(name, cost): (&'static str, &str)| {
        let there = own.with_file_name(name).is_file();
        or_lack(
            name,
            there,
            "beside packrank",
            &format!("not beside packrank: {cost}"),
        )
    };
    PROGRAMS.into_iter().map(one).collect()
}
