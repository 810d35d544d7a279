//! `packrank doctor` on this machine, whatever it is, and on none.

use crate::run::{folder, host, packrank, packrank_with, text};

#[test]
fn a_host_with_nothing_cannot_run_anything() {
    let nowhere = folder();
    let seen = packrank(&["doctor", "--host", &text(nowhere.path())]);
    assert_eq!(seen.status, 1);
    assert!(seen.out.contains("lack  layout"), "{}", seen.out);
    assert!(seen.out.contains("no container can be created here"));
}

#[test]
fn engines_are_found_asked_and_one_is_used() {
    let bin = folder();
    for (name, text) in [
        ("crun", "#!/bin/sh\necho crun version 1.21\necho more\n"),
        ("youki", "#!/bin/sh\nexit 1\n"),
    ] {
        packrank_executable::write(&bin.path().join(name), text);
    }
    let path = text(bin.path());
    let seen = packrank_with(&["doctor", "--format", "json"], b"", &[("PATH", &path)]);
    let answer: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
    let says = |name: &str| {
        let findings = answer["findings"].as_array().unwrap();
        let found = findings.iter().find(|f| f["name"] == name).unwrap();
        found["says"].as_str().unwrap().to_owned()
    };
    assert!(
        says("crun").starts_with(&format!("1.21, {path}/crun (used)")),
        "{}",
        says("crun")
    );
    assert!(says("youki").starts_with("of no known version"));
    assert_eq!(says("runc"), "not installed");
}

#[test]
fn colour_is_for_terminals_and_never_with_no_color() {
    let v2 = host("v2");
    let args = ["doctor", "--host", &v2];
    assert!(!packrank(&args).out.contains('\u{1b}'));
    let forced = packrank_with(&args, b"", &[("CLICOLOR_FORCE", "1")]);
    assert!(forced.out.contains('\u{1b}'));
    let both = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
    assert!(!packrank_with(&args, b"", &both).out.contains('\u{1b}'));
}
