//! The real watcher on this machine's kernel: real cgroups and processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod faults;
mod lab;
mod quiet;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use lab::Lab;
use packrank_skipped::skipped;
use serde_json::json;

#[test]
fn the_scavenger_gives_and_nobody_else() {
    let Some(mut lab) = Lab::new("order") else {
        return;
    };
    let packs = ["critical", "low", "scavenger", "normal"].map(|class| lab.pack(class, json!({})));
    lab.watch();
    lab.used(93);
    lab.wait("the scavenger is killed", |lab| !lab.alive(packs[2]));
    lab.pass(2_500);
    for spared in [packs[0], packs[1], packs[3]] {
        assert!(lab.alive(spared), "{}", lab.said());
    }
    let events = lab.ask(json!({ "verb": "events" }));
    let kills: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["deed"] == "kill")
        .collect();
    assert_eq!(kills.len(), 1, "{events}");
    assert_eq!(
        (&kills[0]["id"], &kills[0]["class"]),
        (&json!("p2"), &json!("scavenger"))
    );
    let status = lab.ask(json!({ "verb": "status" }));
    assert_eq!(status["pressure"]["memory"], "high", "{status}");
    assert_eq!(status["packs"].as_array().unwrap().len(), 3, "{status}");
}

#[test]
fn memory_that_is_merely_used_ends_nobody() {
    let Some(mut lab) = Lab::new("used") else {
        return;
    };
    let packs = ["scavenger", "low", "normal"].map(|class| lab.pack(class, json!({})));
    lab.watch();
    lab.well_used(99);
    lab.wait("memory is well used", |lab| {
        let node = lab.ask(json!({ "verb": "node" }));
        node["pressure"]["memory"] == "medium"
    });
    lab.pass(3_000);
    for pack in packs {
        assert!(lab.alive(pack), "{}", lab.said());
    }
    assert!(!lab.said().contains(": freeze"), "{}", lab.said());
}

#[test]
fn a_pods_sandbox_is_no_pack() {
    let Some(mut lab) = Lab::new("sandbox") else {
        return;
    };
    let more = json!({ "sandbox": true, "pod": "shop", "options": { "gc-signal": 10 } });
    let sandbox = lab.pack("scavenger", more);
    let scavenger = lab.pack("scavenger", json!({}));
    lab.watch();
    lab.used(99);
    lab.wait("the scavenger is killed", |lab| !lab.alive(scavenger));
    lab.pass(1_500);
    assert!(lab.alive(sandbox), "{}", lab.said());
    let status = lab.ask(json!({ "verb": "status" }));
    assert_eq!(status["packs"], json!([]), "{}", lab.said());
}

#[test]
fn what_was_frozen_is_thawed_also_by_another_watcher() {
    let Some(mut lab) = Lab::new("thaw") else {
        return;
    };
    let packs = [0; 4].map(|_| lab.pack("low", json!({})));
    lab.watch();
    lab.used(98);
    lab.wait("one is frozen", |lab| {
        packs
            .iter()
            .any(|p| lab.pod(*p).cgroup.frozen().unwrap() == Some(true))
    });
    lab.kill_watcher();
    lab.used(10);
    lab.pass(300);
    let frozen = packs
        .iter()
        .filter(|p| lab.pod(**p).cgroup.frozen().unwrap() == Some(true));
    assert!(
        frozen.count() > 0,
        "nothing was left to thaw: {}",
        lab.said()
    );
    lab.watch();
    lab.wait("all are thawed", |lab| {
        packs
            .iter()
            .all(|p| lab.pod(*p).cgroup.frozen().unwrap() != Some(true))
    });
    let living = packs.iter().filter(|p| lab.alive(**p)).count();
    assert!(living >= 2, "{living} live: {}", lab.said());
    lab.wait("the deeds are forgotten", |lab| {
        fs::read_dir(lab.folder.path().join("run/deeds"))
            .unwrap()
            .count()
            <= 4 - living
    });
}

#[test]
fn audit_touches_nothing() {
    let Some(mut lab) = Lab::new("audit") else {
        return;
    };
    let pack = lab.pack("scavenger", json!({ "mode": "audit" }));
    lab.watch();
    lab.used(99);
    lab.wait("it would kill", |lab| lab.said().contains("would kill"));
    lab.pass(1_500);
    assert!(lab.alive(pack), "{}", lab.said());
    assert!(!lab.said().contains(": kill"), "{}", lab.said());
}

#[test]
fn a_process_at_its_open_files_is_told_of() {
    let Some(mut lab) = Lab::new("files") else {
        return;
    };
    let pack = lab.pack("normal", json!({}));
    // It has three open, its standard ones, once its libraries are loaded.
    let pid = lab.pod(pack).child.id().to_string();
    let sleeps = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let named = status.starts_with("Name:\tsleep\n") && status.contains("State:\tS ");
        named.then_some(status)
    };
    lab.wait("it sleeps", |lab| {
        let before = sleeps(&pid);
        lab.pass(100);
        before.is_some() && before == sleeps(&pid)
    });
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=3:3"])
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        return skipped("a watcher without files", "no prlimit here");
    }
    lab.watch();
    lab.wait("it is told", |lab| {
        lab.said().contains("open files are in use")
    });
    let events = lab.ask(json!({ "verb": "events" }));
    let events = events["events"].as_array().unwrap();
    let alerts: Vec<_> = events.iter().filter(|e| e["deed"] == "alert").collect();
    assert_eq!(alerts[0]["alert"], "open-files", "{alerts:?}");
    assert_eq!((&alerts[0]["id"], alerts.len()), (&json!("p0"), 1));
}

