//! Which engine is called.

use std::fs;

use packrank_tests::fake_engine::{Outcome, Scene, Untouched};

use super::ENGINE;
use super::config::ranked;

fn called(scene: &Scene) -> String {
    scene.calls().pop().unwrap().args.swap_remove(0)
}

#[test]
fn the_flag_before_the_policy_before_path() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let other = scene.path("other");
    fs::hard_link(&scene.engine, &other).unwrap();
    let policy = format!("[engine]\npath = {other:?}\n");
    let policy = scene.write("policy.toml", &policy);
    let (policy, other) = (policy.to_str().unwrap(), other.to_str().unwrap());
    let engine = scene.engine.to_str().unwrap();

    assert_eq!(scene.create(&[]).status, Some(0));
    assert!(called(&scene).ends_with("/bin/runc"));
    assert_eq!(scene.create(&["--policy", policy]).status, Some(0));
    assert_eq!(called(&scene), other);
    let both = ["--policy", policy, "--engine", engine];
    assert_eq!(scene.create(&both).status, Some(0));
    assert_eq!(called(&scene), engine);
    // A bare name is looked for in PATH, as a shell would.
    fs::hard_link(&scene.engine, scene.path("bin/my-engine")).unwrap();
    assert_eq!(scene.create(&["--engine=my-engine"]).status, Some(0));
    assert!(called(&scene).ends_with("/bin/my-engine"));
}

#[test]
fn runc_before_crun_before_youki_before_our_own() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let mut command = scene.command(&scene.runtime);
    for name in ["crun", "youki", "packrank-engine"] {
        fs::hard_link(&scene.engine, scene.path("bin").join(name)).unwrap();
    }
    for name in ["runc", "crun", "youki", "packrank-engine"] {
        assert!(
            command
                .args(["state", scene.id()])
                .status()
                .unwrap()
                .success()
        );
        assert!(called(&scene).ends_with(&format!("/bin/{name}")));
        fs::remove_file(scene.path("bin").join(name)).unwrap();
    }
    // And at last our own engine beside us.
    fs::hard_link(&scene.engine, scene.path("packrank-engine")).unwrap();
    assert!(command.status().unwrap().success());
    assert_eq!(
        called(&scene),
        scene.path("packrank-engine").to_str().unwrap()
    );
}

#[test]
fn no_engine_is_said_and_nothing_is_done() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let before = Untouched::of(&scene.bundle.config());
    let none =
        |command: &mut std::process::Command| Outcome::of(command.args(["create", scene.id()]));
    let mut command = scene.command(&scene.runtime);
    let ended = none(command.env("PATH", "/nonexistent"));
    let sentence = "packrank-runtime: no engine found: none of runc, crun, youki, packrank-engine is in PATH (/nonexistent); name one with --engine or [engine] path in the policy\n";
    assert_eq!((ended.status, &*ended.stderr), (Some(1), sentence));

    let policy = scene.write("policy.toml", "[engine]\npath = \"/nonexistent/x\"\n");
    for (options, named) in [
        (
            ["--engine", "/nonexistent/runc"],
            "engine /nonexistent/runc: No such file",
        ),
        (
            ["--engine", "not-in-path"],
            "engine not-in-path: No such file",
        ),
        (
            ["--policy", policy.to_str().unwrap()],
            "named by the policy's [engine] path",
        ),
        (["--engine", "/"], "engine /: is no program"),
    ] {
        let ended = scene.create(&options);
        assert_eq!(ended.status, Some(1));
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1);
    }
    assert_eq!(Untouched::of(&scene.bundle.config()), before);
    assert!(scene.calls().is_empty());
}

#[test]
fn a_runtime_never_calls_itself() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let itself = scene.runtime.to_str().unwrap().to_owned();
    let ended = scene.create(&["--engine", &itself]);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.stderr.contains("is packrank-runtime itself"),
        "{}",
        ended.stderr
    );
    // Installed in runc's place, it passes itself over.
    let mut command = scene.command(&scene.runtime);
    let bin = scene.path("bin");
    fs::rename(bin.join("runc"), bin.join("crun")).unwrap();
    fs::hard_link(&scene.runtime, bin.join("runc")).unwrap();
    assert!(
        command
            .args(["state", scene.id()])
            .status()
            .unwrap()
            .success()
    );
    assert!(called(&scene).ends_with("/bin/crun"));
}

#[test]
fn a_wrong_policy_stops_what_it_decides_and_nothing_else() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let other = scene.path("other");
    fs::hard_link(&scene.engine, &other).unwrap();
    let policy = scene.write("policy.toml", &format!("[engine]\npath = {other:?}\n"));
    let policy = policy.to_str().unwrap().to_owned();
    assert_eq!(scene.create(&["--policy", &policy]).status, Some(0));
    for broken in ["wrong = 1\n", "[engine\n"] {
        scene.write("policy.toml", broken);
        let id = scene.id();
        for line in [
            &["state", id][..],
            &["exec", "-t", id, "true"],
            &["kill", id, "TERM"],
            &["start", id],
            &["ps", id],
        ] {
            let args = ["--policy", &policy]
                .into_iter()
                .chain(line.iter().copied());
            let ended = scene.call(args);
            assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{line:?}");
            assert_eq!(called(&scene), other.to_str().unwrap(), "{line:?}");
        }
        for line in [&["list"][..], &["--version"], &["features"]] {
            let args = ["--policy", &policy]
                .into_iter()
                .chain(line.iter().copied());
            let ended = scene.call(args);
            assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{line:?}");
        }
        let bundle = scene.bundle.path.to_str().unwrap();
        for line in [
            &["create", "-b", bundle, id][..],
            &["run", "-b", bundle, id],
            &["restore", "-b", bundle, id],
            &["update", "--memory", "64m", id],
        ] {
            let args = ["--policy", &policy]
                .into_iter()
                .chain(line.iter().copied());
            let ended = scene.call(args);
            assert_eq!(ended.status, Some(1), "{line:?}");
            assert!(ended.stderr.contains("policy.toml:1:"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_container_goes_on_with_the_engine_it_was_started_with() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let other = scene.path("other");
    fs::hard_link(&scene.engine, &other).unwrap();
    let policy = scene.write("policy.toml", &format!("[engine]\npath = {other:?}\n"));
    let policy = policy.to_str().unwrap();
    assert_eq!(scene.create(&[]).status, Some(0));
    let kill = ["--policy", policy, "kill", scene.id(), "TERM"];
    assert_eq!(scene.call(kill).status, Some(0));
    assert!(called(&scene).ends_with("/bin/runc"));
    // A delete that fails leaves it with its engine, one that succeeds does not.
    for (status, engine) in [("1", "/bin/runc"), ("0", "/bin/runc"), ("0", "/other")] {
        let mut command = scene.command(&scene.runtime);
        command.env("FAKE_ENGINE_EXIT", status);
        command.args(["--policy", policy, "delete", scene.id()]);
        let status = status.parse().ok();
        assert_eq!(Outcome::of(&mut command).status, status);
        assert!(called(&scene).ends_with(engine), "{}", called(&scene));
    }
}
