//! The commands on the pages, as clap reads them.

use std::collections::BTreeSet;

use super::pages::{manifests, pages};
use crate::run::packrank;

/// What no command line has: clap reads from left to right, so whoever gets as
/// far as this has taken all before it.
const NOWHERE: &str = "--what-no-verb-has";

/// A command's words behind `packrank`, without what the shell takes.
fn words(line: &str) -> impl Iterator<Item = Vec<String>> {
    let pieces = line.split(['|', ';', '&', '#', '>', '<', '`', '(', ')']);
    pieces.filter_map(|piece| {
        let mut words = piece.split_whitespace().skip_while(|word| {
            // What a command is run by.
            matches!(*word, "#" | "$" | "--" | "exec")
        });
        let program = words.next()?;
        if program != "packrank" && !program.ends_with("/packrank") {
            return None;
        }
        let unquoted = |word: &str| {
            word.trim_matches(['"', '\'', '…', ',', '.', ':'])
                .to_owned()
        };
        let words: Vec<String> = words
            .map(unquoted)
            .filter(|word| !word.is_empty())
            .collect();
        let verb = words.first()?;
        verb.chars()
            .all(|c| c.is_ascii_lowercase())
            .then_some(words)
    })
}

/// The commands in blocks, on lines of their own, and those quoted in the text.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    let mut inside = false;
    for line in joined.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside || line.starts_with("    ") {
            found.extend(words(line));
        }
    }
    // Outside of blocks a quoted command may be wrapped.
    let prose: Vec<&str> = joined.split("```").step_by(2).collect();
    for quoted in prose
        .iter()
        .flat_map(|text| text.split('`').skip(1).step_by(2))
    {
        let one = quoted.split_whitespace().collect::<Vec<_>>().join(" ");
        // One engine of `docker|podman|…` stands for the others.
        found.extend(words(&one));
    }
    found
}

#[test]
fn every_command_is_one_and_every_verb_is_on_a_page() {
    let mut verbs = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for page in pages().iter().chain(&manifests()) {
        for words in commands(&page.text) {
            let at = page.path.display();
            verbs.insert(words[0].clone());
            if !seen.insert(words.clone()) {
                continue;
            }
            let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
            args.push(NOWHERE);
            let said = packrank(&args);
            assert_eq!(said.status, 2, "{at}: packrank {words:?}: {}", said.err);
            assert!(
                said.err
                    .contains(&format!("unexpected argument '{NOWHERE}'")),
                "{at}: packrank {words:?}: {}",
                said.err
            );
        }
    }
    assert!(seen.len() > 25, "{seen:?}");
    let help = packrank(&["--help"]).ok();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let known = list.lines().take_while(|line| !line.is_empty());
    for verb in known.filter_map(|line| line.split_whitespace().next()) {
        assert!(verbs.contains(verb), "no page shows packrank {verb}");
    }
}