#[test]
fn a_person_sets_within_the_ceiling_pauses_and_releases() {
    let Some(mut lab) = Lab::new("set") else {
        return;
    };
    let pack = lab.pack("scavenger", json!({}));
    lab.watch();
    let quota = packrank_core::key::Key::CpuQuota;
    if lab.pod(pack).cgroup.value(quota).unwrap().is_none() {
        return skipped("a setting of a running pack", "no CPU controller here");
    }
    let set = |value| json!({ "verb": "set", "id": "p0", "key": "cpu.quota", "value": value });
    let answer = lab.ask(set(json!(50)));
    assert_eq!(answer["id"], "p0", "{answer}");
    let has = lab.pod(pack).cgroup.value(quota).unwrap();
    assert_eq!(has, Some(packrank_core::record::Amount::At(50_000)));
    assert!(lab.packs.read("p0").unwrap().pinned.amount(quota).is_some());
    assert!(
        lab.ask(set(json!(200)))["error"]
            .as_str()
            .unwrap()
            .contains("ceiling")
    );
    assert!(lab.ask(set(json!("x")))["error"].is_string());
    lab.ask(json!({ "verb": "set", "id": "p0", "key": "cpu.quota" }));
    let has = lab.pod(pack).cgroup.value(quota).unwrap();
    assert_eq!(has, Some(packrank_core::record::Amount::At(100_000)));
    assert_eq!(
        lab.ask(json!({ "verb": "pause", "on": true }))["paused"],
        true
    );
    lab.used(99);
    lab.pass(2_000);
    assert!(lab.alive(pack), "{}", lab.said());
}

#[test]
fn there_is_one_and_it_ends_after_the_last_pack() {
    let Some(mut lab) = Lab::new("one") else {
        return;
    };
    lab.policy("[watch]\nlinger = 1\nadaptive.every = 1\n");
    let pack = lab.pack("normal", json!({}));
    lab.watch();
    let second = lab.command().stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(
        !second.status.success() && said.contains("another watcher"),
        "{said}"
    );
    lab.pass(2_500);
    assert!(
        lab.watcher().try_wait().unwrap().is_none(),
        "it left a living pack"
    );
    lab.pod(pack).child.kill().unwrap();
    lab.pod(pack).child.wait().unwrap();
    lab.wait("it ends", |lab| lab.watcher().try_wait().unwrap().is_some());
    assert!(lab.watcher().wait().unwrap().success());
}

#[test]
fn junk_dead_and_foreign_records_are_set_aside() {
    let Some(mut lab) = Lab::new("junk") else {
        return;
    };
    let pack = lab.pack("normal", json!({}));
    lab.pack("scavenger", json!({ "started": 1 }));
    lab.pack("scavenger", json!({ "pid": 4_000_000, "started": 1 }));
    lab.pack(
        "scavenger",
        json!({ "cgroups": { "unified": "/", "memory": "/", "cpu": "/" } }),
    );
    lab.pack(
        "scavenger",
        json!({ "cgroups": { "memory": "/../../etc", "unified": "/.." } }),
    );
    for number in 0..10_000 {
        let path = lab.packs.folder().join(format!("junk{number}.json"));
        fs::write(&path, vec![b'['; number % 2_000]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    lab.watch();
    for _ in 0..20 {
        lab.packs.change("p0", |_| ()).unwrap();
        lab.pass(20);
    }
    let status = lab.ask(json!({ "verb": "status" }));
    let ids: Vec<_> = status["packs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["id"])
        .collect();
    assert_eq!(ids, ["p0"], "{}", lab.said());
    lab.used(99);
    lab.pass(1_000);
    assert!(lab.alive(pack));
    let warnings = lab.said().matches("set aside").count();
    assert_eq!(warnings, 10_004, "each once");
}

#[test]
fn a_flooded_socket_and_vanishing_cgroups_do_not_stop_it() {
    let Some(mut lab) = Lab::new("flood") else {
        return;
    };
    let packs = [0; 6].map(|_| lab.pack("scavenger", json!({})));
    lab.watch();
    let mut floods: Vec<_> = (0..40).map(|_| lab.connect().unwrap()).collect();
    for flood in &mut floods {
        // Without a newline, and never read: it is let go.
        let _ = flood.set_nonblocking(true);
        let _ = flood.write(&[b'x'; 100_000]);
        let _ = flood.write(b"\n{\"verb\":\"status\"}\n{\"verb\":\"status\"}\n");
    }
    // Their processes end; the cgroups are removed under the open descriptors.
    for pack in &packs[..5] {
        lab.pod(*pack).child.kill().unwrap();
        lab.pod(*pack).child.wait().unwrap();
    }
    lab.used(93);
    lab.wait("the last one still gives", |lab| !lab.alive(packs[5]));
    drop(floods);
    lab.wait("it answers again", |lab| {
        lab.try_ask(&json!({ "verb": "status" }))
            .is_some_and(|s| s["packs"] == json!([]))
    });
}
