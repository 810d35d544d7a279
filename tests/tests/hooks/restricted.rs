//! `security: restricted` on a real engine: the kernel's own word on what a
//! container's process may do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use packrank_tests::bundle::Bundle;
use serde_json::{Value, json};

use super::world::{World, id, world};

/// CAP_NET_BIND_SERVICE is number 10.
const NET_BIND_SERVICE: &str = "0000000000000400";

/// A container that had more than the preset leaves.
fn bundle(world: &World, name: &str, preset: &str) -> Bundle {
    let bundle = world.bundle(name, |spec| {
        spec["annotations"]["packrank.io/security"] = preset.into();
        let all = json!(["CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SYS_ADMIN"]);
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = all.clone();
        }
        spec["process"]["noNewPrivileges"] = false.into();
        spec["process"]["user"]["additionalGids"] = json!([0, 5]);
        let script = "cat /proc/version | cat >/tmp/said && exec sleep 300";
        spec["process"]["args"] = json!(["sh", "-c", script]);
    });
    let tmp = bundle.path.join("rootfs/tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).unwrap();
    bundle
}

/// A line of the process's status.
fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

/// What an ordinary program of the container wrote.
fn said(bundle: &Bundle, pid: u32) -> String {
    while status(pid, "Name:") != "sleep" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fs::read_to_string(bundle.path.join("rootfs/tmp/said")).unwrap()
}

#[test]
fn a_restricted_container_keeps_one_capability_and_gains_none() {
    world("restricted", |world| {
        let (bundle, id) = (bundle(world, "one", "restricted"), id("restricted"));
        let pid = world.create(&bundle, &id);
        world.call(&["start", &id]);
        let said = said(&bundle, pid);
        let is = |name: &str| status(pid, name);
        let found = [
            "NoNewPrivs:",
            "CapBnd:",
            "CapInh:",
            "CapAmb:",
            "Seccomp:",
            "Uid:",
            "Gid:",
            "Groups:",
        ]
        .map(is);
        let log = bundle.json();
        world.remove(&id);
        let nobody = "65534 65534 65534 65534";
        let none = "0000000000000000";
        assert_eq!(
            found,
            ["1", NET_BIND_SERVICE, none, none, "2", nobody, nobody, "5"]
        );
        assert!(said.starts_with("Linux"), "{said:?}");
        assert_eq!(
            log["linux"]["seccomp"]["defaultAction"],
            Value::from("SCMP_ACT_ERRNO")
        );
    });
}

#[test]
fn without_the_preset_the_spec_is_followed() {
    world("unrestricted", |world| {
        let (bundle, id) = (bundle(world, "one", "none"), id("unrestricted"));
        let pid = world.create(&bundle, &id);
        world.call(&["start", &id]);
        let said = said(&bundle, pid);
        let found = ["NoNewPrivs:", "Seccomp:", "Groups:"].map(|name| status(pid, name));
        world.remove(&id);
        assert_eq!(found, ["0", "0", "0 5"]);
        assert!(said.starts_with("Linux"), "{said:?}");
    });
}

#[test]
fn a_hook_that_comes_too_late_refuses() {
    world("late", |world| {
        let bundle = bundle(world, "one", "restricted");
        let id = id("late");
        let pid = world.create_bare(&bundle, &id);
        let state = json!({ "ociVersion": "1.0.2", "id": id, "pid": pid, "bundle": bundle.path });
        let hook = world.hook("createRuntime", state.to_string().as_bytes());
        world.remove(&id);
        let said = String::from_utf8_lossy(&hook.stderr);
        assert!(!hook.status.success());
        assert!(
            said.contains("a createRuntime hook comes too late"),
            "{said}"
        );
    });
}
