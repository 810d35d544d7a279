//! Man pages and completions follow the command line.

use std::fs;

use crate::run::{folder, packrank, text};

#[test]
fn every_verb_has_its_page_and_is_completed() {
    let here = folder();
    packrank(&["generate", &text(here.path())]).ok();
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    let bash = read("completions/packrank.bash");
    let (zsh, fish) = (
        read("completions/_packrank"),
        read("completions/packrank.fish"),
    );
    let help = packrank(&["--help"]).ok();
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let verbs: Vec<&str> = verbs
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(verbs.contains(&"install") && verbs.len() > 5, "{verbs:?}");
    for verb in verbs {
        let page = read(&format!("man/packrank-{verb}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{verb}");
        for shell in [&bash, &zsh, &fish] {
            assert!(shell.contains(verb), "{verb}");
        }
    }
    assert!(read("man/packrank.1").contains("packrank\\-install(1)"));
}
