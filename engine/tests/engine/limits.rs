//! What the configuration limits, read back from the kernel.

use std::fs;

use packrank_skipped::skipped;
use serde_json::json;

use crate::lab::{Lab, eventually};

fn on_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn resources_reach_the_kernel() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "100"]);
        config["linux"]["resources"] = json!({
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"},
            "memory": {"limit": 67_108_864, "swap": 67_108_864, "reservation": 33_554_432},
            "pids": {"limit": 42}
        });
    }) else {
        return;
    };
    lab.up();
    let file = |controller, v1, v2| lab.cgroup_file(controller, v1, v2);
    let value = |v1: &str, v2: &str| Some(if on_v2() { v2 } else { v1 }.to_owned());
    assert_eq!(file("cpu", "cpu.shares", "cpu.weight"), value("512", "59"));
    assert_eq!(
        file("cpu", "cpu.cfs_quota_us", "cpu.max"),
        value("50000", "50000 100000")
    );
    assert_eq!(
        file("cpuset", "cpuset.cpus", "cpuset.cpus"),
        value("0", "0")
    );
    assert_eq!(
        file("memory", "memory.limit_in_bytes", "memory.max"),
        value("67108864", "67108864")
    );
    assert_eq!(
        file("memory", "memory.soft_limit_in_bytes", "memory.low"),
        value("33554432", "33554432")
    );
    assert_eq!(file("pids", "pids.max", "pids.max"), value("42", "42"));
    let more = [
        "--memory",
        "128m",
        "--memory-swap",
        "128m",
        "--cpu-share",
        "1024",
        "--cpu-quota",
        "-1",
    ];
    lab.must(&[&["update"], &more[..], &["--pids-limit", "-1", &lab.id]].concat());
    assert_eq!(
        file("memory", "memory.limit_in_bytes", "memory.max"),
        value("134217728", "134217728")
    );
    assert_eq!(
        file("cpu", "cpu.shares", "cpu.weight"),
        value("1024", "100")
    );
    assert_eq!(
        file("cpu", "cpu.cfs_quota_us", "cpu.max"),
        value("-1", "max 100000")
    );
    assert_eq!(file("pids", "pids.max", "pids.max"), value("max", "max"));
    lab.must(&["update", "--memory", "64m", "--memory-swap", "64m", &lab.id]);
    assert_eq!(
        file("memory", "memory.limit_in_bytes", "memory.max"),
        value("67108864", "67108864")
    );
    let resources = lab.path().join("resources.json");
    fs::write(&resources, json!({"cpu": {"shares": 256}}).to_string()).unwrap();
    lab.must(&[
        "update",
        "--resources",
        resources.to_str().unwrap(),
        &lab.id,
    ]);
    assert_eq!(file("cpu", "cpu.shares", "cpu.weight"), value("256", "35"));
}

#[test]
fn idle_where_the_kernel_has_it() {
    let Some(lab) = Lab::new(|config| config["process"]["args"] = json!(["/bin/sleep", "100"]))
    else {
        return;
    };
    lab.up();
    if lab.cgroup_file("cpu", "cpu.idle", "cpu.idle").is_none() {
        return skipped("cpu.idle", "this kernel has none");
    }
    lab.must(&["update", "--cpu-idle", "1", "--cpu-share", "128", &lab.id]);
    assert_eq!(
        lab.cgroup_file("cpu", "cpu.idle", "cpu.idle").as_deref(),
        Some("1")
    );
    lab.must(&["update", "--cpu-idle", "0", "--cpu-share", "128", &lab.id]);
    assert_eq!(
        lab.cgroup_file("cpu", "cpu.idle", "cpu.idle").as_deref(),
        Some("0")
    );
}

