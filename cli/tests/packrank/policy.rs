//! `packrank policy`.

use crate::run::{file, folder, packrank, packrank_with};

#[test]
fn show_prints_the_built_in_file() {
    let shown = packrank(&["policy", "show"]).ok();
    assert_eq!(shown, packrank_core::policy::BUILT_IN);
    let checked = packrank_with(&["policy", "check", "-"], shown.as_bytes(), &[]);
    assert!(checked.ok().starts_with("-: ok\n"));
}

#[test]
fn show_effective_says_where_a_value_was_written() {
    let etc = folder();
    let policy = file(&etc, "p.toml", "\n[class.low]\npids = 7\n");
    let shown = packrank(&["policy", "show", "--effective", "--policy", &policy]).ok();
    let line = shown.lines().find(|l| l.starts_with("pids = 7 ")).unwrap();
    assert!(line.ends_with(&format!("# {policy}:3")), "{line}");
    assert!(shown.contains("\n[class.critical]\ncpu.shares = 2048\ncpu.quota = \"200%\"\n"));
    let again = packrank_with(&["policy", "check", "-"], shown.as_bytes(), &[]);
    assert_eq!(again.status, 0, "{}", again.err);
}

#[test]
fn check_sums_up_and_warns() {
    let etc = folder();
    let text = "mode = \"audit\"\n[class.critical]\noom.score = -1000\n[class.low]\npids = 7\n\
        memory.guarantee = \"2Gi\"\n[ceiling.low]\npids = 5\n[[grant]]\nnamespace = \"x\"\nhighest = \"critical\"\n";
    let policy = file(&etc, "p.toml", text);
    let seen = packrank(&["policy", "check", &policy]).ok();
    for wanted in [
        format!("{policy}:3: class.critical.oom.score: warning:\n"),
        "1886 oom events in 8 s".to_owned(),
        format!("{policy}:8: ceiling.low.pids: warning:\n"),
        format!("{policy}:6: class.low.memory.guarantee: warning:\n"),
        format!("{policy}: ok\n  mode audit, no default class\n"),
        "  class critical: 1 setting\n  class low: 2 settings, 1 ceiling\n  1 grant\n".to_owned(),
    ] {
        assert!(seen.contains(&wanted), "{wanted}\n---\n{seen}");
    }
}
