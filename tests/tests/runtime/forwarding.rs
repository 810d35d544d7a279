//! What is not ours goes to the engine as it came.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use packrank_tests::fake_engine::{Scene, Untouched};

use super::ENGINE;
use super::config::{annotated, ranked};

/// Every verb of runc, crun and youki that only passes through, and calls
/// without one.
const LINES: [&str; 24] = [
    "checkpoint --image-path /x c1",
    "delete --force c1",
    "events --interval 5s c1",
    "exec --tty --cwd /a --env A=b c1 sh -c true",
    "exec --process /p.json --detach --pid-file /pid c1",
    "features",
    "info",
    "kill --all c1 TERM",
    "list --format json -q",
    "pause c1",
    "ps --format json c1",
    "resume c1",
    "spec --rootless",
    "start c1",
    "state c1",
    "completion bash",
    "update --help",
    "--version",
    "--help",
    "-v",
    "--root /r --log-format json --systemd-cgroup state c1",
    "--debug=true --criu /c list",
    "a-verb-from-the-future --with options",
    "",
];

#[test]
fn every_other_verb_reaches_the_engine_with_its_arguments_and_environment() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let before = Untouched::of(&scene.bundle.config());
    for line in LINES {
        let args: Vec<&str> = line.split(' ').filter(|w| !w.is_empty()).collect();
        let mut command = scene.command(&scene.runtime);
        command.env("ODD \u{e9}", "=x\n").args(&args);
        let ended = packrank_tests::fake_engine::Outcome::of(&mut command);
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{line}");
        let call = scene.calls().pop().unwrap();
        assert_eq!(call.args[1..], args, "{line}");
        let sent: Vec<(String, String)> = command
            .get_envs()
            .map(|(k, v)| {
                let exact = |t: &OsStr| t.as_bytes().iter().map(|b| char::from(*b)).collect();
                (exact(k), exact(v.unwrap()))
            })
            .collect();
        assert_eq!(call.env.into_iter().collect::<Vec<_>>(), sent, "{line}");
        assert_eq!(call.folder, scene.path(""), "{line}");
    }
    assert_eq!(Untouched::of(&scene.bundle.config()), before);
}

#[test]
fn arguments_that_are_no_text_arrive_as_they_are() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let odd = OsStr::from_bytes(b"--\xff\xfe=\x01");
    scene.call([odd, "kill".as_ref(), OsStr::from_bytes(b"\xc3\x28")]);
    let call = scene.calls().pop().unwrap();
    assert_eq!(call.args[1..], ["--\u{ff}\u{fe}=\u{1}", "kill", "\u{c3}("]);
}

#[test]
fn the_engines_exit_status_is_the_callers() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let mut command = scene.command(&scene.runtime);
    command
        .env("FAKE_ENGINE_EXIT", "42")
        .args(["state", scene.id()]);
    assert_eq!(command.status().unwrap().code(), Some(42));
}

#[test]
fn the_engine_gets_no_file_of_ours() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let mut direct = scene.command(&scene.engine);
    assert!(
        direct
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let log = scene.path("log");
    let mut through = scene.command(&scene.runtime);
    through
        .arg("--log")
        .arg(log)
        .args(["create", "--bundle"])
        .arg(&scene.bundle.path)
        .arg(scene.id());
    assert!(
        through
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    let calls = scene.calls();
    assert_eq!(calls[0].fds, calls[1].fds);
    assert_eq!(scene.bundle.json()["process"]["oomScoreAdj"], 500);
}

#[test]
fn a_container_without_a_class_is_not_touched() {
    for config in [
        annotated(&[]),
        annotated(&[("org.example/packrank.io", "mentioned only")]),
        annotated(&[("x.packrank.io/priority", "for another container")]),
        "{}".to_owned(),
        "{\"annotations\": null, \"x\": 1}".to_owned(),
    ] {
        for verb in ["create", "run", "restore"] {
            let scene = Scene::new(ENGINE, &config);
            let before = Untouched::of(&scene.bundle.config());
            let bundle = scene.bundle.path.to_str().unwrap();
            let ended = scene.call([verb, "-b", bundle, "--pid-file", "p", scene.id()]);
            assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
            assert_eq!(Untouched::of(&scene.bundle.config()), before, "{config}");
            assert_eq!(scene.bundle.names(), ["config.json", "rootfs"]);
            let call = scene.calls().pop().unwrap();
            assert_eq!(
                call.args[1..],
                [verb, "-b", bundle, "--pid-file", "p", scene.id()]
            );
        }
    }
}

#[test]
fn a_ranked_container_reaches_the_engine_with_the_same_arguments() {
    for verb in ["create", "run", "restore"] {
        let scene = Scene::new(ENGINE, ranked("low"));
        let bundle = scene.bundle.path.to_str().unwrap();
        let args = [
            verb,
            "--no-pivot",
            "--bundle",
            bundle,
            "--console-socket",
            "/s",
            scene.id(),
        ];
        assert_eq!(scene.call(args).status, Some(0));
        assert_eq!(scene.calls().pop().unwrap().args[1..], args);
        let spec = scene.bundle.json();
        assert_eq!(spec["process"]["oomScoreAdj"], 500);
        assert_eq!(spec["later"]["unknown"][0], 1);
    }
}

#[test]
fn the_bundle_is_the_folder_we_are_in_where_none_is_named() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let mut command = scene.command(&scene.runtime);
    command
        .current_dir(&scene.bundle.path)
        .args(["create", scene.id()]);
    assert!(command.status().unwrap().success());
    assert_eq!(scene.bundle.json()["process"]["oomScoreAdj"], 500);
}
