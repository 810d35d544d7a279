//! The hooks of a container, one by one.
//!
//! In: a container that a real runc created, with one veth, in a network of
//! the benchmark's own. Out: each hook's time, and what shaping adds to a start.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use packrank_tests::bundle::Bundle;
use packrank_tests::skipped::skipped;
use serde_json::json;

use crate::place::{Place, quiet};
use crate::race::{Contestant, net, run};
use crate::table;

/// Processor time of one hook, in milliseconds; a Go hook takes 1.1 to 1.2.
const HOOK: f64 = 0.35;
/// What shaping and guarding a veth may add to a start, in milliseconds.
const ADDED: f64 = 2.0;

pub fn of_a_container(place: &Place, rounds: usize) {
    let runc = place.installed("runc");
    let (true, Some(runc)) = (nix::unistd::geteuid().is_root(), runc) else {
        return skipped("bench of hooks", "needs root and runc");
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            in_a_network_of_its_own(place, &runc, rounds);
        });
    });
}

fn in_a_network_of_its_own(place: &Place, runc: &Path, rounds: usize) {
    let ranked = Container::create(place, runc, "hooked", Some("low"));
    let unranked = Container::create(place, runc, "unhooked", None);
    let (Some(ranked), Some(unranked)) = (ranked, unranked) else {
        return skipped("bench of hooks", "runc creates no container here");
    };
    let hook = |container: &Container, phase: &str| {
        let mut command = quiet(&place.hook);
        command.arg("--run").arg(place.path("run")).arg(phase);
        command.stdin(container.state.try_clone().unwrap());
        command
    };
    let call = |phase: &'static str| {
        let (mut command, container) = (hook(&ranked, phase), &ranked);
        move || {
            container.rewind();
            assert!(command.status().unwrap().success(), "{phase}");
            container.rewind();
        }
    };
    let contestant = |name, phase: &str| {
        let mut contestant = Contestant::new(name, hook(&ranked, phase));
        contestant.before = Box::new(|| ranked.rewind());
        contestant
    };
    let mut none = Contestant::new("unranked", hook(&unranked, "createRuntime"));
    none.before = Box::new(|| unranked.rewind());
    let mut first = contestant("first", "createRuntime");
    first.after = Box::new(call("poststop"));
    let mut again = contestant("again", "createRuntime");
    again.before = Box::new(call("createRuntime"));
    again.after = Box::new(call("poststop"));
    let mut last = contestant("poststop", "poststop");
    last.before = Box::new(call("createRuntime"));
    let mut contestants = [
        contestant("unknown", "unheard-of"),
        none,
        first,
        again,
        contestant("poststart", "poststart"),
        last,
    ];
    let times = run(&mut contestants, rounds);
    let [unknown, none, first, again, poststart, last] = &times[..] else {
        return;
    };
    table::section("Hooks of a container with one veth, each a whole process");
    table::row_by_cpu("a phase that is unknown", unknown, HOOK);
    table::row_by_cpu("createRuntime, unranked", none, HOOK);
    table::row_by_cpu("createRuntime, ranked: record, shape, guard", first, HOOK);
    table::row_by_cpu("createRuntime once more: nothing to change", again, HOOK);
    table::row_by_cpu("poststart", poststart, HOOK);
    table::row_by_cpu("poststop, with everything to remove", last, HOOK);
    table::row(
        "added to a start by ranking",
        &net(first, none),
        Some(ADDED),
    );
}

/// A created container; gone with it.
struct Container {
    runc: Command,
    state: File,
}

impl Container {
    fn create(place: &Place, runc: &Path, name: &str, class: Option<&str>) -> Option<Container> {
        let bundle = Bundle::busybox(&place.path(name), &["sleep", "60"], |spec| {
            if let Some(class) = class {
                spec["annotations"] = json!({ "packrank.io/priority": class });
            }
        })?;
        let id = format!("packrank-bench-{}-{name}", std::process::id());
        let mut rewrite = quiet(&place.runtime);
        rewrite.arg("--engine").arg(&place.noop);
        rewrite.args(["create", "--bundle"]).arg(&bundle.path);
        assert!(rewrite.arg(&id).status().unwrap().success());
        let root = place.path("root-hooks");
        let pid = place.path(&format!("{name}.pid"));
        let mut create = quiet(runc);
        create.arg("--root").arg(&root).arg("create");
        create.arg("--pid-file").arg(&pid);
        create.arg("--bundle").arg(&bundle.path).arg(&id);
        let mut delete = quiet(runc);
        delete
            .arg("--root")
            .arg(&root)
            .args(["delete", "--force", &id]);
        if !create.status().ok()?.success() {
            return None;
        }
        let pid: u32 = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
        let netns = format!("/proc/{pid}/ns/net");
        let mut link = quiet(&place.installed("ip")?);
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &netns];
        link.args(["link", "add", &format!("v{name}"), "up"])
            .args(peer);
        assert!(link.status().unwrap().success());
        let state = json!({ "ociVersion": "1.0.2", "id": id, "pid": pid, "bundle": bundle.path });
        let file: PathBuf = place.path(&format!("{name}.state"));
        fs::write(&file, state.to_string()).unwrap();
        Some(Container {
            runc: delete,
            state: File::open(file).unwrap(),
        })
    }

    /// Every hook reads from the same open file.
    fn rewind(&self) {
        (&self.state).seek(SeekFrom::Start(0)).unwrap();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Nothing is left to be done about one that does not go.
        let _ = self.runc.status();
    }
}
