//! A seccomp profile of the kind that engines bring: everything usual allowed
//! by name, some by argument, the rest refused.

use serde_json::{Value, json};

/// What no container is to call without a capability.
const WITHHELD: [&str; 34] = [
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "mount",
    "move_mount",
    "move_pages",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "swapoff",
    "swapon",
    "userfaultfd",
];

pub fn profile() -> Value {
    let all = include_str!("syscalls.txt").lines();
    let names: Vec<&str> = all.filter(|name| !WITHHELD.contains(name)).collect();
    let equal = |value: u64| json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" });
    let personality = |value: u64| json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [equal(value)] });
    let mut calls = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    calls.extend([0, 8, 0x20000, 0x20008, 0xffff_ffff].map(personality));
    calls.push(json!({
        "names": ["clone"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": 0, "value": 2_114_060_288u64, "op": "SCMP_CMP_MASKED_EQ" }]
    }));
    calls.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": calls
    })
}
