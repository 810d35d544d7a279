//! Every class on every engine that runs here, read back from the kernel.
//!
//! In: bundles of busybox; runc, crun, youki and packrank-engine. Out: the
//! kernel's own files against the built-in policy's figures, written out here
//! once more; an update merged with the plan; and nothing left behind.

mod engine;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use engine::{Engine, each};
use packrank_tests::bundle::Bundle;
use packrank_tests::kernel::{file, idle};
use packrank_tests::skipped::skipped;
use serde_json::json;

/// Class; shares; quota in µs; memory; soft limit; processes; open files;
/// bytes and operations per second; OOM score.
type Figures = (
    &'static str,
    u64,
    u64,
    u64,
    u64,
    u64,
    &'static str,
    u64,
    u64,
    i16,
);

const FIGURES: [Figures; 5] = [
    (
        "critical",
        2048,
        200_000,
        4 << 30,
        2 << 30,
        4096,
        "4096 8192",
        500 << 20,
        10_000,
        -999,
    ),
    (
        "high",
        1536,
        150_000,
        2 << 30,
        1 << 30,
        2048,
        "4096 8192",
        200 << 20,
        5_000,
        -500,
    ),
    (
        "normal",
        1024,
        100_000,
        1 << 30,
        256 << 20,
        1024,
        "1024 4096",
        50 << 20,
        1_000,
        0,
    ),
    (
        "low",
        512,
        50_000,
        512 << 20,
        4096,
        512,
        "1024 2048",
        20 << 20,
        500,
        500,
    ),
    (
        "scavenger",
        128,
        25_000,
        256 << 20,
        4096,
        128,
        "512 1024",
        5 << 20,
        100,
        1000,
    ),
];

/// What the kernel says of an idle cgroup's shares (WEIGHT_IDLEPRIO).
const IDLE_SHARES: u64 = 3;

fn bundle(engine: &Engine, name: &str, class: &str) -> Bundle {
    let bundle = Bundle::busybox(&engine.path(name), &["sleep", "300"], |spec| {
        spec["annotations"] = json!({ "packrank.io/priority": class });
        spec["linux"]["cgroupsPath"] = json!(format!("/{}", engine.id(name)));
    });
    bundle.expect("busybox-static is installed by the set-up")
}

#[test]
fn each_class_is_what_the_kernel_says() {
    each("classes", |engine| {
        for (class, shares, quota, memory, soft, pids, files, bytes, operations, oom) in FIGURES {
            let pid = engine.run(&bundle(engine, class, class), class);
            let at = format!("{} {class}", engine.name);
            let idle = idle(pid).filter(|_| class == "scavenger");
            assert!(idle.as_deref().is_none_or(|idle| idle == "1"), "{at}");
            for (controller, name, want) in [
                (
                    "cpu",
                    "cpu.shares",
                    if idle.is_some() { IDLE_SHARES } else { shares },
                ),
                ("cpu", "cpu.cfs_quota_us", quota),
                ("cpu", "cpu.cfs_period_us", 100_000),
                ("memory", "memory.limit_in_bytes", memory),
                ("memory", "memory.memsw.limit_in_bytes", memory),
                ("memory", "memory.soft_limit_in_bytes", soft),
                ("pids", "pids.max", pids),
            ] {
                assert_eq!(file(pid, controller, name), want.to_string(), "{at} {name}");
            }
            for (name, want) in [
                ("blkio.throttle.read_bps_device", bytes),
                ("blkio.throttle.write_bps_device", bytes),
                ("blkio.throttle.read_iops_device", operations),
                ("blkio.throttle.write_iops_device", operations),
            ] {
                let lines = file(pid, "blkio", name);
                let rates: Vec<&str> = lines.lines().filter_map(|l| l.split(' ').nth(1)).collect();
                assert_eq!(rates, [want.to_string()], "{at} {name}");
            }
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let line = limits
                .lines()
                .find(|l| l.starts_with("Max open files"))
                .unwrap();
            let found: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
            assert_eq!(found.join(" "), files, "{at}");
            let score: i16 = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            let own: i16 = fs::read_to_string("/proc/self/oom_score_adj")
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            // Without CAP_SYS_RESOURCE nobody goes below what he has.
            assert!(
                score == oom || (oom < own && score == own),
                "{at} oom_score_adj {score}"
            );
            engine.remove(class);
        }
        assert_eq!(engine.left(), Vec::<String>::new());
    });
}

#[test]
fn an_update_never_passes_the_plan_and_never_undoes_the_last_one() {
    each("update", |engine| {
        let pid = engine.run(&bundle(engine, "u", "low"), "u");
        let id = engine.id("u");
        let state = || {
            let read = |c, f| file(pid, c, f);
            [
                read("memory", "memory.limit_in_bytes"),
                read("cpu", "cpu.cfs_quota_us"),
                read("pids", "pids.max"),
                read("cpu", "cpu.shares"),
            ]
        };
        let ask = |resources: serde_json::Value| {
            let mut update = engine.ranked(&["update", "--resources", "-", &id]);
            let mut child = update.stdin(Stdio::piped()).spawn().unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(resources.to_string().as_bytes())
                .unwrap();
            assert!(
                child.wait().unwrap().success(),
                "{}: {resources}: {}",
                engine.name,
                engine.said()
            );
        };
        ask(json!({ "memory": { "limit": 300 << 20 } }));
        assert_eq!(
            state(),
            ["314572800", "50000", "512", "512"],
            "{}",
            engine.name
        );
        ask(json!({ "cpu": { "quota": 20_000, "period": 100_000 } }));
        assert_eq!(
            state(),
            ["314572800", "20000", "512", "512"],
            "{}",
            engine.name
        );
        // As kubelet does: the same again, with the same result.
        ask(json!({ "cpu": { "quota": 20_000, "period": 100_000 } }));
        assert_eq!(
            state(),
            ["314572800", "20000", "512", "512"],
            "{}",
            engine.name
        );
        ask(
            json!({ "memory": { "limit": -1 }, "cpu": { "quota": -1, "shares": 4096 }, "pids": { "limit": 100 } }),
        );
        assert_eq!(
            state(),
            ["536870912", "50000", "100", "512"],
            "{}",
            engine.name
        );
        engine.remove("u");
        assert_eq!(engine.left(), Vec::<String>::new());
    });
}

/// The kernel refuses a weight for what is idle, and the engine would fail.
#[test]
fn an_update_of_an_idle_container_names_no_shares() {
    each("idle", |engine| {
        let pid = engine.run(&bundle(engine, "i", "scavenger"), "i");
        if idle(pid).is_none() {
            return skipped(engine.name, "this kernel has no cpu.idle");
        }
        let id = engine.id("i");
        for (flag, asked, memory) in [
            ("--memory", "104857600", "104857600"),
            ("--cpu-share", "4096", "104857600"),
        ] {
            let status = engine
                .ranked(&["update", flag, asked, &id])
                .status()
                .unwrap();
            assert!(
                status.success(),
                "{} {flag}: {}",
                engine.name,
                engine.said()
            );
            assert_eq!(idle(pid).unwrap(), "1", "{} {flag}", engine.name);
            let limit = file(pid, "memory", "memory.limit_in_bytes");
            assert_eq!(limit, memory, "{} {flag}", engine.name);
        }
        engine.remove("i");
        assert_eq!(engine.left(), Vec::<String>::new());
    });
}
