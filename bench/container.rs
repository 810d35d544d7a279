//! A created container that hooks are called for.
//!
//! In: an engine, a class, a network or none. Out: a process that a real runc
//! keeps before its start, and the calls that an engine would make; gone with
//! its value.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use packrank_tests::bundle::Bundle;
use serde_json::{Value, json};

use crate::place::{Place, quiet};

/// What a container is to be.
pub struct Wish<'a> {
    pub name: &'a str,
    /// Its annotations.
    pub annotations: Value,
    /// Whether it has a network of its own, with one veth.
    pub network: bool,
}

/// A container.
pub struct Container {
    /// Its first process.
    pub pid: u32,
    hook: PathBuf,
    run: PathBuf,
    state: PathBuf,
    delete: Command,
}

impl Container {
    /// Creates it; `None` where runc creates no container.
    pub fn create(place: &Place, runc: &Path, wish: &Wish<'_>) -> Option<Container> {
        let name = wish.name;
        let bundle = Bundle::busybox(&place.path(name), &["sleep", "600"], |spec| {
            spec["annotations"] = wish.annotations.clone();
            if !wish.network {
                let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
                namespaces.retain(|namespace| namespace["type"] != "network");
            }
        })?;
        let id = format!("packrank-bench-{}-{name}", std::process::id());
        let mut rewrite = quiet(&place.runtime);
        rewrite.arg("--engine").arg(&place.noop);
        rewrite.args(["create", "--bundle"]).arg(&bundle.path);
        assert!(rewrite.arg(&id).status().unwrap().success());
        let engine = || {
            let mut command = quiet(runc);
            command.arg("--root").arg(place.path("root-hooks"));
            command
        };
        let pid = place.path(&format!("{name}.pid"));
        let mut create = engine();
        create.arg("create").arg("--pid-file").arg(&pid);
        create.arg("--bundle").arg(&bundle.path).arg(&id);
        let mut delete = engine();
        delete.args(["delete", "--force", &id]);
        if !create.status().ok()?.success() {
            return None;
        }
        let pid: u32 = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
        let state = json!({ "ociVersion": "1.0.2", "id": id, "pid": pid, "bundle": bundle.path });
        let file = place.path(&format!("{name}.state"));
        fs::write(&file, state.to_string()).unwrap();
        let container = Container {
            pid,
            hook: place.hook.clone(),
            run: place.path("run"),
            state: file,
            delete,
        };
        if wish.network {
            let netns = format!("/proc/{pid}/ns/net");
            let mut link = quiet(&place.installed("ip")?);
            link.args(["link", "add", &format!("v{name}"), "up"]);
            link.args(["type", "veth", "peer", "name", "eth0", "netns", &netns]);
            assert!(link.status().unwrap().success());
        }
        Some(container)
    }

    /// The hook at that phase, its state on stdin: to be run any number of
    /// times, after [`State::rewind`] each.
    pub fn hook(&self, phase: &str) -> (Command, State) {
        let (mut command, state) = self.hook_by(&self.hook, "--run");
        command.arg(&self.run).arg(phase);
        (command, state)
    }

    /// The same by another program, with its first argument.
    pub fn hook_by(&self, program: &Path, argument: &str) -> (Command, State) {
        let state = File::open(&self.state).unwrap();
        let mut command = quiet(program);
        command.arg(argument);
        command.stdin(state.try_clone().unwrap());
        (command, State(state))
    }

    /// Runs the hook at that phase.
    pub fn call(&self, phase: &str) {
        let (mut command, _state) = self.hook(phase);
        assert!(command.status().unwrap().success(), "{phase}");
    }
}

/// What a hook reads.
pub struct State(File);

impl State {
    /// To be read from its beginning again.
    pub fn rewind(&self) {
        (&self.0).seek(SeekFrom::Start(0)).unwrap();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Nothing is left to be done about one that does not go.
        let _ = self.delete.status();
    }
}