#[test]
fn block_io_limits_name_their_device() {
    // The device of the folder the bundle lies on, whatever it is.
    let Some(device) = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| fs::read_to_string(entry.path().join("dev")).ok())
    else {
        return skipped("limits of a disk", "no block device");
    };
    let (major, minor) = device.trim().split_once(':').unwrap();
    let (major, minor): (u32, u32) = (major.parse().unwrap(), minor.parse().unwrap());
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "100"]);
        let limit = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
        config["linux"]["resources"] = json!({"blockIO": {
            "throttleReadBpsDevice": limit(1_048_576), "throttleWriteIOPSDevice": limit(100)
        }});
    }) else {
        return;
    };
    lab.up();
    let bytes = lab
        .cgroup_file("blkio", "blkio.throttle.read_bps_device", "io.max")
        .unwrap();
    assert!(
        bytes.starts_with(&format!("{major}:{minor} ")) && bytes.contains("1048576"),
        "{bytes}"
    );
    let operations = lab
        .cgroup_file("blkio", "blkio.throttle.write_iops_device", "io.max")
        .unwrap();
    assert!(operations.contains("100"), "{operations}");
}

#[test]
fn the_process_gets_its_rlimits_priority_and_score() {
    let Some(lab) = Lab::new(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "100"]);
        config["process"]["oomScoreAdj"] = json!(500);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 7});
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    }) else {
        return;
    };
    lab.up();
    let pid = lab.pid();
    let proc = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    assert_eq!(proc("oom_score_adj").trim(), "500");
    let limits = proc("limits");
    let open_files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(
        open_files
            .split_whitespace()
            .skip(3)
            .take(2)
            .collect::<Vec<_>>(),
        ["64", "128"]
    );
    // Fields 19 and 41 of stat: nice, and the policy, of which 3 is SCHED_BATCH.
    let stat = proc("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[16], fields[38]), ("5", "3"));
    // SAFETY: ioprio_get takes two integers and touches no memory.
    let priority = unsafe { nix::libc::syscall(nix::libc::SYS_ioprio_get, 1, pid) };
    assert_eq!(priority, 2 << 13 | 7);
    let said = lab.must(&["exec", &lab.id, "cat", "/proc/self/oom_score_adj"]);
    assert_eq!(
        said.trim(),
        "500",
        "exec is an easier or harder victim than its container"
    );
}

#[test]
fn a_score_that_cannot_be_set_is_refused_and_says_what_it_lacks() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap()
        .trim();
    const SYS_RESOURCE: u64 = 1 << 24;
    if u64::from_str_radix(effective, 16).unwrap() & SYS_RESOURCE != 0 {
        return skipped("a refused OOM score", "this process has CAP_SYS_RESOURCE");
    }
    let Some(lab) = Lab::new(|config| config["process"]["oomScoreAdj"] = json!(-500)) else {
        return;
    };
    let said = lab.run();
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains("-500") && said.stderr.contains("CAP_SYS_RESOURCE"),
        "{said:?}"
    );
    lab.assert_nothing_left();
}

#[test]
fn what_this_cgroup_version_lacks_is_refused() {
    if on_v2() {
        let Some(lab) = Lab::new(|config| {
            config["linux"]["resources"] = json!({"unified": {"memory.nosuch": "1"}});
        }) else {
            return;
        };
        assert!(lab.run().stderr.contains("memory.nosuch"));
        return;
    }
    let Some(lab) = Lab::new(|config| {
        config["linux"]["resources"] = json!({"unified": {"memory.high": "1"}});
    }) else {
        return;
    };
    let said = lab.run();
    assert_eq!(said.status.code(), Some(1));
    assert!(
        said.stderr.contains("unified") && said.stderr.contains("v1"),
        "{said:?}"
    );
    lab.assert_nothing_left();
}

#[test]
fn a_memory_limit_kills_and_events_tell() {
    let Some(lab) = Lab::new(|config| {
        let script =
            "echo up; sleep 1; head -c 100000000 /dev/zero | busybox tail; sleep 1; exit 0";
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        config["linux"]["resources"] = json!({"memory": {"limit": 16_777_216, "swap": 16_777_216}});
    }) else {
        return;
    };
    lab.up();
    eventually("up", || lab.output().contains("up"));
    let said = lab.say(&["events", "--interval", "300ms", &lab.id]);
    let kinds: Vec<serde_json::Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone())
        .collect();
    assert!(
        kinds.contains(&json!("oom")) && kinds.contains(&json!("stats")),
        "{said:?}"
    );
}
