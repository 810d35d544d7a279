//! A process that `exec` adds: the kernel's own word on what it has, under a
//! real engine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use packrank_tests::bundle::Bundle;
use serde_json::{Value, json};

use crate::hooks::world::{World, id, world};

const SAID: &str = "cat /proc/self/status /proc/self/limits >/tmp/said; \
    cat /proc/self/oom_score_adj >/tmp/score; busybox ionice >/tmp/io || true";

fn bundle(world: &World, preset: &str) -> Bundle {
    let bundle = world.bundle("one", |spec| {
        spec["annotations"]["packrank.io/security"] = preset.into();
    });
    let tmp = bundle.path.join("rootfs/tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).unwrap();
    bundle
}

/// What Docker and the kubelet hand to the engine: root, with capabilities and
/// many files.
fn process() -> Value {
    let all = json!(["CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SYS_ADMIN"]);
    json!({
        "args": ["sh", "-c", SAID], "cwd": "/", "env": ["PATH=/bin"],
        "user": { "uid": 0, "gid": 0 },
        "capabilities": { "bounding": all, "effective": all, "permitted": all },
        "oomScoreAdj": -10,
        "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 900_000, "soft": 900_000 }],
    })
}

/// The lines that begin so, their words after that.
fn lines(bundle: &Bundle, names: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(bundle.path.join("rootfs/tmp/said")).unwrap();
    let line = |name: &&str| {
        let line = text.lines().find_map(|line| line.strip_prefix(*name));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        words.join(" ")
    };
    names.iter().map(line).collect()
}

fn read(bundle: &Bundle, name: &str) -> String {
    let path = bundle.path.join("rootfs/tmp").join(name);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn an_added_process_has_the_plans_limits() {
    world("added", |world| {
        let (bundle, id) = (bundle(world, "none"), id("added"));
        world.create(&bundle, &id);
        world.call(&["start", &id]);
        let file = world.path("process.json");
        fs::write(&file, process().to_string()).unwrap();
        world.call(&["exec", "--process", file.to_str().unwrap(), &id]);
        // The soft one runc 1.1 lifts to the hard one for what it adds.
        let by_file = lines(&bundle, &["Max open files", "CapBnd:"]);
        let (score, io) = (read(&bundle, "score"), read(&bundle, "io"));
        world.call(&["exec", &id, "sh", "-c", SAID]);
        let by_options = lines(&bundle, &["Max open files"]);
        let io_by_options = read(&bundle, "io");
        world.remove(&id);
        assert!(by_file[0].ends_with(" 2048 files"), "{}", by_file[0]);
        // What it may do is its caller's to say without the preset.
        assert_eq!(by_file[1], "0000000000200401");
        assert_eq!(score, "500");
        assert!(by_options[0].ends_with(" 2048 files"), "{}", by_options[0]);
        for io in [io, io_by_options] {
            assert_eq!(io, "best-effort: prio 7");
        }
    });
}

#[test]
fn an_added_process_is_restricted_too() {
    world("added-restricted", |world| {
        let (bundle, id) = (bundle(world, "restricted"), id("added-restricted"));
        world.create(&bundle, &id);
        world.call(&["start", &id]);
        let file = world.path("process.json");
        fs::write(&file, process().to_string()).unwrap();
        let by_file = ["exec", "--process", file.to_str().unwrap(), &id];
        let by_options = [
            "exec",
            "--user",
            "0:0",
            "--cap",
            "CAP_SYS_ADMIN",
            &id,
            "sh",
            "-c",
            SAID,
        ];
        let names = ["Uid:", "Gid:", "NoNewPrivs:", "CapBnd:", "Seccomp:"];
        let nobody = "65534 65534 65534 65534";
        let mut found = Vec::new();
        for args in [&by_file[..], &by_options] {
            world.call(args);
            found.push(lines(&bundle, &names));
            fs::remove_file(bundle.path.join("rootfs/tmp/said")).unwrap();
            for name in ["score", "io"] {
                fs::remove_file(bundle.path.join("rootfs/tmp").join(name)).unwrap();
            }
        }
        world.remove(&id);
        let bind = "0000000000000400";
        assert_eq!(found[0], [nobody, nobody, "1", bind, "2"]);
        assert_eq!(found[1][..3], [nobody, nobody, "1"]);
        assert_ne!(found[1][3], "0000000000200000");
    });
}
