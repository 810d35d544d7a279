//! Engines other than runc under the shim, named by its options in a file.

use std::fs;

use nix::mount::{MntFlags, umount2};
use packrank_tests::containerd::{IMAGE, PACKRANK, World, said, world};
use packrank_tests::program;
use packrank_tests::skipped::skipped;
use serde_json::json;

#[test]
fn crun() {
    on("crun");
}

#[test]
fn youki() {
    on("youki");
}

#[test]
fn packrank_engine() {
    on("packrank-engine");
}

fn on(engine: &'static str) {
    let Some(path) = program::an_engine(engine) else {
        return skipped(&format!("containerd on {engine}"), "not installed");
    };
    world(engine, move |world| {
        if engine == "crun" {
            // Debian 12's refuses a hybrid host, by this mount.
            let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
        }
        let options = world.path("options.toml");
        fs::write(&options, format!("BinaryName = {path:?}\n")).unwrap();
        life(world, engine, options.to_str().unwrap());
    });
}

fn life(world: &World, engine: &str, options: &str) {
    let with = ["--runtime-config-path", options];
    let run = |id: &str, command: &[&str]| {
        let mut args = vec!["run", "--rm", "--runtime", PACKRANK];
        args.extend(with);
        args.extend([IMAGE, id]);
        args.extend(command);
        world.ctr(&args)
    };
    let ran = run("short", &["sh", "-c", "echo out; exit 7"]);
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "out\n",
        "{}",
        said(&ran)
    );
    assert_eq!(ran.status.code(), Some(7));
    let ran = run("nothing", &["/none"]);
    assert!(!ran.status.success());
    let told = said(&ran);
    assert!(
        told.contains("OCI runtime") && told.contains("/none"),
        "{told}"
    );
    world.ctr(&["container", "rm", "nothing"]);

    let class = ["--annotation", "packrank.io/priority=low"];
    world.sleeper(PACKRANK, "low", &[&with[..], &class].concat());
    assert_eq!(world.kernel("pids", "low", "pids.max"), "512");
    let record = fs::read_to_string("/run/packrank/packs/low.json").unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let used = record["engine"].as_str().unwrap();
    assert!(used.ends_with(engine), "{used}");

    let exec = world.ctr(&[
        "task",
        "exec",
        "--exec-id",
        "x",
        "low",
        "sh",
        "-c",
        "echo in; exit 5",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&exec.stdout),
        "in\n",
        "{}",
        said(&exec)
    );
    assert_eq!(exec.status.code(), Some(5));
    for (verb, status) in [("pause", "PAUSED"), ("resume", "RUNNING")] {
        let turned = world.ctr(&["task", verb, "low"]);
        assert!(turned.status.success(), "{verb}: {}", said(&turned));
        assert_eq!(world.status("low"), status);
    }
    let metrics = world.ctr(&["task", "metrics", "low"]);
    assert!(metrics.status.success(), "{}", said(&metrics));

    for (asked, given) in [(100, "100"), (100_000, "512")] {
        let resources = json!({"pids": {"limit": asked}}).to_string();
        world.update("low", &resources).unwrap();
        assert_eq!(world.kernel("pids", "low", "pids.max"), given);
    }

    // All of a container's processes at once.
    let killed = world.ctr(&["task", "kill", "--all", "-s", "KILL", "low"]);
    assert!(killed.status.success(), "{}", said(&killed));
    world.wait("it has ended", || world.status("low") == "STOPPED");
    world.remove("low");
    assert!(!fs::exists("/run/packrank/packs/low.json").unwrap());
    let left = world.kernel("pids", "low", "pids.max");
    assert!(left.contains("No such file"), "{left}");
    world.wait("every shim has gone", || world.shims("").is_empty());
}

/// The kernel refuses an idle cgroup's shares, which an update would name.
#[test]
fn an_update_of_what_is_idle() {
    world("idle", |world| {
        let class = ["--annotation", "packrank.io/priority=scavenger"];
        world.sleeper(PACKRANK, "idle", &class);
        let idle = || world.kernel("cpu", "idle", "cpu.idle");
        if idle().contains("No such file") {
            return skipped("containerd's update", "this kernel has no cpu.idle");
        }
        for asked in [
            json!({"pids": {"limit": 100}}),
            json!({"cpu": {"shares": 4096}}),
        ] {
            world.update("idle", &asked.to_string()).unwrap();
            assert_eq!(idle(), "1", "{asked}");
            assert_eq!(world.kernel("pids", "idle", "pids.max"), "100", "{asked}");
        }
        world.remove("idle");
    });
}
