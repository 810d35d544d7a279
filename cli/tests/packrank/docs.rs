//! The pages say what the binaries do: every command can be read, every key is
//! known, every link leads somewhere, every figure of the README is the
//! policy's, and the example files are what `packrank install` writes.

mod commands;
mod examples;
mod pages;

use std::collections::BTreeSet;

use packrank_core::Priority;
use packrank_core::annotation::{Request, controls};
use packrank_core::key::Key;
use packrank_core::policy::Policy;
use packrank_core::value::Value;

use crate::run::packrank_with;
use pages::{Page, blocks, links, pages, top};

/// A label of the Kubernetes example's, which is no annotation.
const LABELS: [&str; 1] = ["node"];

#[test]
fn every_link_leads_somewhere_and_every_page_can_be_found() {
    let pages = pages();
    let at = |path: &std::path::Path| pages.iter().find(|page| page.path == path);
    let mut linked: BTreeSet<_> = BTreeSet::from([top().join("README.md")]);
    for page in &pages {
        let folder = page.path.parent().unwrap();
        for link in links(&page.text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.path.clone(),
                _ => folder.join(path).canonicalize().unwrap_or_else(|error| {
                    panic!("{}: {link}: {error}", page.path.display());
                }),
            };
            let target = match target.join("README.md") {
                read if read.is_file() => read,
                _ => target,
            };
            if !anchor.is_empty() {
                let there = at(&target).is_some_and(|page| page.anchors().any(|a| a == anchor));
                assert!(there, "{}: {link}: no such heading", page.path.display());
            }
            if target != page.path {
                linked.insert(target);
            }
        }
    }
    for page in &pages {
        assert!(
            linked.contains(&page.path),
            "{}: nothing links to it",
            page.path.display()
        );
    }
}

#[test]
fn every_annotation_that_is_named_is_known_and_every_value_given_is_taken() {
    let mut given = 0;
    for page in pages().iter().chain(&pages::manifests()) {
        for (at, start) in page.text.match_indices("packrank.io/") {
            let rest = &page.text[at + start.len()..];
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || ".-".contains(c)));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let name = name.trim_end_matches('.');
            let known = name.is_empty()
                || controls().contains(&name)
                || Key::named(name).is_some()
                || LABELS.contains(&name);
            assert!(known, "{}: packrank.io/{name}", page.path.display());
            let value = after.strip_prefix('=').unwrap_or_default();
            let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || ".%-".contains(c)));
            let value = &value[..end.unwrap_or(value.len())];
            if !value.is_empty() && !LABELS.contains(&name) {
                let annotation = format!("packrank.io/{name}");
                let request = Request::parse([(annotation.as_str(), value)], None);
                assert!(request.is_ok(), "{annotation}={value}: {request:?}");
                given += 1;
            }
        }
    }
    assert!(given >= 10, "only {given} annotations have a value");
}

#[test]
fn the_readmes_classes_are_the_built_in_policys() {
    let page = Page::read(&top().join("README.md"));
    let policy = Policy::built_in().unwrap();
    for (row, keys) in [
        ("CPU weight (v1 shares)", &["cpu.shares"][..]),
        ("CPU quota", &["cpu.quota"]),
        ("memory limit", &["memory.limit"]),
        ("memory guarantee", &["memory.guarantee"]),
        ("OOM score", &["oom.score"]),
        ("network, each way", &["network.egress", "network.ingress"]),
        (
            "disk, read and write each",
            &["io.read-bps", "io.write-bps"],
        ),
    ] {
        let start = format!("| {row} | ");
        let line = page.text.lines().find_map(|line| line.strip_prefix(&start));
        let cells = line.unwrap_or_else(|| panic!("no row {row}")).split(" | ");
        for (class, cell) in Priority::ALL.into_iter().rev().zip(cells) {
            let said = cell.split(',').next().unwrap().trim_end_matches(" |");
            for key in keys {
                let key = Key::named(key).unwrap();
                let value = &policy.class(class, key).unwrap().value;
                let wanted = match value {
                    Value::Number(0) if key == Key::MemoryGuarantee => "none".to_owned(),
                    value => value.show(key),
                };
                assert_eq!(said, wanted, "{row}, {class}");
            }
        }
    }
}

#[test]
fn every_piece_of_toml_is_a_policy() {
    for page in pages() {
        // There it is containerd's.
        if page.path.ends_with("annotations.md") {
            continue;
        }
        for piece in blocks(&page.text, "toml") {
            let seen = packrank_with(&["policy", "check", "-"], piece.as_bytes(), &[]);
            let at = page.path.display();
            assert_eq!(seen.status, 0, "{at}: {}\n{piece}", seen.err);
        }
    }
}

#[test]
fn there_is_one_port() {
    let mut seen = 0;
    for page in pages().iter().chain(&pages::manifests()) {
        for (at, _) in page.text.match_indices("127.0.0.1:") {
            assert!(
                page.text[at..].starts_with("127.0.0.1:9435"),
                "{}",
                page.path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 3);
}

/// The options' names as the shim's source declares them.
#[test]
fn the_shims_options_are_those_that_it_takes() {
    let source = std::fs::read_to_string(top().join("containerd-shim/src/options.rs")).unwrap();
    let (_, declared) = source.split_once("pub struct Options {").unwrap();
    let (declared, _) = declared.split_once("\n}").unwrap();
    let fields = declared
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let taken: BTreeSet<String> = fields.map(pascal).collect();
    assert!(taken.contains("BinaryName"), "{taken:?}");
    let page = Page::read(&top().join("docs/containerd.md"));
    let (_, section) = page.text.split_once("## Options\n").unwrap();
    let (section, _) = section.split_once("```").unwrap();
    let quoted = section.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphabetic())
    };
    let named: BTreeSet<String> = quoted.filter(is_name).map(str::to_owned).collect();
    assert_eq!(named, taken);
}

/// serde's `PascalCase`.
fn pascal(field: &str) -> String {
    let parts = field.split('_').map(|part| {
        let (first, rest) = part.split_at(1);
        first.to_ascii_uppercase() + rest
    });
    parts.collect()
}

/// `NN-name` or `NN-name:value` in backquotes: a case of the lab, and a value
/// of its matrix.
#[test]
fn what_is_said_to_run_names_the_cases_that_run_it() {
    let page = Page::read(&top().join("docs/compatibility.md"));
    let cases = top().join("tests/vm/cases");
    let mut found = 0;
    for row in page.text.lines().filter(|line| line.starts_with("| ")) {
        let mut named = 0;
        for quoted in row.split('`').skip(1).step_by(2) {
            let is_case = quoted.starts_with(|c: char| c.is_ascii_digit()) && quoted.contains('-');
            if !is_case {
                continue;
            }
            let mut parts = quoted.split(':');
            let case = parts.next().unwrap();
            let file = cases.join(format!("{case}.sh"));
            let text =
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{quoted}: {error}"));
            let matrix = text.lines().find(|line| line.starts_with("# matrix:"));
            for value in parts {
                let values = matrix.unwrap_or_default().split([' ', '=', ',']);
                assert!(values.into_iter().any(|v| v == value), "{quoted}");
            }
            named += 1;
        }
        let manager = row.contains("| run: ") && row.matches('|').count() == 6;
        assert!(named > 0 || !manager, "no case is named: {row}");
        found += named;
    }
    assert!(found > 10, "{found}");
}
