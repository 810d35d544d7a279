//! Whole outputs, held to files under `tests/golden`.
//!
//! `BLESS=1 cargo test -p packrank-cli` writes them anew; look at the diff.

use crate::run::{config, file, folder, host, packrank, root};

fn hold(name: &str, seen: &str) {
    let path = root().join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        seen == wanted,
        "{} differs; BLESS=1 writes it anew. Seen:\n{seen}",
        path.display()
    );
}

/// Two made by hand, and one as each manager wrote it: Docker 26, Podman 5.4,
/// containerd 1.7's ctr, and containerd 1.6 for a pod.
const BUNDLES: [&str; 6] = ["web", "batch", "docker", "podman", "ctr", "cri"];

#[test]
fn explain() {
    let etc = folder();
    let policy = file(&etc, "policy.toml", "");
    for on in ["v2", "hybrid"] {
        for bundle in BUNDLES {
            let (config, host) = (config(bundle), host(on));
            let common = [
                "explain",
                &config,
                "--host",
                &host,
                "--engine",
                "/usr/bin/runc",
                "--policy",
                &policy,
            ];
            for (more, ending) in [
                (&[][..], "txt"),
                (&["--format", "json"], "json"),
                (&["--spec"], "config.json"),
            ] {
                let args: Vec<&str> = common.iter().chain(more).copied().collect();
                let seen = packrank(&args).ok();
                hold(&format!("explain-{bundle}-{on}.{ending}"), &seen);
                let wide = |line: &&str| line.chars().count() > 80;
                assert!(ending != "txt" || !seen.lines().any(|l| wide(&l)), "{seen}");
            }
        }
    }
}

#[test]
fn doctor() {
    for on in ["v2", "hybrid"] {
        let host = host(on);
        let table = packrank(&["doctor", "--host", &host]).ok();
        hold(&format!("doctor-{on}.txt"), &table);
        let json = packrank(&["doctor", "--host", &host, "--format", "json"]).ok();
        hold(&format!("doctor-{on}.json"), &json);
    }
}
