//! Classes that come by flag, by name, by policy.

use std::os::unix::fs::symlink;

use packrank_tests::fake_engine::{Outcome, Scene, Untouched};

use super::ENGINE;
use super::config::{annotated, ranked};

/// oom_score_adj tells the classes apart.
const SCORES: [(&str, i64); 3] = [("normal", 0), ("low", 500), ("scavenger", 1000)];

fn score(scene: &Scene) -> i64 {
    scene.bundle.json()["process"]["oomScoreAdj"]
        .as_i64()
        .unwrap()
}

#[test]
fn by_flag() {
    for (class, want) in SCORES {
        let scene = Scene::new(ENGINE, annotated(&[]));
        let ended = scene.create(&["--priority", class]);
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        assert_eq!(score(&scene), want);
        let annotations = &scene.bundle.json()["annotations"];
        assert_eq!(annotations["packrank.io/priority"], class);
        // The engine knows nothing of the flag.
        assert_eq!(scene.calls().pop().unwrap().args[1], "create");
    }
}

#[test]
fn by_name() {
    for (class, want) in SCORES {
        let scene = Scene::new(ENGINE, annotated(&[]));
        let name = scene.path(&format!("packrank-runtime-{class}"));
        symlink(&scene.runtime, &name).unwrap();
        let mut command = scene.command(&name);
        let bundle = &scene.bundle.path;
        let ended = Outcome::of(command.args(["run", "-b"]).arg(bundle).arg(scene.id()));
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        assert_eq!(score(&scene), want);
    }
}

#[test]
fn by_the_policys_default() {
    let scene = Scene::new(ENGINE, annotated(&[]));
    let policy = scene.write("policy.toml", "default-class = \"scavenger\"\n");
    let policy = policy.to_str().unwrap();
    assert_eq!(scene.create(&["--policy", policy]).status, Some(0));
    assert_eq!(score(&scene), 1000);
}

#[test]
fn the_annotation_has_the_last_word() {
    let scene = Scene::new(ENGINE, ranked("scavenger"));
    assert_eq!(scene.create(&["--priority=normal"]).status, Some(0));
    assert_eq!(score(&scene), 1000);
}

#[test]
fn a_claim_does_what_an_annotation_does_and_twice_the_same() {
    let scene = Scene::new(ENGINE, annotated(&[]));
    assert_eq!(scene.create(&["--priority", "low"]).status, Some(0));
    let once = Untouched::of(&scene.bundle.config());
    assert_eq!(scene.create(&["--priority", "low"]).status, Some(0));
    assert_eq!(Untouched::of(&scene.bundle.config()), once);
    let by_annotation = Scene::new(ENGINE, ranked("low"));
    assert_eq!(by_annotation.create(&[]).status, Some(0));
    let (a, b) = (scene.bundle.json(), by_annotation.bundle.json());
    assert_eq!((&a["linux"], &a["process"]), (&b["linux"], &b["process"]));
}

#[test]
fn a_name_that_is_no_class_claims_none() {
    let scene = Scene::new(ENGINE, annotated(&[]));
    let before = Untouched::of(&scene.bundle.config());
    let name = scene.path("packrank-runtime-urgent");
    symlink(&scene.runtime, &name).unwrap();
    let mut command = scene.command(&name);
    command
        .args(["create", "-b"])
        .arg(&scene.bundle.path)
        .arg(scene.id());
    assert!(command.status().unwrap().success());
    assert_eq!(Untouched::of(&scene.bundle.config()), before);
}

#[test]
fn an_escaped_name_is_the_same_name() {
    let text = ranked("scavenger").replace("packrank.io/priority", "pack\\u0072ank.io/priority");
    assert!(!text.contains("packrank"));
    let scene = Scene::new(ENGINE, text);
    assert_eq!(scene.create(&[]).status, Some(0));
    assert_eq!(score(&scene), 1000);
}

#[test]
fn a_restored_container_is_ranked_as_a_new_one() {
    let policy = "default-class = \"scavenger\"\n";
    let scene = Scene::new(ENGINE, annotated(&[]));
    let policy = scene.write("policy.toml", policy);
    let bundle = scene.bundle.path.to_str().unwrap();
    let restore = ["restore", "--image-path", "/i", "-b", bundle, scene.id()];
    let all = ["--policy", policy.to_str().unwrap()]
        .into_iter()
        .chain(restore);
    assert_eq!(scene.call(all).status, Some(0));
    assert_eq!(score(&scene), 1000);
    assert_eq!(scene.calls().pop().unwrap().args[1..], restore);
}
