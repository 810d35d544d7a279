//! `packrank policy`.

use crate::run::{file, folder, packrank, packrank_with};

#[test]
fn the_watchers_table_is_checked_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let name = file.to_str().unwrap();
    for (text, says) in [
        ("[watch]\nhold = 40\n", None),
        (
            "mode = \"audit\"\n[watch.ladder]\nkil = 1\n",
            Some(":3: kil: unknown field `kil`"),
        ),
        (
            "[watch]\nmemory.used = [90, 80, 92, 97]\n",
            Some(":2: watch.memory.used: its four levels must rise"),
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let seen = packrank(&["policy", "check", name]);
        match says {
            None => drop(seen.ok()),
            Some(says) => {
                let refusal = seen.refused();
                assert!(refusal.starts_with(&format!("{name}{says}")), "{refusal}");
            }
        }
    }
}

#[test]
fn without_a_watcher_its_verbs_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().to_str().unwrap();
    for verb in ["events", "pause", "resume"] {
        let said = packrank(&[verb, "--run", run]).refused();
        assert!(said.starts_with("no watcher runs on this node"), "{said}");
    }
}

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
