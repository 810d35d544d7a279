//! SIGKILL at any point between create and delete: once the container is
//! removed and `packrank gc` ran, nothing of ours is left.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::world::{World, id, world};

/// Points at which everything is killed.
const KILLS: usize = 100;

/// A create of runc's with our hook takes about this long here.
const LONGEST: Duration = Duration::from_millis(60);

/// Engine and hook are in one process group: one signal ends them all.
fn killed_after(command: &mut Command, delay: Duration) {
    let mut child = command.process_group(0).spawn().unwrap();
    std::thread::sleep(delay);
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let _ = killpg(group, Signal::SIGKILL);
    child.wait().unwrap();
}

/// A delete is killed, of which the engine's own work is the smaller part.
fn end(world: &World, n: usize, delay: Duration) {
    let (bundle, id) = (
        world.bundle(&format!("e{n}"), |_| {}),
        id(&format!("end-{n}")),
    );
    world.create(&bundle, &id);
    let mut delete = world.ranked(&["delete", "--force", &id]);
    killed_after(&mut delete, delay);
    world.remove(&id);
    orphans(Path::new("/sys/fs/cgroup"), &id);
}

/// A create is killed.
fn round(world: &World, n: usize, delay: Duration) {
    let (bundle, id) = (
        world.bundle(&format!("k{n}"), |_| {}),
        id(&format!("kill-{n}")),
    );
    let path = bundle.path.to_str().unwrap();
    let pid = world.path("kill.pid");
    let mut create = world.ranked(&[
        "create",
        "--bundle",
        path,
        "--pid-file",
        pid.to_str().unwrap(),
        &id,
    ]);
    killed_after(&mut create, delay);
    let config = bundle.json();
    assert_eq!(
        config["annotations"]["packrank.io/priority"], "low",
        "never half a document"
    );
    world.remove(&id);
    orphans(Path::new("/sys/fs/cgroup"), &id);
}

/// An engine killed before it wrote its state leaves a process and cgroups
/// that it does not know any more.
fn orphans(folder: &Path, id: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() != id {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                orphans(&path, id);
            }
            continue;
        }
        while std::fs::remove_dir(&path).is_err() && path.exists() {
            let pids = std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn killed_anywhere_nothing_stays() {
    world("killed", |world| {
        let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        for n in 0..KILLS {
            let share = f64::from(random.next_u32() % 1_000) / 1_000.0;
            let at = match n % 3 {
                0 => end,
                _ => round,
            };
            at(world, n, LONGEST.mul_f64(share));
        }
        let gc = world.gc();
        assert!(
            gc.status.success(),
            "{}",
            String::from_utf8_lossy(&gc.stderr)
        );
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn what_was_never_labelled_is_nobodys_unless_its_container_lives() {
    world("nameless", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("nameless"));
        let pid = world.create(&bundle, &id);
        world.veth("vless", pid);
        world.call(&["start", &id]);
        let link = |line: &String| line.starts_with("prk");
        let links = || -> Vec<String> {
            let ours = world.ours().into_iter().filter(link);
            ours.filter_map(|line| line.split(' ').next().map(str::to_owned))
                .collect()
        };
        let own = links();
        assert_eq!(own.len(), 1, "{own:?}");
        world.run("ip", &["link", "set", &own[0], "alias", ""]);
        world.run("ip", &["link", "add", "prk000000000000", "type", "ifb"]);
        world.run("nft", &["add", "table", "inet", "packrank-000000000000"]);
        let gc = world.gc();
        assert!(gc.status.success(), "{gc:?}");
        assert_eq!(links(), own, "the living one's stays");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}
