//! What dockerd gives to its runtime.

use serde_json::{Value, json};

use super::{CAPABILITIES, MASKED, READONLY, Size, environment, seccomp};

/// `docker run` with nothing but its defaults.
pub fn docker(size: Size, annotations: Value) -> Value {
    let id = "4c01db0b339c".repeat(5) + "a1b2";
    let state = format!("/var/lib/docker/containers/{id}");
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"] }),
    ];
    for file in ["resolv.conf", "hostname", "hosts"] {
        mounts.push(json!({ "destination": format!("/etc/{file}"), "type": "bind", "source": format!("{state}/{file}"), "options": ["rbind", "rprivate"] }));
    }
    for n in 0..size.mounts {
        let write = if n % 3 == 0 { "rw" } else { "ro" };
        mounts.push(json!({ "destination": format!("/srv/data/{n}"), "type": "bind", "source": format!("/var/lib/docker/volumes/volume-{n}/_data"), "options": ["rbind", write, "rprivate"] }));
    }
    let mut env = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "HOSTNAME=4c01db0b339c".to_owned(),
    ];
    env.extend(environment(size.variables));
    let device = |kind: &str, major: i64, minor: i64| json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": "rwm" });
    let mut linux = json!({
        "sysctl": { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" },
        "resources": {
            "devices": [
                { "allow": false, "access": "rwm" },
                device("c", 1, 5), device("c", 1, 3), device("c", 1, 9), device("c", 1, 8),
                device("c", 5, 0), device("c", 5, 1),
                { "allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm" }
            ],
            "memory": { "disableOOMKiller": false },
            "cpu": { "shares": 0 },
            "pids": { "limit": 0 },
            "blockIO": { "weight": 0 }
        },
        "cgroupsPath": format!("system.slice:docker:{id}"),
        "namespaces": [
            { "type": "mount" }, { "type": "network" }, { "type": "uts" },
            { "type": "pid" }, { "type": "ipc" }, { "type": "cgroup" }
        ],
        "maskedPaths": MASKED,
        "readonlyPaths": READONLY
    });
    if size.seccomp {
        linux["seccomp"] = seccomp::profile();
    }
    json!({
        "ociVersion": "1.1.0",
        "process": {
            "user": { "uid": 0, "gid": 0, "additionalGids": [0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27] },
            "args": ["/docker-entrypoint.sh", "serve", "--verbose"],
            "env": env,
            "cwd": "/",
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
            "apparmorProfile": "docker-default",
            "oomScoreAdj": 0
        },
        "root": { "path": format!("/var/lib/docker/overlay2/{}/merged", "9d41b4f2".repeat(8)) },
        "hostname": "4c01db0b339c",
        "mounts": mounts,
        "hooks": { "prestart": [{ "path": "/proc/1200/exe", "args": ["libnetwork-setkey", "-exec-root=/var/run/docker", id, "b4a2f1"] }] },
        "annotations": annotations,
        "linux": linux
    })
}
