//! Bad input: one sentence with the key, the value and the accepted form;
//! exit status 1; nothing created; the bundle as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use packrank_tests::fake_engine::{Scene, Untouched};

use super::ENGINE;
use super::config::{annotated, ranked};

/// The refusal's sentence; fails where anything else happens.
fn refused(scene: &Scene, options: &[&str]) -> String {
    let config = scene.bundle.config();
    let before = config
        .symlink_metadata()
        .is_ok()
        .then(|| Untouched::of(&config));
    let names = scene.bundle.names();
    let ended = scene.create(options);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let sentence = ended.stderr.strip_prefix("packrank-runtime: ");
    let sentence = sentence
        .and_then(|s| s.strip_suffix('\n'))
        .unwrap()
        .to_owned();
    assert!(
        !sentence.contains('\n') && !sentence.contains('\u{1b}'),
        "{sentence}"
    );
    assert!(scene.calls().is_empty(), "the engine was called");
    assert_eq!(scene.bundle.names(), names);
    let after = config
        .symlink_metadata()
        .is_ok()
        .then(|| Untouched::of(&config));
    assert_eq!(after, before);
    sentence
}

/// Each sentence holds all of its parts.
fn says(scene: &Scene, options: &[&str], parts: &[&str]) {
    let sentence = refused(scene, options);
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in: {sentence}");
    }
}

#[test]
fn annotations() {
    for (key, value, parts) in [
        (
            "priority",
            "urgent",
            &["\"urgent\"", "expected one of critical, high"][..],
        ),
        ("priority", "", &["\"\"", "expected one of critical"]),
        ("memory.limit", "768Mb", &["\"768Mb\"", "768Mi, 768MB"]),
        ("memory.limit", "-1", &["\"-1\"", "expected bytes"]),
        ("memory.limit", "0", &["\"0\"", "expected at least 4 MiB"]),
        (
            "memory.limit",
            "99999999999Ti",
            &["\"99999999999Ti\"", "too large"],
        ),
        ("pids", "0", &["\"0\"", "expected 1 to 4194304"]),
        ("pids", "18446744073709551616", &["too large"]),
        ("cpu.quota", "150", &["\"150\"", "percentage such as 150%"]),
        ("cpu.shares", "1", &["expected 2 to 262144"]),
        ("nofile", "9/3", &["soft not above hard"]),
        ("oom.score", "2000", &["-1000 to 1000"]),
        ("network.egress", "20Mb", &["20Mbit"]),
        ("cpu.affinity", "3-1", &["0-3,8"]),
        ("inform", "yes", &["true or false"]),
        (
            "no.such.key",
            "1",
            &["no such annotation; known are priority"],
        ),
        (
            "memory.limit",
            "4Gi",
            &["4 GiB is above what class low may ask for: at most 512 MiB"],
        ),
        ("pids", "513", &["513 is above", "at most 512"]),
        ("pids", "unlimited", &["above", "512"]),
        ("pids", "5\u{1b}[31m", &["\\u{1b}[31m", "whole number"]),
    ] {
        let key = format!("packrank.io/{key}");
        let mut pairs = vec![(key.as_str(), value)];
        if key != "packrank.io/priority" {
            pairs.push(("packrank.io/priority", "low"));
        }
        let scene = Scene::new(ENGINE, annotated(&pairs));
        says(&scene, &[], &[&[key.as_str()], parts].concat());
    }
}

#[test]
fn claims() {
    let namespace = ("io.kubernetes.cri.sandbox-namespace", "shop");
    let pairs = [("packrank.io/priority", "critical"), namespace];
    let scene = Scene::new(ENGINE, annotated(&pairs));
    let parts = ["\"critical\" is not granted in namespace \"shop\": at most \"high\""];
    says(&scene, &[], &parts);
    let scene = Scene::new(ENGINE, annotated(&[namespace]));
    says(
        &scene,
        &["--priority", "critical"],
        &["--priority", parts[0]],
    );
    says(
        &scene,
        &["--priority", "urgent"],
        &["--priority", "\"urgent\" is no class"],
    );
    says(&scene, &["--priority"], &["\"create\" is no class"]);
    let scene = Scene::new(ENGINE, annotated(&[("packrank.io/pids", "5")]));
    says(
        &scene,
        &[],
        &["packrank.io/pids needs a class: add packrank.io/priority"],
    );
}

