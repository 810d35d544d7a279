//! The pages of the tree, and what is on them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::root;

/// A page, or another text that users read.
#[derive(Debug)]
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

impl Page {
    pub fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Page {
            path: path.to_owned(),
            text,
        }
    }

    /// Its headings as a browser is led to them.
    pub fn anchors(&self) -> impl Iterator<Item = String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            heading
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
    }
}

/// The tree's top.
pub fn top() -> PathBuf {
    root().join("..").canonicalize().unwrap()
}

/// Every page of the tree.
pub fn pages() -> Vec<Page> {
    let pages = under(&top(), &["md"]);
    assert!(pages.len() > 15, "{}", pages.len());
    pages
}

/// The example files that are no pages.
pub fn manifests() -> Vec<Page> {
    under(&top().join("examples"), &["yaml", "toml", "json"])
}

/// The files with these endings, but for what was built.
fn under(folder: &Path, endings: &[&str]) -> Vec<Page> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "out" {
                found.extend(under(&path, endings));
            }
        } else if endings
            .iter()
            .any(|e| path.extension().is_some_and(|x| x == *e))
        {
            found.push(Page::read(&path));
        }
    }
    found
}

/// The fenced blocks of the language.
pub fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let pieces = text.split(fence.as_str()).skip(1);
    pieces
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The targets of links that stay in the tree.
pub fn links(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("](");
    let targets = starts.filter_map(|(at, _)| text[at + 2..].split(')').next());
    targets.filter(|link| !link.contains("://") && !link.contains(char::is_whitespace))
}
