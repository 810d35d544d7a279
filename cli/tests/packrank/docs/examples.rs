//! The example files are what `packrank install` writes, and the README shows
//! what the examples do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use packrank_skipped::skipped;

use super::pages::{Page, blocks, top};
use crate::install::Node;

impl Node {
    /// A program of the engine's that takes whatever it is asked about.
    fn program(&self, name: &str, says: &str) {
        let place = self.root().join("usr/bin").join(name);
        fs::write(&place, format!("#!/bin/sh\n{says}\n")).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn installed(&self, args: &[&str]) {
        let (status, said, wrong) = self.packrank(args);
        assert_eq!((status, wrong.as_str()), (0, ""), "{said}");
    }
}

fn example(path: &str) -> String {
    Page::read(&top().join("examples").join(path)).text
}

#[test]
fn dockers_is_what_install_writes() {
    let node = Node::bare();
    node.program("dockerd", "");
    node.installed(&["install", "--for", "docker", "--class-runtimes"]);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(
        json(&node.read("etc/docker/daemon.json")),
        json(&example("docker/daemon.json"))
    );
}

#[test]
fn podmans_is_what_install_writes() {
    let node = Node::bare();
    node.program("podman", "");
    node.installed(&["install", "--for", "podman"]);
    let folder = top().join("examples/podman/hooks.d");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let written = node.read(&format!("usr/share/containers/oci/hooks.d/{name}"));
        assert_eq!(written, example(&format!("podman/hooks.d/{name}")));
        files += 1;
    }
    let written = node.root().join("usr/share/containers/oci/hooks.d");
    assert_eq!(fs::read_dir(written).unwrap().count(), files);
}

#[test]
fn crios_is_what_install_writes() {
    let node = Node::bare();
    // It shows the files of the folder that it is given, as crio does.
    node.program(
        "crio",
        "for a; do [ ! -e \"$a\"/99-packrank.conf ] || /bin/cat \"$a\"/*; done",
    );
    node.program("conmon", "");
    node.installed(&["install", "--for", "crio"]);
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(
        table(&node.read("etc/crio/crio.conf.d/99-packrank.conf")),
        table(&example("crio/99-packrank.conf"))
    );
}

/// Those for a file of its own: this machine's containerd would come up with
/// them, and `config.toml` is what `install` makes of nothing.
#[test]
fn containerds_are_whole() {
    let annotations = Page::read(&top().join("annotations.md")).text;
    let by_hand = blocks(&annotations, "toml");
    assert_eq!(by_hand.len(), 1);
    let Some(node) = Node::with_containerd() else {
        return;
    };
    let version = |text: &str| text.parse::<toml::Table>().unwrap()["version"].clone();
    node.installed(&["install", "--for", "containerd"]);
    let written = node.read("etc/containerd/config.toml");
    if version(&written).as_integer() == Some(2) {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        assert_eq!(table(&written), table(&example("containerd/config.toml")));
        assert_eq!(table(&written), table(by_hand[0]), "{}", by_hand[0]);
    } else {
        skipped(
            "the example for containerd",
            "this machine's containerd writes another version",
        );
    }
    for text in [&example("containerd/shim.toml"), by_hand[0]] {
        node.write("etc/containerd/config.toml", text);
        let install = ["install", "--for", "containerd", "--dry-run"];
        let (_, said, wrong) = node.packrank(&install);
        // What keeps the CRI from starting is what it would not touch.
        assert!(!wrong.contains("is left as it is"), "{said}{wrong}\n{text}");
    }
    node.write(
        "etc/containerd/config.toml",
        &example("containerd/shim.toml").replace(".runtimes.runc]", ".runtimes.other]"),
    );
    let (_, _, wrong) = node.packrank(&["install", "--for", "containerd", "--dry-run"]);
    assert!(wrong.contains("is left as it is"), "{wrong}");
}

/// The guest runs the examples; the README's commands are theirs.
#[test]
fn the_readmes_commands_are_the_examples() {
    let readme = Page::read(&top().join("README.md")).text;
    let (_, use_it) = readme.split_once("\n**Docker**").unwrap();
    let (use_it, _) = use_it.split_once("\n**Kubernetes**").unwrap();
    let blocks = blocks(use_it, "console");
    let engines = ["docker", "podman", "containerd", "crio"];
    assert_eq!(blocks.len(), engines.len());
    for (block, engine) in blocks.iter().zip(engines) {
        let shown = example(&format!("{engine}/README.md"));
        for line in block.lines() {
            let there = shown.lines().any(|there| there == line);
            assert!(there, "{}: {line}", Path::new(engine).display());
        }
    }
}
