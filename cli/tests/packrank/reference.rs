//! docs/policy.md says what the code takes: all of it, with the defaults it has.

use packrank_watcher::config::Config;

use crate::run::{packrank_with, root};

fn text() -> String {
    std::fs::read_to_string(root().join("../docs/policy.md")).unwrap()
}

/// The page's pieces of TOML, in order.
fn pieces(page: &str) -> Vec<&str> {
    let pieces = page.split("```toml\n").skip(1);
    pieces
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn every_piece_is_a_policy_file() {
    let page = text();
    let pieces = pieces(&page);
    assert_eq!(pieces.len(), 5);
    for piece in pieces {
        let seen = packrank_with(&["policy", "check", "-"], piece.as_bytes(), &[]);
        assert_eq!(seen.status, 0, "{}\n{piece}", seen.err);
    }
}

#[test]
fn the_watchers_table_is_whole_and_has_the_defaults() {
    let page = text();
    let piece = *pieces(&page).last().unwrap();
    let shown: toml::Table = piece.parse().unwrap();
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    assert_eq!(shown["watch"], toml::Value::Table(defaults));
    assert!(
        piece.contains("\n# metrics = \""),
        "the one without a default"
    );
}

/// What the code names when it is asked for a key that nobody knows.
#[test]
fn every_key_that_is_taken_is_named() {
    let page = text();
    for file in [
        "x = 1",
        "engine.x = 1",
        "[[grant]]\nx = 1",
        "[[limits]]\nx = 1",
    ] {
        let refusal = packrank_with(&["policy", "check", "-"], file.as_bytes(), &[]).err;
        let (_, known) = refusal.split_once("known here: ").unwrap();
        for key in known.trim().split(", ") {
            let key = key.rsplit('.').next().unwrap();
            assert!(page.contains(key), "{key} is not on the page");
        }
    }
}
