//! Beside and in front of real engines.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use packrank_tests::bundle::Bundle;
use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::place::{Place, quiet};
use crate::race::{Contestant, net, run};
use crate::table;

/// The engines that are installed, with youki from the cache.
fn installed(place: &Place, names: &[&'static str]) -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for name in names {
        match place.installed(name) {
            Some(path) => found.push((*name, path)),
            None => skipped(&format!("bench with {name}"), "it is not in PATH"),
        }
    }
    found
}

fn works(engine: &Path, root: &Path, bundle: &Bundle) -> bool {
    let mut run = quiet(engine);
    run.arg("--root")
        .arg(root)
        .args(["run", "--bundle"])
        .arg(&bundle.path)
        .arg("packrank-bench-probe");
    run.status().is_ok_and(|status| status.success())
}

/// What the runtime adds to an engine's create. The engine alone gets the
/// spec as it was rewritten, so that it does the same work.
pub fn added_to_create(place: &Place, rounds: usize) {
    table::section("Added to a real engine's create (the engine alone gets the rewritten spec)");
    for (name, engine) in installed(place, &["runc", "crun"]) {
        let root = place.path(&format!("root-{name}"));
        let folder = place.path(&format!("create-{name}"));
        let bundle = Bundle::busybox(&folder, &["true"], |spec| {
            spec["annotations"] = json!({ "packrank.io/priority": "low" });
        });
        let Some(bundle) = bundle else {
            return skipped("bench with engines", "no busybox");
        };
        if !works(&engine, &root, &bundle) {
            skipped(
                &format!("bench with {name}"),
                "it does not run a container here",
            );
            continue;
        }
        let before = bundle.bytes();
        let runtime = || {
            let mut command = quiet(&place.runtime);
            command.arg("--engine").arg(&engine);
            command
        };
        let create = |mut command: std::process::Command| {
            command
                .arg("--root")
                .arg(&root)
                .args(["create", "--bundle"])
                .arg(&bundle.path)
                .arg("packrank-bench");
            command
        };
        let delete = || {
            let mut command = quiet(&engine);
            command
                .arg("--root")
                .arg(&root)
                .args(["delete", "--force", "packrank-bench"]);
            assert!(command.status().unwrap().success());
        };
        // Once, to have the rewritten spec.
        assert!(create(runtime()).status().unwrap().success());
        delete();
        let rewritten = bundle.bytes();
        let mut alone = Contestant::new("alone", create(quiet(&engine)));
        alone.before = Box::new(|| fs::write(bundle.config(), &rewritten).unwrap());
        alone.after = Box::new(delete);
        let mut wrapped = Contestant::new("wrapped", create(runtime()));
        wrapped.before = Box::new(|| fs::write(bundle.config(), &before).unwrap());
        wrapped.after = Box::new(delete);
        let times = run(&mut [alone, wrapped], rounds);
        table::row(&format!("{name} create"), &times[0], None);
        table::row_by_cpu(
            "  added by packrank-runtime",
            &net(&times[1], &times[0]),
            0.5,
        );
    }
}

/// `run` of /bin/true by each engine.
pub fn run_of_true(place: &Place, rounds: usize) {
    table::section("run of /bin/true");
    let bundle = Bundle::busybox(&place.path("true"), &["true"], |_| {});
    let Some(bundle) = bundle else {
        return skipped("bench with engines", "no busybox");
    };
    let mut engines = installed(place, &["runc", "crun", "youki"]);
    if place.engine.exists() {
        engines.insert(0, ("packrank-engine", place.engine.clone()));
    } else {
        skipped("bench of packrank-engine", "it was not built");
    }
    let root = |name: &str| place.path(&format!("run-{name}"));
    engines.retain(|(name, engine)| {
        let runs = works(engine, &root(name), &bundle);
        if !runs {
            skipped(
                &format!("bench with {name}"),
                "it does not run a container here",
            );
        }
        runs
    });
    let number = Cell::new(0);
    let mut contestants: Vec<Contestant<'_>> = engines
        .iter()
        .map(|(name, engine)| {
            number.set(number.get() + 1);
            let mut command = quiet(engine);
            command
                .arg("--root")
                .arg(root(name))
                .args(["run", "--bundle"])
                .arg(&bundle.path);
            command.arg(format!("packrank-bench-{}", number.get()));
            Contestant::new(name, command)
        })
        .collect();
    let times = run(&mut contestants, rounds);
    for ((name, _), times_of) in engines.iter().zip(&times) {
        table::row(name, times_of, None);
    }
    if let Some(("packrank-engine", _)) = engines.first() {
        for ((name, _), times_of) in engines.iter().zip(&times).skip(1) {
            table::ratio(&format!("packrank-engine : {name}"), &times[0], times_of);
        }
    }
}
