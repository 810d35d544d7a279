//! What befalls the watcher itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::lab::Lab;

fn signal(lab: &mut Lab, signal: Signal) {
    let pid = i32::try_from(lab.watcher().id()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn stopped_it_does_nothing_and_goes_on_where_it_was() {
    let Some(mut lab) = Lab::new("stop") else {
        return;
    };
    let packs = ["low", "scavenger", "scavenger"].map(|class| lab.pack(class, json!({})));
    lab.watch();
    signal(&mut lab, Signal::SIGSTOP);
    lab.used(93);
    // One ends and another comes meanwhile.
    lab.pod(packs[1]).child.kill().unwrap();
    lab.pod(packs[1]).child.wait().unwrap();
    let late = lab.pack("scavenger", json!({}));
    lab.pass(1_500);
    assert!(lab.alive(packs[2]) && lab.alive(late), "{}", lab.said());
    signal(&mut lab, Signal::SIGCONT);
    lab.wait("both scavengers are killed", |lab| {
        !lab.alive(packs[2]) && !lab.alive(late)
    });
    lab.pass(1_500);
    assert!(lab.alive(packs[0]), "{}", lab.said());
    let status = lab.ask(json!({ "verb": "status" }));
    assert_eq!(status["packs"].as_array().unwrap().len(), 1, "{status}");
}

/// A small file system of its own, gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,mode=700", "packrank-test"]);
        match mount.arg(at).output() {
            Ok(done) if done.status.success() => Some(Disk(at.to_owned())),
            other => {
                eprintln!("SKIPPED: no file system can be mounted here: {other:?}");
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_lets_nobody_die_in_the_wrong_order() {
    let Some(mut lab) = Lab::new("full") else {
        return;
    };
    let run = lab.folder.path().join("run");
    let Some(disk) = Disk::mount(&run) else {
        return;
    };
    lab.packs.make().unwrap();
    let packs = ["low", "scavenger", "critical"].map(|class| lab.pack(class, json!({})));
    lab.watch();
    let filler = run.join("filler");
    let filled = fs::write(&filler, vec![b'x'; 1 << 20]).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    lab.used(93);
    lab.wait("the scavenger is killed", |lab| !lab.alive(packs[1]));
    lab.used(98);
    lab.wait(
        "low is frozen, though nobody could write that down",
        |lab| lab.pod(packs[0]).cgroup.frozen().unwrap() == Some(true) || !lab.alive(packs[0]),
    );
    assert!(lab.said().contains("No space left"), "{}", lab.said());
    assert!(lab.alive(packs[2]), "{}", lab.said());
    lab.used(10);
    fs::remove_file(&filler).unwrap();
    lab.wait("it answers", |lab| {
        lab.try_ask(&json!({ "verb": "status" })).is_some()
    });
    assert!(
        lab.watcher().try_wait().unwrap().is_none(),
        "{}",
        lab.said()
    );
    lab.kill_watcher();
    drop(disk);
}
