//! `update` is merged with the plan: what the engine gets in `--resources`.

use std::io::Write;
use std::process::Stdio;

use packrank_tests::fake_engine::{Outcome, Scene};
use serde_json::{Value, json};

use super::ENGINE;
use super::config::{annotated, ranked};

const MIB: u64 = 1 << 20;

/// The resources that the engine got last, and its other arguments.
fn last(scene: &Scene) -> (Value, Vec<String>) {
    let call = scene.calls().pop().unwrap();
    let resources = serde_json::from_str(&call.resources.unwrap()).unwrap();
    (resources, call.args)
}

fn created(config: &str) -> Scene {
    let scene = Scene::new(ENGINE, config);
    let created = scene.create(&[]);
    assert_eq!(created.status, Some(0), "{}", created.stderr);
    scene
}

fn update(scene: &Scene, args: &[&str]) -> Value {
    let id = [scene.id()];
    let all = ["update"].iter().chain(args).chain(&id);
    let ended = scene.call(all);
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{args:?}");
    last(scene).0
}

/// Updates with this text on stdin, as containerd does.
fn update_by_stdin(scene: &Scene, resources: &Value) -> Value {
    let mut command = scene.command(&scene.runtime);
    command
        .args(["update", "--resources", "-", scene.id()])
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(resources.to_string().as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    last(scene).0
}

#[test]
fn an_update_names_everything_and_stays_within_the_class() {
    let scene = created(&ranked("low"));
    let resources = update(&scene, &["--memory", "300m"]);
    assert_eq!(resources["memory"]["limit"], 300 * MIB);
    assert_eq!(resources["cpu"]["quota"], 50_000);
    assert_eq!(resources["cpu"]["shares"], 512);
    assert_eq!(resources["pids"]["limit"], 512);
    // More than the class has, and nothing at all, are the class's.
    let resources = update(
        &scene,
        &[
            "--memory",
            "8g",
            "--cpu-quota",
            "400000",
            "--pids-limit",
            "-1",
        ],
    );
    assert_eq!(resources["memory"]["limit"], 512 * MIB);
    assert_eq!(resources["cpu"]["quota"], 50_000);
    assert_eq!(resources["pids"]["limit"], 512);
}

#[test]
fn updates_add_up_and_repeat_the_same() {
    let scene = created(&ranked("low"));
    update(&scene, &["--memory", "300m"]);
    let both = update(&scene, &["--pids-limit", "20"]);
    assert_eq!(both["memory"]["limit"], 300 * MIB);
    assert_eq!(both["pids"]["limit"], 20);
    let kubelet = json!({
        "memory": {"limit": 209_715_200, "swap": null},
        "cpu": {"shares": 204, "quota": 20_000, "period": 100_000},
        "unified": {"memory.oom.group": "1"},
        "hugepageLimits": null,
    });
    let first = update_by_stdin(&scene, &kubelet);
    assert_eq!(first["memory"]["limit"], 209_715_200);
    assert_eq!(first["cpu"]["quota"], 20_000);
    // Weights are the class's.
    assert_eq!(first["cpu"]["shares"], 512);
    for _ in 0..3 {
        assert_eq!(update_by_stdin(&scene, &kubelet), first);
    }
}

#[test]
fn the_document_stays_and_a_new_container_begins_anew() {
    let scene = created(&ranked("low"));
    let before = scene.bundle.bytes();
    update(&scene, &["--memory", "300m"]);
    assert_eq!(scene.bundle.bytes(), before);
    assert_eq!(scene.create(&[]).status, Some(0));
    let resources = update(&scene, &["--pids-limit", "20"]);
    assert_eq!(resources["memory"]["limit"], 512 * MIB);
}

#[test]
fn options_of_the_engines_stay_and_the_state_is_asked_with_them() {
    let scene = created(&ranked("low"));
    let args = [
        "--root",
        "/r",
        "--systemd-cgroup",
        "update",
        "--memory",
        "64m",
        "--l3-cache-schema",
        "L3:0=f",
        scene.id(),
    ];
    assert_eq!(scene.call(args).status, Some(0));
    let calls = scene.calls();
    let [.., state, update] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!(
        state.args[1..],
        ["--root", "/r", "--systemd-cgroup", "state", scene.id()]
    );
    assert_eq!(
        update.args[1..5],
        ["--root", "/r", "--systemd-cgroup", "update"]
    );
    assert!(update.args.ends_with(&[
        "--l3-cache-schema".into(),
        "L3:0=f".into(),
        scene.id().into()
    ]));
}

#[test]
fn a_failed_update_is_not_kept() {
    let scene = created(&ranked("low"));
    let mut command = scene.command(&scene.runtime);
    // The engine knows the container, and refuses the update: a status for
    // both verbs would be a container that is not there.
    let engine = scene.path("refusing");
    let script =
        "#!/bin/sh\ncase \" $* \" in *' state '*) exec \"$REAL\" \"$@\";; *) exit 3;; esac\n";
    packrank_executable::write(&engine, script);
    command
        .env("REAL", &scene.engine)
        .arg("--engine")
        .arg(engine);
    let ended = Outcome::of(command.args(["update", "--memory", "64m", scene.id()]));
    assert_eq!(ended.status, Some(3), "{}", ended.stderr);
    assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
}

#[test]
fn unranked_and_unknown_containers_are_the_engines_business() {
    let scene = Scene::new(ENGINE, annotated(&[]));
    let args = ["update", "--memory", "8g", scene.id()];
    assert_eq!(scene.call(args).status, Some(0));
    assert_eq!(scene.calls().pop().unwrap().args[1..], args);
    assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
    let scene = created(&ranked("low"));
    let mut command = scene.command(&scene.runtime);
    command.env_remove("FAKE_ENGINE_STATE").args(args);
    assert!(command.status().unwrap().success());
    assert_eq!(scene.calls().pop().unwrap().args[1..], args);
}

#[test]
fn an_update_that_cannot_be_read_is_refused() {
    let scene = created(&ranked("low"));
    for (args, part) in [
        (["--memory", "much"], "--memory: \"much\" is not accepted"),
        (
            ["--resources", "/nonexistent"],
            "resources /nonexistent: No such file",
        ),
        (["--pids-limit", ""], "--pids-limit"),
    ] {
        let calls = scene.calls().len();
        let id = [scene.id()];
        let all = ["update"].iter().chain(&args).chain(&id);
        let ended = scene.call(all);
        assert_eq!(ended.status, Some(1), "{args:?}");
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        let new = scene.calls().split_off(calls);
        assert!(
            new.iter()
                .all(|call| call.args.contains(&"state".to_owned()))
        );
    }
}