#[test]
fn documents() {
    let twice =
        r#"{"annotations": {"packrank.io/priority": "low", "packrank.io/priority": "high"}}"#;
    let deep = |member: &str| {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        format!(r#"{{"annotations": {{"packrank.io/priority": "low"}}, "{member}": {deep}}}"#)
    };
    let cut = &ranked("low")[..200];
    let with =
        |member: &str| format!(r#"{{"annotations": {{"packrank.io/priority": "low"}}, {member}}}"#);
    for (config, part) in [
        (twice.as_bytes(), "packrank.io/priority stands twice"),
        (cut.as_bytes(), "config.json: "),
        (b"[\"packrank\"]", "expected an object"),
        (b"\"packrank\"", "expected an object"),
        (b"packrank", "config.json: the document: expected value"),
        (
            b"{\"annotations\": {\"packrank.io/priority\": \"l\xffw\"}}",
            "not UTF-8 at byte 43",
        ),
        (
            b"{\"annotations\": {\"packrank.io/priority\": 3}}",
            "annotations.packrank.io/priority",
        ),
        (deep("process").as_bytes(), "config.json: process"),
        (deep("linux").as_bytes(), "config.json: linux"),
        (
            with("\"linux\": {\"resources\": {\"memory\": {\"limit\": \"1\"}}}").as_bytes(),
            "linux.resources.memory",
        ),
        (
            with("\"linux\": {}, \"linux\": {}").as_bytes(),
            "linux stands twice",
        ),
        (
            with("\"process\": {\"rlimits\": [{\"type\": 1}]}").as_bytes(),
            "process.rlimits",
        ),
    ] {
        let scene = Scene::new(ENGINE, config);
        says(&scene, &[], &[part]);
    }
}

#[test]
fn empty_and_missing_documents_are_refused_where_a_class_is_claimed() {
    let scene = Scene::new(ENGINE, "");
    says(&scene, &["--priority", "low"], &["config.json is empty"]);
    let scene = Scene::new(ENGINE, "{}");
    fs::remove_file(scene.bundle.config()).unwrap();
    says(
        &scene,
        &[],
        &["bundle/config.json: No such file or directory"],
    );
    fs::create_dir(scene.bundle.config()).unwrap();
    says(&scene, &[], &["is no regular file"]);
    let bundle = ["create", "--bundle", "/nonexistent", scene.id()];
    let ended = scene.call(bundle);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.stderr.contains("/nonexistent: No such file"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_hundred_megabytes_are_not_read() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let file = fs::OpenOptions::new()
        .write(true)
        .open(scene.bundle.config());
    file.unwrap().set_len(100_000_000).unwrap();
    let ended = scene.create(&[]);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.stderr.contains("100000000 bytes; at most 16 MiB"),
        "{}",
        ended.stderr
    );
    assert!(scene.calls().is_empty());
}

#[test]
fn bundles_that_others_can_change() {
    let scene = Scene::new(ENGINE, ranked("low"));
    for mode in [0o777, 0o775, 0o1777] {
        fs::set_permissions(&scene.bundle.path, Permissions::from_mode(mode)).unwrap();
        says(
            &scene,
            &[],
            &[
                "somebody else can write to it",
                "chmod go-w",
                &format!("mode {mode:04o}"),
            ],
        );
    }
    fs::set_permissions(&scene.bundle.path, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(scene.bundle.config(), Permissions::from_mode(0o666)).unwrap();
    says(&scene, &[], &["config.json: owner", "mode 0666"]);
}

#[test]
fn a_linked_document() {
    let scene = Scene::new(ENGINE, ranked("low"));
    let real = scene.path("real.json");
    fs::rename(scene.bundle.config(), &real).unwrap();
    symlink(&real, scene.bundle.config()).unwrap();
    let before = Untouched::of(&real);
    says(&scene, &[], &["config.json: is a symbolic link"]);
    assert_eq!(Untouched::of(&real), before);
}

#[test]
fn policies() {
    let scene = Scene::new(ENGINE, ranked("low"));
    for (text, parts) in [
        ("colour = 1", &["policy.toml:1:1: colour: no such key"][..]),
        (
            "[class.low]\n  pidz = 3",
            &["policy.toml:2:3: class.low.pidz: no such key"],
        ),
        (
            "[class.low]\nmemory.limit = \"768Mb\"",
            &["policy.toml:2:16", "\"768Mb\" is not accepted"],
        ),
        ("a = [", &["policy.toml:1:"]),
        (
            "[[grant]]\noutside-kubernetes = true\nhighest = \"scavenger\"",
            &[
                "\"low\" is not granted outside Kubernetes",
                "at most \"scavenger\"",
                "policy.toml:1",
            ],
        ),
    ] {
        let policy = scene.write("policy.toml", text);
        says(&scene, &["--policy", policy.to_str().unwrap()], parts);
    }
    let policy = scene.write("policy.toml", "");
    for mode in [0o666, 0o602] {
        fs::set_permissions(&policy, Permissions::from_mode(mode)).unwrap();
        says(
            &scene,
            &["--policy", policy.to_str().unwrap()],
            &["only root may be able to write it", &format!("{mode:04o}")],
        );
    }
    says(
        &scene,
        &["--policy", "/nonexistent.toml"],
        &["policy /nonexistent.toml: No such file"],
    );
    says(
        &scene,
        &["--policy", "/"],
        &["policy /: not a regular file"],
    );
}

#[test]
fn members_that_only_some_engines_read() {
    let ranked = ranked("low");
    for (from, to, member) in [
        (
            "\"linux\": {",
            "\"Linux\": {\"resources\": {}}, \"linux\": {",
            "linux stands there as \"Linux\"",
        ),
        (
            "\"linux\": {",
            "\"LINUX\": {",
            "linux stands there as \"LINUX\"",
        ),
        (
            "\"resources\": {}",
            "\"resources\": {\"pids\": {\"Limit\": -1}}",
            "pids.limit stands there as \"Limit\"",
        ),
        (
            "\"args\"",
            "\"rLimits\": [], \"args\"",
            "process.rlimits stands there as \"rLimits\"",
        ),
        (
            "\"annotations\"",
            "\"annotation\\u0053\": {}, \"annotations\"",
            "annotations stands there as \"annotationS\"",
        ),
        (
            "\"resources\": {}",
            "\"resources\": {\"unified\": {\"pids.max\": \"20000x\"}}",
            "unified.pids.max: \"20000x\" is not accepted",
        ),
    ] {
        assert!(ranked.contains(from), "{from}");
        let scene = Scene::new(ENGINE, ranked.replace(from, to));
        says(&scene, &[], &[member]);
    }
    // An unranked container goes to its engine, whatever its config.json holds.
    let scene = Scene::new(ENGINE, annotated(&[]).replace("\"linux\"", "\"Linux\""));
    assert_eq!(scene.create(&[]).status, Some(0));
}

#[test]
fn a_restore_of_what_was_restricted() {
    let restricted = [
        ("packrank.io/priority", "low"),
        ("packrank.io/security", "restricted"),
    ];
    let scene = Scene::new(ENGINE, annotated(&restricted));
    let before = Untouched::of(&scene.bundle.config());
    let bundle = scene.bundle.path.to_str().unwrap();
    let ended = scene.call(["restore", "--bundle", bundle, scene.id()]);
    assert_eq!(ended.status, Some(1));
    let said = "security=restricted: a checkpoint's processes come back";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!(Untouched::of(&scene.bundle.config()), before);
    assert!(scene.calls().is_empty());
}
