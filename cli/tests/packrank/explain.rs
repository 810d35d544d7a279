//! `packrank explain`: where the document comes from, and what it answers
//! when there is no plan.

use crate::run::{config, file, folder, host, packrank, packrank_with, text};

const CLAIM: &str = r#"{"annotations":{"packrank.io/priority":"low"},"root":{"path":"/srv"}}"#;

fn json(args: &[&str], stdin: &str) -> serde_json::Value {
    let mut all = vec!["explain", "-", "--format", "json"];
    all.extend(args);
    let seen = packrank_with(&all, stdin.as_bytes(), &[]);
    serde_json::from_str(&seen.out).unwrap()
}

fn value(answer: &serde_json::Value, key: &str) -> (serde_json::Value, String) {
    let settings = answer["settings"].as_array().unwrap();
    let setting = settings.iter().find(|s| s["key"] == key).unwrap();
    let origin = setting["origin"].as_str().unwrap();
    (setting["value"].clone(), origin.to_owned())
}

#[test]
fn a_folder_a_file_and_stdin_say_the_same() {
    let v2 = host("v2");
    let bundle = folder();
    let path = file(&bundle, "config.json", CLAIM);
    let ask = |path: &str, stdin: &str| {
        packrank_with(&["explain", path, "--host", &v2], stdin.as_bytes(), &[]).ok()
    };
    let from_folder = ask(&text(bundle.path()), "");
    assert!(from_folder.starts_with("class   low, claimed by packrank.io/priority\n"));
    assert_eq!(ask(&path, ""), from_folder);
    assert_eq!(ask("-", CLAIM), from_folder);
}

#[test]
fn annotations_are_added_and_replaced() {
    let v2 = host("v2");
    let answer = json(
        &[
            "--host",
            &v2,
            "-a",
            "packrank.io/priority=normal",
            "-a",
            "packrank.io/memory.limit=768Mi",
            "-a",
            "packrank.io/pids=1",
            "-a",
            "packrank.io/pids=2",
        ],
        CLAIM,
    );
    assert_eq!(answer["priority"], "normal");
    let (limit, origin) = value(&answer, "memory.limit");
    assert_eq!((limit, origin.as_str()), (805_306_368.into(), "annotation"));
    assert_eq!(value(&answer, "pids").0, 2);
    // 90 % of the limit, in whole pages.
    assert_eq!(value(&answer, "memory.high").0, 724_774_912);
}

#[test]
fn another_policy_and_another_class() {
    let (etc, v2) = (folder(), host("v2"));
    let policy = file(&etc, "p.toml", "[class.high]\npids = 99\n");
    let answer = json(
        &["--policy", &policy, "--priority", "high", "--host", &v2],
        "{}",
    );
    assert_eq!(answer["claimed"], "--priority");
    assert_eq!(value(&answer, "pids"), (99.into(), "policy".to_owned()));
    let note = answer["settings"].to_string();
    assert!(note.contains(&format!("{policy}:2")), "{note}");
}

#[test]
fn a_container_without_a_class_is_said_to_be_left_alone() {
    let sentence = "not ranked: no packrank.io/priority, no --priority and no default-class in the\npolicy; the container is left untouched, byte for byte\n";
    assert_eq!(
        packrank_with(&["explain", "-"], b"{\"annotations\": {}}", &[]).ok(),
        sentence
    );
    let answer = json(&[], "{}");
    assert_eq!(answer["priority"], serde_json::Value::Null);
    assert_eq!(answer["refused"], serde_json::Value::Null);
    assert!(answer["notes"].to_string().contains("not ranked"));
    let odd = "{ \"annotations\" : { } }\n\n";
    let spec = packrank_with(&["explain", "-", "--spec"], odd.as_bytes(), &[]);
    assert_eq!((spec.out.as_str(), spec.status), (odd, 0));
    assert!(spec.err.contains("not ranked"));
}

