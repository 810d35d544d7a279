//! The alert rules and their runbooks.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::prometheus::{examples, installed};

fn promtool(folder: &Path) -> (bool, String) {
    let out = Command::new("/usr/bin/promtool")
        .args(["test", "rules", "rules.test.yaml"])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].concat();
    (
        out.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn every_alert_fires_when_it_should_and_its_tests_notice_when_not() {
    if !installed("the alert rules") {
        return;
    }
    let (passed, said) = promtool(&examples());
    assert!(passed, "{said}");
    // Each threshold moved, one at a time, is noticed.
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let text = fs::read_to_string(examples().join(name)).unwrap();
        fs::write(folder.path().join(name), &text).unwrap();
        text
    };
    copy("rules.test.yaml");
    let rules = copy("rules.yaml");
    for (from, to) in [
        ("percent > 80", "percent > 86"),
        ("percent > 90", "percent > 87"),
        ("percent > 85", "percent > 89"),
        ("> 10\n", "> 4\n"),
        ("connections_limit > 0.9", "connections_limit > 0.96"),
        ("files_limit > 0.9", "files_limit > 0.8"),
        ("level >= 3", "level >= 2"),
        ("unless pack_actions_total", "unless no_actions_total"),
        ("(packrank_packs) > 0", "(packrank_packs) >= 0"),
        ("for: 1h", "for: 1m"),
    ] {
        let moved = rules.replace(from, to);
        assert_ne!(moved, rules, "{from}");
        fs::write(folder.path().join("rules.yaml"), moved).unwrap();
        assert!(!promtool(folder.path()).0, "{from} as {to} is not noticed");
    }
}

#[test]
fn every_alert_has_its_page() {
    let rules = fs::read_to_string(examples().join("rules.yaml")).unwrap();
    let book = examples().join("../../docs/runbooks.md");
    let book = fs::read_to_string(book).unwrap().to_lowercase();
    let alerts = rules.matches("- alert:").count();
    let links: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: docs/runbooks.md#"))
        .collect();
    assert_eq!(links.len(), alerts);
    for link in links {
        assert!(book.contains(&format!("\n## {link}\n")), "{link}");
    }
}
