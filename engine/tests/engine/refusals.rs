//! Each gets one clear sentence, exit status 1, and leaves nothing behind.

use std::fs;

use serde_json::json;

use crate::lab::{Lab, Said};

fn refused(said: &Said, words: &[&str]) {
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "not one line: {said:?}");
    assert!(said.stderr.starts_with("packrank-engine: "), "{said:?}");
    for word in words {
        assert!(said.stderr.contains(word), "no {word:?} in {said:?}");
    }
}

/// A create of this configuration is refused.
fn create_refused(change: impl FnOnce(&mut serde_json::Value), words: &[&str]) {
    let Some(lab) = Lab::new(change) else { return };
    for verb in ["create", "run"] {
        refused(&lab.say(&[verb, &lab.id]), words);
        lab.assert_nothing_left();
    }
}

#[test]
fn bundles_that_are_none() {
    let Some(lab) = Lab::new(|_| {}) else { return };
    refused(
        &lab.say(&["create", "--bundle", "/nowhere", &lab.id]),
        &["/nowhere", "No such file"],
    );
    let config = lab.bundle().join("config.json");
    for (text, words) in [
        ("", &["config.json", "EOF"][..]),
        ("{\"ociVersion\":\"1.0.2\"", &["config.json", "EOF"]),
        ("[]", &["config.json"]),
        ("{\"ociVersion\":\"1.0.2\"}", &["missing"]),
        ("\u{0}\u{1}", &["config.json"]),
    ] {
        fs::write(&config, text).unwrap();
        refused(&lab.say(&["create", &lab.id]), words);
    }
    fs::write(&config, format!("{{\"x\":{}", "[".repeat(100_000))).unwrap();
    refused(&lab.say(&["create", &lab.id]), &["config.json", "EOF"]);
    fs::remove_file(&config).unwrap();
    refused(
        &lab.say(&["create", &lab.id]),
        &["config.json", "No such file"],
    );
    lab.assert_nothing_left();
}

#[test]
fn configurations_that_cannot_be() {
    create_refused(
        |config| config["ociVersion"] = json!("2.0"),
        &["ociVersion", "2.0"],
    );
    create_refused(
        |config| config["root"]["path"] = json!("nowhere"),
        &["nowhere", "No such file"],
    );
    create_refused(
        |config| config["process"]["args"] = json!([]),
        &["process.args"],
    );
    create_refused(
        |config| config["process"]["args"] = json!(["nosuch"]),
        &["nosuch", "not found"],
    );
    create_refused(
        |config| config["process"]["args"] = json!(["/proc"]),
        &["/proc", "directory"],
    );
    create_refused(
        |config| config["process"]["cwd"] = json!("relative"),
        &["process.cwd", "relative"],
    );
    create_refused(
        |config| config["linux"]["cgroupsPath"] = json!("/../x"),
        &["cgroupsPath"],
    );
    let mount = json!({"destination": "/x", "type": "nosuchfs", "source": "x"});
    create_refused(
        |config| config["mounts"].as_array_mut().unwrap().push(mount),
        &["nosuchfs"],
    );
}

#[test]
fn a_terminal_needs_its_socket() {
    let Some(lab) = Lab::new(|config| config["process"]["terminal"] = json!(true)) else {
        return;
    };
    refused(&lab.say(&["create", &lab.id]), &["console socket"]);
    refused(
        &lab.say(&["create", "--console-socket", "/nowhere/s", &lab.id]),
        &["/nowhere/s"],
    );
    lab.assert_nothing_left();
}

#[test]
fn ids() {
    let Some(lab) = Lab::script("exec sleep 100") else {
        return;
    };
    for id in ["..", ".", "a/b", "../../etc", "a b", "/etc"] {
        for verb in [
            "create", "run", "start", "state", "kill", "delete", "pause", "resume",
        ] {
            refused(&lab.say(&[verb, id]), &["container ID"]);
        }
    }
    for verb in [
        "start", "state", "kill", "delete", "pause", "resume", "ps", "events",
    ] {
        refused(&lab.say(&[verb, "absent"]), &["container does not exist"]);
    }
    refused(
        &lab.say(&["exec", "absent", "true"]),
        &["container does not exist"],
    );
    lab.must(&["delete", "--force", "absent"]);
    lab.up();
    refused(&lab.say(&["create", &lab.id]), &["already exists", &lab.id]);
    assert_eq!(
        lab.status(),
        "running",
        "the refused create touched the old container"
    );
}

#[test]
fn wrong_moments() {
    let Some(lab) = Lab::script("exit 0") else {
        return;
    };
    lab.create();
    refused(&lab.say(&["exec", &lab.id, "true"]), &["created"]);
    lab.must(&["start", &lab.id]);
    crate::lab::eventually("stopped", || lab.status() == "stopped");
    refused(&lab.say(&["exec", &lab.id, "true"]), &["stopped"]);
    refused(&lab.say(&["start", &lab.id]), &["stopped"]);
    refused(&lab.say(&["kill", &lab.id]), &["container not running"]);
    refused(&lab.say(&["pause", &lab.id]), &["container not running"]);
    refused(
        &lab.say(&["update", "--memory", "1g", &lab.id]),
        &["container not running"],
    );
    lab.must(&["delete", &lab.id]);
    lab.assert_nothing_left();
}

#[test]
fn what_the_engine_does_not_have() {
    let Some(lab) = Lab::new(|_| {}) else { return };
    for verb in ["checkpoint", "restore"] {
        let said = lab.say(&[verb, "--image-path", "/x", &lab.id]);
        refused(
            &said,
            &[&format!("{verb} is not supported by packrank-engine")],
        );
    }
    refused(&lab.say(&["nosuch"]), &["nosuch"]);
    refused(&lab.say(&["kill", &lab.id, "NOSUCH"]), &["NOSUCH"]);
    refused(&lab.say(&["create", "--nosuch", &lab.id]), &["--nosuch"]);
    refused(&lab.say(&[]), &["no command"]);
}

#[test]
fn a_program_the_kernel_refuses_is_told_by_start() {
    let Some(lab) = Lab::new(|config| config["process"]["args"] = json!(["/bin/odd"])) else {
        return;
    };
    let odd = lab.bundle().join("rootfs/bin/odd");
    fs::write(&odd, "neither script nor binary").unwrap();
    fs::set_permissions(&odd, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    lab.create();
    refused(
        &lab.say(&["start", &lab.id]),
        &["/bin/odd", "Exec format error"],
    );
    lab.must(&["delete", &lab.id]);
    refused(&lab.run(), &["/bin/odd", "Exec format error"]);
    lab.assert_nothing_left();
}
