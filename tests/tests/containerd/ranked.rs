//! What a rank makes of a container.

use std::fs;

use packrank_tests::containerd::{IMAGE, PACKRANK, World, said, world};

#[test]
fn a_rank_is_in_force_before_the_program_and_gone_after_it() {
    world("ranked", |world| {
        world.sleeper(
            PACKRANK,
            "low",
            &["--annotation", "packrank.io/priority=low"],
        );
        let v1 = !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
        if v1 {
            assert_eq!(world.kernel("cpu", "low", "cpu.shares"), "512");
            assert_eq!(world.kernel("cpu", "low", "cpu.cfs_quota_us"), "50000");
            assert_eq!(
                world.kernel("memory", "low", "memory.limit_in_bytes"),
                (512 << 20).to_string()
            );
        }
        assert_eq!(world.kernel("pids", "low", "pids.max"), "512");
        let record = fs::read_to_string("/run/packrank/packs/low.json").unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["priority"], "low");
        let engine = record["engine"].as_str().unwrap();
        assert!(engine.ends_with("/runc"), "{engine}");
        world.remove("low");
        assert!(!fs::exists("/run/packrank/packs/low.json").unwrap());
    });
}

/// What a shell that Exec adds says to this script.
fn added(world: &World, id: &str, script: &str) -> String {
    let words = ["task", "exec", "--exec-id", "one", id, "sh", "-c", script];
    let ran = world.ctr(&words);
    assert!(ran.status.success(), "{}", said(&ran));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn a_process_that_exec_adds_is_in_the_plan_too() {
    world("added", |world| {
        let class = ["--annotation", "packrank.io/priority=low"];
        let restricted = ["--annotation", "packrank.io/security=restricted"];
        world.sleeper(PACKRANK, "free", &class);
        world.sleeper(PACKRANK, "held", &[class, restricted].concat());
        // The shim gives it the I/O priority once it runs.
        let script = "sleep 1; busybox ionice; cat /proc/self/oom_score_adj";
        let free = added(world, "free", script);
        let status = added(world, "held", "cat /proc/self/status");
        for id in ["free", "held"] {
            world.remove(id);
        }
        assert_eq!(free, "best-effort: prio 7\n500\n");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().split_whitespace().next_back()
        };
        assert_eq!(line("Uid:"), Some("65534"), "{status}");
        assert_eq!(line("NoNewPrivs:"), Some("1"));
        assert_eq!(line("CapBnd:"), Some("0000000000000400"));
    });
}

#[test]
fn a_refusal_is_one_sentence_and_leaves_nothing() {
    world("refused", |world| {
        for (annotation, sentence) in [
            (
                "packrank.io/priority=urgent",
                "packrank.io/priority: \"urgent\" is not accepted",
            ),
            (
                "packrank.io/memory.limit=much",
                "packrank.io/memory.limit: \"much\" is not accepted",
            ),
        ] {
            let class = "packrank.io/priority=low";
            let args = [
                "run",
                "--rm",
                "--runtime",
                PACKRANK,
                "--annotation",
                class,
                "--annotation",
                annotation,
                IMAGE,
                "no",
                "true",
            ];
            let ran = world.ctr(&args);
            assert!(!ran.status.success());
            let said = said(&ran);
            assert!(
                said.starts_with(&format!("ctr: failed to create shim task: {sentence}")),
                "{said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
            world.ctr(&["container", "rm", "no"]);
        }
        world.wait("every shim has gone", || world.shims("").is_empty());
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains(&world.path("state").display().to_string()));
    });
}
