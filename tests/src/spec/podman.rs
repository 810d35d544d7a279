//! What Podman gives to its runtime.

use serde_json::{Value, json};

use super::{CAPABILITIES, MASKED, READONLY, Size, environment, seccomp};

/// A rootful `podman run` with limits of its own.
pub fn podman(size: Size, annotations: Value) -> Value {
    let id = "77be".repeat(16);
    let state = format!("/var/lib/containers/storage/overlay-containers/{id}/userdata");
    let bind = |to: &str, from: &str| json!({ "destination": to, "type": "bind", "source": from, "options": ["bind", "rprivate"] });
    let run = format!("/run/containers/storage/overlay-containers/{id}/userdata");
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] }),
        bind("/etc/resolv.conf", &format!("{run}/resolv.conf")),
        bind("/etc/hosts", &format!("{run}/hosts")),
        bind("/dev/shm", &format!("{state}/shm")),
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"] }),
    ];
    mounts.extend(
        (0..size.mounts).map(|n| bind(&format!("/data/{n}"), &format!("/srv/volumes/{n}"))),
    );
    let mut linux = json!({
        "resources": {
            "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm" }],
            "memory": { "limit": 209_715_200u64, "swap": 419_430_400u64 },
            "cpu": { "quota": 30_000, "period": 100_000, "cpus": "0-1" },
            "pids": { "limit": 2048 },
            "hugepageLimits": [],
            "unified": { "memory.high": "150M", "memory.zswap.max": "0" }
        },
        "cgroupsPath": format!("machine.slice:libpod:{id}"),
        "namespaces": [
            { "type": "pid" }, { "type": "network", "path": "/run/netns/netns-5c1e" },
            { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
        ],
        "maskedPaths": MASKED,
        "readonlyPaths": READONLY,
        "personality": { "domain": "LINUX" }
    });
    if size.seccomp {
        linux["seccomp"] = seccomp::profile();
    }
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": true,
            "user": { "uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [1000] },
            "args": ["python3", "-m", "http.server"],
            "env": environment(size.variables),
            "cwd": "/srv",
            "capabilities": { "bounding": CAPABILITIES },
            "rlimits": [
                { "type": "RLIMIT_NOFILE", "hard": 1_048_576, "soft": 1_048_576 },
                { "type": "RLIMIT_NPROC", "hard": 4_194_304, "soft": 4_194_304 }
            ],
            "oomScoreAdj": 0,
            "ioPriority": { "class": "IOPRIO_CLASS_RT", "priority": 2 }
        },
        "root": { "path": "/var/lib/containers/storage/overlay/5fd1/merged", "readonly": true },
        "hostname": "web",
        "mounts": mounts,
        "annotations": annotations,
        "linux": linux,
        "x-later-member": { "kept": ["as", "it", 15e-1] }
    })
}
