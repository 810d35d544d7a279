//! Beside and in front of real engines.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use packrank_tests::bundle::Bundle;
use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::place::{Place, quiet};
use crate::race::{Contestant, finish, net, run};
use crate::table::{self, Goal, Row};

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

/// Whether it creates a container here.
fn works(engine: &Path, root: &Path, bundle: &Bundle) -> bool {
    let call = |args: &[&str]| {
        let mut command = quiet(engine);
        command.arg("--root").arg(root).args(args);
        let status = finish(&mut command.spawn().unwrap());
        status.is_some_and(|status| status.success())
    };
    let bundle = bundle.path.to_str().unwrap();
    let id = "packrank-bench-probe";
    let created = call(&["create", "--bundle", bundle, id]);
    call(&["delete", "--force", id]) && created
}

/// What the runtime, and the Go wrapper, add to each engine's create, all in
/// the same rounds. The engine alone gets the spec as the runtime rewrote it,
/// so that it does the same work.
pub fn added_to_create(place: &Place, rounds: usize) {
    table::section("Added to a real engine's create (the engine alone gets the rewritten spec)");
    let engines: Vec<Engine> = installed(place, &["runc", "crun", "youki"])
        .into_iter()
        .filter_map(|(name, path)| Engine::prepare(place, name, path))
        .collect();
    let mut contestants = Vec::new();
    for engine in &engines {
        let alone = engine.create(quiet(&engine.path));
        contestants.push(engine.contestant(alone, &engine.rewritten));
        for wrapper in place.wrappers() {
            let wrapped = engine.wrapped(wrapper);
            contestants.push(engine.contestant(wrapped, &engine.before));
        }
    }
    let times = run(&mut contestants, rounds);
    let each = 1 + place.wrappers().count();
    for (engine, times) in engines.iter().zip(times.chunks(each)) {
        let name = engine.name;
        let alone = format!("{name}'s");
        Row::of(&format!("{name} create"), &times[0]).print();
        let row = |name: &str, index: usize| {
            let row = Row::of(name, &times[index]);
            row.beside(&alone, times.first()).print();
        };
        row("  behind packrank-runtime", 1);
        let ours = net(&times[1], &times[0]);
        let go = times.get(2).map(|go| net(go, &times[0]));
        let added = Row::of("  added by packrank-runtime", &ours);
        added
            .beside("Go's", go.as_ref())
            .goal(Goal::Cpu(0.5))
            .print();
        if let Some(go) = &go {
            row("  behind a Go wrapper", 2);
            Row::of("  added by a Go wrapper", go).print();
        }
    }
}

/// A real engine with a bundle of its own.
struct Engine {
    name: &'static str,
    path: PathBuf,
    root: PathBuf,
    bundle: Bundle,
    /// config.json as a manager writes it, and as it is once it was ranked.
    before: Vec<u8>,
    rewritten: Vec<u8>,
}

impl Engine {
    fn prepare(place: &Place, name: &'static str, path: PathBuf) -> Option<Engine> {
        let root = place.path(&format!("root-{name}"));
        let folder = place.path(&format!("create-{name}"));
        let bundle = Bundle::busybox(&folder, &["true"], |spec| {
            spec["annotations"] = json!({ "packrank.io/priority": "low" });
        });
        let what = format!("bench with {name}");
        let Some(bundle) = bundle else {
            skipped(&what, "no busybox");
            return None;
        };
        if !works(&path, &root, &bundle) {
            skipped(&what, "it does not run a container here");
            return None;
        }
        let before = bundle.bytes();
        let mut engine = Engine {
            name,
            path,
            root,
            bundle,
            before,
            rewritten: Vec::new(),
        };
        let mut create = engine.wrapped(&place.runtime);
        assert!(create.status().unwrap().success(), "{name}");
        engine.delete();
        engine.rewritten = engine.bundle.bytes();
        Some(engine)
    }

    fn create(&self, mut command: Command) -> Command {
        command.arg("--root").arg(&self.root);
        command.args(["create", "--bundle"]).arg(&self.bundle.path);
        command.arg("packrank-bench");
        command
    }

    /// The create by a wrapper in front of it.
    fn wrapped(&self, wrapper: &Path) -> Command {
        let mut command = quiet(wrapper);
        command.arg("--engine").arg(&self.path);
        self.create(command)
    }

    fn contestant<'e>(&'e self, command: Command, spec: &'e [u8]) -> Contestant<'e> {
        let mut contestant = Contestant::new(self.name, command);
        contestant.before = Box::new(move || fs::write(self.bundle.config(), spec).unwrap());
        contestant.after = Box::new(|| self.delete());
        contestant
    }

    /// Again when it fails, as a manager does: youki 0.7 gives up where the
    /// cgroup is not empty at once.
    fn delete(&self) {
        const TRIES: usize = 5;
        let deleted = (0..TRIES).any(|attempt| {
            thread::sleep(Duration::from_millis(100) * u32::from(attempt > 0));
            let mut command = quiet(&self.path);
            command.arg("--root").arg(&self.root);
            command.args(["delete", "--force", "packrank-bench"]);
            command.status().unwrap().success()
        });
        assert!(deleted, "{} deletes no container", self.name);
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
            let id = format!("packrank-bench-{}", number.get());
            command.arg(&id);
            let mut contestant = Contestant::new(name, command);
            // Of one that hung something is left.
            let mut delete = quiet(engine);
            delete.arg("--root").arg(root(name));
            delete.args(["delete", "--force", &id]);
            contestant.after = Box::new(move || drop(delete.status()));
            contestant
        })
        .collect();
    let times = run(&mut contestants, rounds);
    for ((name, _), times) in engines.iter().zip(&times) {
        Row::of(name, times).print();
    }
    if let Some(("packrank-engine", _)) = engines.first() {
        for ((name, _), peer) in engines.iter().zip(&times).skip(1) {
            let name = format!("{name}'s");
            let row = Row::of("packrank-engine", &times[0]);
            row.beside(&name, Some(peer))
                .goal(Goal::WallOf(1.00))
                .print();
        }
    }
}
