//! A containerd as `packrank install` leaves it.
//!
//! In: the world's folder, as a node's root. Out: its config.toml with a
//! handler of each class under the stock shim; the programs, and the policy of
//! the example for Kubernetes, where packrank-runtime looks for them, in this
//! mount namespace alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};

use super::said;
use crate::program;

const POLICY: &str = include_str!("../../../examples/kubernetes/node/50-kubernetes.toml");
/// Empty, and the world's own.
pub(super) const POLICY_FOLDER: &str = "/etc/packrank";

pub(super) fn install(root: &Path) {
    // Beside packrank, to be placed.
    program::runtime();
    program::hook();
    // Whom packrank asks what it reads.
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    symlink("/usr/bin/containerd", root.join("usr/bin/containerd")).unwrap();
    let mut install = Command::new(program::cli());
    install.args([
        "install",
        "--for",
        "containerd",
        "--class-runtimes",
        "--root",
    ]);
    let done = install.arg(root).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    let (programs, none) = (root.join("usr/local/bin"), None::<&str>);
    mount(
        Some(&programs),
        "/usr/local/bin",
        none,
        MsFlags::MS_BIND,
        none,
    )
    .unwrap();

    let folder = Path::new(POLICY_FOLDER).join("policy.d");
    fs::create_dir(&folder).unwrap();
    for path in [Path::new(POLICY_FOLDER), &folder] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(folder.join("50-kubernetes.toml"), POLICY).unwrap();
}