#[test]
fn modes_that_change_nothing_say_so() {
    let (etc, v2) = (folder(), host("v2"));
    let audit = file(&etc, "audit.toml", "mode = \"audit\"\n");
    let off = file(&etc, "off.toml", "mode = \"off\"\n");
    let ask = |policy: &str, more: &[&str]| {
        let args = ["explain", "-", "--host", &v2, "--policy", policy];
        packrank_with(&[&args[..], more].concat(), CLAIM.as_bytes(), &[])
    };
    let seen = ask(&audit, &[]).ok();
    assert!(seen.contains("\nmode    audit\n"), "{seen}");
    assert!(
        seen.contains("note: mode audit: the plan is recorded"),
        "{seen}"
    );
    assert_eq!(ask(&audit, &["--spec"]).out, CLAIM);
    assert!(
        ask(&off, &[])
            .ok()
            .starts_with("not ranked: the policy's mode is off")
    );
}

#[test]
fn a_sandbox_keeps_its_document() {
    let v2 = host("v2");
    let sandbox = r#"{"annotations":{"packrank.io/priority":"low","io.kubernetes.cri.container-type":"sandbox"}}"#;
    let args = ["explain", "-", "--spec", "--host", &v2];
    let seen = packrank_with(&args, sandbox.as_bytes(), &[]);
    assert_eq!(seen.out, sandbox);
    assert!(seen.err.contains("a pod's sandbox"), "{}", seen.err);
}

#[test]
fn the_spec_has_the_hooks_that_the_runtime_beside_us_would_add() {
    let bin = folder();
    let policy = file(&bin, "p.toml", "");
    for name in ["packrank", "packrank-runtime", "packrank-hook"] {
        let packrank = std::path::Path::new(env!("CARGO_BIN_EXE_packrank"));
        packrank_executable::copy(packrank, &bin.path().join(name));
    }
    let spec = |more: &[&str]| {
        let bundle = file(&bin, "config.json", CLAIM);
        let mut packrank = std::process::Command::new(bin.path().join("packrank"));
        let output = packrank.args(["explain", &bundle, "--spec"]).args(more);
        let output = output.output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let program = text(&bin.path().canonicalize().unwrap().join("packrank-hook"));
    let hook = |phase: &str| serde_json::json!([{"path": program, "args": ["packrank-hook", "--policy", policy, phase], "timeout": 10}]);
    let want =
        serde_json::json!({"createRuntime": hook("createRuntime"), "poststop": hook("poststop")});
    assert_eq!(spec(&["--policy", &policy])["hooks"], want);
    let v2 = host("v2");
    assert!(spec(&["--host", &v2])["hooks"].is_null());
    std::fs::remove_file(bin.path().join("packrank-runtime")).unwrap();
    assert!(spec(&[])["hooks"].is_null());
}

#[test]
fn the_rewritten_spec_explains_to_itself() {
    let v2 = host("v2");
    let once = packrank(&["explain", &config("web"), "--spec", "--host", &v2]).ok();
    let twice = packrank_with(
        &["explain", "-", "--spec", "--host", &v2],
        once.as_bytes(),
        &[],
    );
    assert_eq!(twice.ok(), once);
}

#[test]
fn the_engine_is_the_one_that_would_run() {
    let bin = folder();
    let engine = file(&bin, "crun", "#!/bin/sh\n");
    let path = text(bin.path());
    let ask = |more: &[&str]| {
        let args = [&["explain", "-", "--format", "json"][..], more].concat();
        let seen = packrank_with(&args, CLAIM.as_bytes(), &[("PATH", &path)]);
        serde_json::from_str::<serde_json::Value>(&seen.out).unwrap()
    };
    // Our own engine, where it was built beside us, is the last resort.
    let beside =
        std::path::Path::new(env!("CARGO_BIN_EXE_packrank")).with_file_name("packrank-engine");
    if beside.exists() {
        assert_eq!(ask(&[])["engine"], text(&beside));
    } else {
        assert_eq!(ask(&[])["engine"], serde_json::Value::Null);
        assert!(ask(&[])["notes"].to_string().contains("no engine found"));
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ask(&[])["engine"], engine);
    let refused = ask(&["--engine", "/nonexistent/runc"]);
    let sentence =
        "engine /nonexistent/runc: No such file or directory (os error 2) (named by --engine)";
    assert_eq!(refused["refused"], sentence);
    assert_eq!(refused["priority"], serde_json::Value::Null);
}
