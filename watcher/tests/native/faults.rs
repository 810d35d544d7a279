//! What befalls the watcher itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};
use packrank_skipped::skipped;
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
                skipped(
                    "a full disk",
                    &format!("no file system can be mounted here: {other:?}"),
                );
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
    // Idle, it loses all of its quota that it may in two steps, and no more.
    lab.policy(
        "[watch]\nhold = 1\nadaptive.every = 1\nadaptive.down-after = 1\nadaptive.shrink = 50\n\
         ladder.dying = 1\n",
    );
    let idle = lab.pack("normal", json!({}));
    let quota = lab.pod(idle).cgroup.value(Key::CpuQuota).unwrap();
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
    let deeds = run.join(format!("deeds/p{idle}.json"));
    if quota.is_some() {
        lab.wait("the idle one's quota has shrunk", |lab| {
            lab.pod(idle).cgroup.value(Key::CpuQuota).unwrap() == Some(Amount::At(25_000))
        });
    }
    assert!(!deeds.exists(), "nobody could write that down");
    fs::remove_file(&filler).unwrap();
    lab.wait("it is written down after all", |_| {
        let text = fs::read_to_string(&deeds).unwrap_or_default();
        quota.is_none() || text.contains("\"adapted\":25000")
    });
    lab.used(10);
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

#[test]
fn what_was_written_of_a_pack_and_cannot_be_read_is_undone() {
    let Some(mut lab) = Lab::new("damaged") else {
        return;
    };
    let pack = lab.pack("low", json!({}));
    let quota = Key::CpuQuota;
    let has = |lab: &mut Lab| lab.pod(pack).cgroup.value(quota).unwrap();
    let limited = has(&mut lab).is_some();
    if limited {
        let squeezed = Some(Amount::At(30_000));
        let cgroup = &lab.pod(pack).cgroup;
        let file = GuaranteeFile::Low;
        cgroup.set(quota, Amount::At(30_000), &[], file).unwrap();
        assert_eq!(has(&mut lab), squeezed);
    }
    lab.pod(pack).cgroup.freeze().unwrap();
    let deeds = lab.packs.deeds_folder().join("p0.json");
    fs::write(&deeds, "{\"version\":1,\"frozen\":tr").unwrap();
    fs::set_permissions(&deeds, fs::Permissions::from_mode(0o600)).unwrap();
    lab.watch();
    lab.wait("it is thawed and has its quota", |lab| {
        let thawed = lab.pod(pack).cgroup.frozen().unwrap() != Some(true);
        thawed && (!limited || has(lab) == Some(Amount::At(100_000)))
    });
    lab.wait("the file is gone", |_| !deeds.exists());
    assert!(lab.alive(pack));
}

#[test]
fn pressure_that_cannot_be_read_for_a_while_is_no_pressure() {
    let Some(mut lab) = Lab::new("psi") else {
        return;
    };
    let pack = lab.pack("scavenger", json!({}));
    let file = lab.folder.path().join("proc/pressure/memory");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    // Somebody waits for a fifth of the time, and the node reclaims.
    let begin = Instant::now();
    let presses = || {
        let line =
            |kind, total| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n");
        line("some", begin.elapsed().as_micros() / 5) + &line("full", 0)
    };
    fs::write(&file, presses()).unwrap();
    lab.reclaims(true);
    lab.watch();
    for round in 0..3 {
        for text in [None, Some(""), Some("some avg10=")] {
            lab.wait("the level follows", |lab| {
                fs::write(&file, text.map_or_else(presses, str::to_owned)).unwrap();
                let node = lab.ask(json!({ "verb": "node" }));
                (node["pressure"]["memory"] == "none") == text.is_some()
            });
        }
        assert!(lab.alive(pack), "round {round}: {}", lab.said());
    }
    // Without it, memory in use counts while the node makes tasks wait.
    lab.used(93);
    lab.wait("the scavenger is killed", |lab| !lab.alive(pack));
}
