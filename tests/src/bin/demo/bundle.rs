//! A bundle made of busybox.
//!
//! In: a folder, a class, a command. Out: rootfs and config.json, as a
//! container engine would lay them out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use packrank_core::Priority;
use serde_json::json;

use crate::Outcome;

/// Makes `folder/name` a bundle.
pub fn make(
    folder: &Path,
    name: &str,
    class: Priority,
    command: &str,
    cpus: Option<&str>,
) -> Outcome<PathBuf> {
    let bundle = folder.join(name);
    let bin = bundle.join("rootfs/bin");
    for part in ["bin", "dev", "proc", "sys", "tmp"] {
        fs::create_dir_all(bundle.join("rootfs").join(part))?;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|p| Path::new(p).exists());
    let busybox = busybox.ok_or("busybox is needed: apt-get install busybox-static")?;
    fs::copy(busybox, bin.join("busybox"))?;
    symlink("busybox", bin.join("sh"))?;
    let mut resources = json!({});
    if let Some(cpus) = cpus {
        resources = json!({ "cpu": { "cpus": cpus } });
    }
    let spec = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/sh", "-c", command],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs" },
        "hostname": name,
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
        ],
        "annotations": { "packrank.io/priority": class.name() },
        "linux": {
            "cgroupsPath": format!("/packrank-demo-{}-{name}", std::process::id()),
            "resources": resources,
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "network" },
            ],
        },
    });
    fs::write(
        bundle.join("config.json"),
        serde_json::to_vec_pretty(&spec)?,
    )?;
    Ok(bundle)
}
