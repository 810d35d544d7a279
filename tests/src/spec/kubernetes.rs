//! What the two container engines of Kubernetes give to their runtimes.

use serde_json::{Value, json};

use super::{CAPABILITIES, MASKED, READONLY, Size, environment, seccomp};

/// The engines' own annotations, and the pod's.
fn merged(own: Value, pods: Value) -> Value {
    let (Value::Object(mut all), Value::Object(pods)) = (own, pods) else {
        return Value::Null;
    };
    all.extend(pods);
    Value::Object(all)
}

/// A container of a pod under containerd's CRI.
pub fn containerd(size: Size, annotations: Value) -> Value {
    let pod = "/var/lib/kubelet/pods/0f6c2f9e-8a37-4f4f-9d3e-1f6a9b0a7c11";
    let mut spec = container(size, "system.slice:cri-containerd:5b7d", pod);
    spec["annotations"] = merged(
        json!({
            "io.kubernetes.cri.container-name": "web",
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.image-name": "registry.example/shop/web:1.4",
            "io.kubernetes.cri.sandbox-id": "a9c4",
            "io.kubernetes.cri.sandbox-name": "web-6d4b75cb6d-h2x7k",
            "io.kubernetes.cri.sandbox-namespace": "shop",
            "io.kubernetes.cri.sandbox-uid": "0f6c2f9e-8a37-4f4f-9d3e-1f6a9b0a7c11"
        }),
        annotations,
    );
    spec
}

/// A container of a pod under CRI-O.
pub fn crio(size: Size, annotations: Value) -> Value {
    let pod = "/var/lib/kubelet/pods/3a1e51aa-19ab-43c4-8a0e-3c58b3d5a9de";
    let mut spec = container(size, "kubepods-burstable.slice:crio:77aa", pod);
    spec["linux"]["resources"]["unified"] =
        json!({ "memory.oom.group": "0", "cpuset.cpus.partition": "member" });
    spec["annotations"] = merged(
        json!({
            "io.container.manager": "cri-o",
            "io.kubernetes.container.name": "cron",
            "io.kubernetes.cri-o.ContainerType": "container",
            "io.kubernetes.cri-o.Labels": "{\"io.kubernetes.container.name\":\"cron\",\"tier\":\"back\"}",
            "io.kubernetes.cri-o.SandboxID": "77aa",
            "io.kubernetes.pod.name": "cron-28",
            "io.kubernetes.pod.namespace": "kube-system"
        }),
        annotations,
    );
    spec
}

fn container(size: Size, cgroup: &str, pod: &str) -> Value {
    let bind = |to: &str, from: String, write: &str| json!({ "destination": to, "type": "bind", "source": from, "options": ["rbind", "rprivate", write] });
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] }),
        bind("/etc/hosts", format!("{pod}/etc-hosts"), "rw"),
        bind(
            "/dev/termination-log",
            format!("{pod}/containers/web/2b1f"),
            "rw",
        ),
        bind(
            "/var/run/secrets/kubernetes.io/serviceaccount",
            format!("{pod}/volumes/kubernetes.io~projected/kube-api-access"),
            "ro",
        ),
    ];
    mounts.extend((0..size.mounts).map(|n| {
        bind(
            &format!("/etc/config/{n}"),
            format!("{pod}/volumes/kubernetes.io~configmap/c{n}"),
            "ro",
        )
    }));
    let mut linux = json!({
        "resources": {
            "devices": [{ "allow": false, "access": "rwm" }],
            "memory": { "limit": 134_217_728, "swap": 134_217_728 },
            "cpu": { "shares": 102, "quota": 20_000, "period": 100_000 },
            "hugepageLimits": [{ "pageSize": "1GB", "limit": 0 }, { "pageSize": "2MB", "limit": 0 }]
        },
        "cgroupsPath": cgroup,
        "namespaces": [
            { "type": "pid" }, { "type": "ipc", "path": "/proc/2231/ns/ipc" },
            { "type": "uts", "path": "/proc/2231/ns/uts" }, { "type": "mount" },
            { "type": "network", "path": "/proc/2231/ns/net" }, { "type": "cgroup" }
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
            "user": { "uid": 0, "gid": 0 },
            "args": ["/web", "--listen", ":8080"],
            "env": environment(size.variables),
            "cwd": "/",
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
            "oomScoreAdj": 992
        },
        "root": { "path": "rootfs" },
        "mounts": mounts,
        "linux": linux
    })
}
