//! A container from create to delete.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, eventually, finish};

#[test]
fn create_start_kill_delete() {
    let Some(lab) = Lab::script("echo began; exec sleep 100") else {
        return;
    };
    lab.create();
    let state = lab.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], lab.id);
    assert_eq!(state["bundle"], lab.bundle().to_str().unwrap());
    assert_eq!(
        state["rootfs"],
        lab.bundle().join("rootfs").to_str().unwrap()
    );
    assert_eq!(state["owner"], "root");
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    assert!(state["created"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lab.output(), "", "ran before start");
    lab.must(&["start", &lab.id]);
    assert_eq!(lab.status(), "running");
    eventually("the program prints", || lab.output() == "began\n");
    assert!(
        !lab.say(&["delete", &lab.id]).status.success(),
        "deleted while running"
    );
    lab.must(&["kill", &lab.id, "KILL"]);
    eventually("stopped", || lab.status() == "stopped");
    assert_eq!(lab.pid(), 0);
    lab.must(&["delete", &lab.id]);
    lab.assert_nothing_left();
}

#[test]
fn run_gives_the_programs_status_and_leaves_nothing() {
    let Some(lab) = Lab::script("echo out; echo err >&2; exit 7") else {
        return;
    };
    let said = lab.run();
    assert_eq!(said.status.code(), Some(7), "{said:?}");
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("out\n", "err\n")
    );
    lab.assert_nothing_left();
}

#[test]
fn run_gives_128_and_the_signal() {
    // Without a pid namespace, where the first process may die of its own signal.
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "kill -9 $$"]);
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|one| one["type"] != "pid");
    }) else {
        return;
    };
    assert_eq!(lab.run().status.code(), Some(137));
    lab.assert_nothing_left();
}

#[test]
fn run_forwards_signals() {
    let Some(lab) =
        Lab::script("trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    else {
        return;
    };
    let output = lab.path().join("output");
    let mut command = lab.engine(&["run", &lab.id]);
    command.stdout(fs::File::create(&output).unwrap());
    let child = command.spawn().unwrap();
    eventually("ready", || lab.output() == "ready\n");
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let said = finish(child, Duration::from_secs(60));
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert_eq!(lab.output(), "ready\ncaught\n");
    lab.assert_nothing_left();
}

#[test]
fn detached_and_kept() {
    let Some(lab) = Lab::script("exit 0") else {
        return;
    };
    lab.must(&["run", "--keep", &lab.id]);
    assert_eq!(lab.status(), "stopped");
    lab.must(&["delete", &lab.id]);
    let Some(lab) = Lab::script("exec sleep 100 >/dev/null 2>&1") else {
        return;
    };
    let pid_file = lab.path().join("pid");
    lab.must(&[
        "run",
        "--detach",
        "--pid-file",
        pid_file.to_str().unwrap(),
        &lab.id,
    ]);
    assert_eq!(lab.status(), "running");
    assert_eq!(fs::read_to_string(pid_file).unwrap(), lab.pid().to_string());
    lab.must(&["delete", "--force", &lab.id]);
    lab.assert_nothing_left();
}

#[test]
fn the_program_starts_with_no_signal_blocked() {
    let script = "while read l; do case $l in SigBlk*) echo $l;; esac; done </proc/self/status";
    let Some(lab) = Lab::script(script) else {
        return;
    };
    assert_eq!(lab.run().stdout, "SigBlk: 0000000000000000\n");
}

#[test]
fn the_environment_keeps_its_order_and_the_last_setting() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = serde_json::json!(["/bin/env"]);
        config["process"]["env"] = serde_json::json!(["PATH=/bin", "Z=1", "A=1", "Z=2"]);
    }) else {
        return;
    };
    assert_eq!(lab.run().stdout, "PATH=/bin\nA=1\nZ=2\nHOME=/\n");
}

#[test]
fn a_working_directory_that_is_not_there_is_made_inside_the_root() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = serde_json::json!(["/bin/busybox", "pwd"]);
        config["process"]["cwd"] = serde_json::json!("/link/made/here");
    }) else {
        return;
    };
    let outside = lab.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // A link in the image must lead nowhere but into the image.
    std::os::unix::fs::symlink(&outside, lab.bundle().join("rootfs/link")).unwrap();
    let inside = lab
        .bundle()
        .join("rootfs")
        .join(outside.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    let said = lab.run();
    assert_eq!(
        said.stdout.trim(),
        outside.join("made/here").to_str().unwrap(),
        "{said:?}"
    );
    assert!(inside.join("made/here").is_dir());
    assert_eq!(
        fs::read_dir(&outside).unwrap().count(),
        0,
        "written outside of the root"
    );
}

#[test]
fn pause_and_resume() {
    let Some(lab) = Lab::script("while :; do echo x; sleep 0.02; done") else {
        return;
    };
    lab.up();
    lab.must(&["pause", &lab.id]);
    assert_eq!(lab.status(), "paused");
    let before = lab.output().len();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(lab.output().len(), before, "it ran while paused");
    assert!(
        !lab.say(&["exec", &lab.id, "true"]).status.success(),
        "exec while paused"
    );
    lab.must(&["resume", &lab.id]);
    assert_eq!(lab.status(), "running");
    eventually("it goes on", || lab.output().len() > before);
    assert!(
        !lab.say(&["resume", &lab.id]).status.success(),
        "resumed twice"
    );
    lab.must(&["pause", &lab.id]);
    lab.must(&["kill", &lab.id, "9"]);
    eventually("a paused container dies", || lab.status() == "stopped");
    lab.must(&["delete", &lab.id]);
    lab.assert_nothing_left();
}

#[test]
fn kill_all_and_ps() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] =
            serde_json::json!(["/bin/sh", "-c", "sleep 100 & sleep 100 & wait"]);
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|one| one["type"] != "pid");
    }) else {
        return;
    };
    lab.up();
    let pids = || -> Vec<i32> {
        serde_json::from_str(&lab.must(&["ps", "--format", "json", &lab.id])).unwrap()
    };
    eventually("three processes", || pids().len() == 3);
    assert!(pids().contains(&lab.pid()));
    lab.must(&["kill", "--all", &lab.id, "KILL"]);
    eventually("all gone", || pids().is_empty());
    lab.must(&["delete", &lab.id]);
    lab.assert_nothing_left();
}

#[test]
fn list_shows_what_is_there() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    assert_eq!(lab.must(&["list", "--format", "json"]).trim(), "[]");
    lab.up();
    assert_eq!(lab.must(&["list", "-q"]).trim(), lab.id);
    let list: serde_json::Value =
        serde_json::from_str(&lab.must(&["list", "--format=json"])).unwrap();
    assert_eq!(list[0]["status"], "running");
    let table = lab.must(&["list"]);
    assert!(
        table.starts_with("ID ") && table.contains(&lab.id),
        "{table}"
    );
}

#[test]
fn events_count_and_features_parse() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    lab.up();
    let event: serde_json::Value =
        serde_json::from_str(&lab.must(&["events", "--stats", &lab.id])).unwrap();
    assert_eq!(
        (&event["type"], &event["id"]),
        (&"stats".into(), &lab.id.as_str().into())
    );
    assert!(
        event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0,
        "{event}"
    );
    if lab
        .cgroup_file("pids", "pids.current", "pids.current")
        .is_some()
    {
        assert_eq!(event["data"]["pids"]["current"], 1);
    }
    let features: serde_json::Value = serde_json::from_str(&lab.must(&["features"])).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}
