//! Bundles.
//!
//! In: a folder. Out: a bundle in it that real engines run: a root made of
//! busybox, and a spec to be changed by the test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A bundle on disk.
#[derive(Debug)]
pub struct Bundle {
    /// Its folder.
    pub path: PathBuf,
}

/// Where Debian's busybox is.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

impl Bundle {
    /// A bundle with this config.json and an empty root.
    pub fn of(path: &Path, config: &[u8]) -> Bundle {
        fs::create_dir_all(path.join("rootfs")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("config.json"), config).unwrap();
        let bundle = Bundle {
            path: path.to_owned(),
        };
        fs::set_permissions(bundle.config(), fs::Permissions::from_mode(0o644)).unwrap();
        bundle
    }

    /// A bundle that runs this command in busybox; `None` without busybox.
    pub fn busybox(path: &Path, args: &[&str], change: impl FnOnce(&mut Value)) -> Option<Bundle> {
        let busybox = BUSYBOX.iter().find(|p| Path::new(p).exists())?;
        let mut spec = spec(args);
        change(&mut spec);
        let bundle = Bundle::of(path, &serde_json::to_vec_pretty(&spec).unwrap());
        for folder in ["bin", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(path.join("rootfs").join(folder)).unwrap();
        }
        let bin = path.join("rootfs/bin");
        packrank_executable::copy(Path::new(busybox), &bin.join("busybox"));
        for applet in ["sh", "sleep", "cat", "true"] {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        Some(bundle)
    }

    /// The path of config.json.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// config.json as it stands.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.config()).unwrap()
    }

    /// config.json as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// The names in the bundle's folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// A small spec for a container without a network.
fn spec(args: &[&str]) -> Value {
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin", "HOME=/"],
            "cwd": "/",
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": "pack",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ],
        "annotations": {},
        "linux": {
            "namespaces": namespaces,
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] }
        }
    })
}
