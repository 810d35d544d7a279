//! A container's life: shaped before its first instruction, gone after its
//! last; and two hundred of them.

use packrank_tests::kernel::{file, idle, v2};
use packrank_tests::skipped::skipped;

use super::world::{id, world};

#[test]
fn shaped_when_the_network_comes_between_create_and_start() {
    world("life", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("life"));
        let pid = world.create(&bundle, &id);
        let before = world.ours();
        assert_eq!(before.len(), 2, "a record and a network entry: {before:?}");
        world.veth("vlife", pid);
        world.call(&["start", &id]);
        let qdisc = world.run("tc", &["class", "show", "dev", "vlife"]);
        assert!(qdisc.contains("rate 5"), "to the container: {qdisc}");
        let record = std::fs::read(format!("/run/packrank/packs/{id}.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let engine = record["engine"].as_str().unwrap();
        assert!(
            engine.ends_with("/runc"),
            "the engine of the record: {engine}"
        );
        let ours = world.ours();
        assert_eq!(
            ours.iter().filter(|o| o.starts_with("prk")).count(),
            1,
            "{ours:?}"
        );
        let status = world.run(
            packrank_tests::program::cli().to_str().unwrap(),
            &["status", &id],
        );
        assert!(
            status.contains("to the container on vlife: 5 Mbit/s"),
            "{status}"
        );
        assert!(status.contains("connections-refused"), "{status}");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn shaped_at_once_when_the_network_is_there_before() {
    world("netns", |world| {
        world.run("ip", &["netns", "add", "packrank-test"]);
        let netns = "/run/netns/packrank-test";
        world.run(
            "ip",
            &[
                "link",
                "add",
                "vnetns",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                "packrank-test",
            ],
        );
        let bundle = world.bundle("one", |spec| {
            for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
                if namespace["type"] == "network" {
                    namespace["path"] = netns.into();
                }
            }
        });
        let id = id("netns");
        world.create(&bundle, &id);
        let qdisc = world.run("tc", &["class", "show", "dev", "vnetns"]);
        assert!(qdisc.contains("rate 5"), "{qdisc}");
        let inside = || {
            world.run(
                "nsenter",
                &["--net=/run/netns/packrank-test", "nft", "list", "tables"],
            )
        };
        assert!(inside().contains("packrank"), "{}", inside());
        world.remove(&id);
        let left = world.ours();
        // The namespace and its veth are somebody's, and stay as they were.
        let qdisc = world.run("tc", &["qdisc", "show", "dev", "vnetns"]);
        assert!(
            !qdisc.contains("htb") && !qdisc.contains("ingress"),
            "{qdisc}"
        );
        assert_eq!(inside(), "");
        world.run("ip", &["netns", "delete", "packrank-test"]);
        assert_eq!(left, Vec::<String>::new());
    });
}

#[test]
fn a_bare_engine_with_only_our_hook_gets_the_plan_on_its_live_cgroup() {
    world("bare", |world| {
        let hook = packrank_tests::program::hook().to_str().unwrap();
        let bundle = world.bundle("one", |spec| {
            let entry = |phase: &str| serde_json::json!([{ "path": hook, "args": ["packrank-hook", phase] }]);
            spec["hooks"] = serde_json::json!({ "createRuntime": entry("createRuntime"), "poststop": entry("poststop") });
        });
        let before = bundle.bytes();
        let id = id("bare");
        let pid = world.create_bare(&bundle, &id);
        let file = |controller: &str, name: &str| file(pid, controller, name);
        if v2() {
            assert_eq!(file("", "memory.max"), (512u64 << 20).to_string());
            assert_eq!(file("", "cpu.max"), "50000 100000");
        } else {
            assert_eq!(
                file("memory", "memory.limit_in_bytes"),
                (512u64 << 20).to_string()
            );
            assert_eq!(file("cpu", "cpu.cfs_quota_us"), "50000");
            assert_eq!(file("cpu", "cpu.shares"), "512");
            assert_eq!(file("pids", "pids.max"), "512");
        }
        let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        assert_eq!(score.trim(), "500");
        let cli = packrank_tests::program::cli().to_str().unwrap();
        world.run(cli, &["set", &id, "pids=100", "cpu.quota=20%"]);
        if !v2() {
            assert_eq!(file("pids", "pids.max"), "100");
            assert_eq!(file("cpu", "cpu.cfs_quota_us"), "20000");
        }
        let above = std::process::Command::new(cli)
            .args(["set", &id, "pids=513"])
            .output()
            .unwrap();
        assert_eq!(above.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&above.stderr).contains("at most 512"));
        assert_eq!(bundle.bytes(), before);
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

/// The next one in that place would be refused its shares.
#[test]
fn a_cgroup_that_outlives_its_scavenger_is_idle_no_more() {
    world("idle", |world| {
        let bundle = world.bundle("one", |spec| {
            spec["annotations"] = serde_json::json!({ "packrank.io/priority": "scavenger" });
        });
        let id = id("idle");
        let pid = world.create(&bundle, &id);
        if idle(pid).is_none() {
            world.remove(&id);
            return skipped("idle", "this kernel has no cpu.idle");
        }
        assert_eq!(idle(pid).unwrap(), "1");
        let state = serde_json::json!({ "id": id, "pid": 0, "bundle": bundle.path });
        let output = world.hook("poststop", state.to_string().as_bytes());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(idle(pid).unwrap(), "0");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn a_rate_is_changed_in_place() {
    world("set", |world| {
        let (bundle, id) = (world.bundle("one", |_| {}), id("set"));
        let pid = world.create(&bundle, &id);
        world.veth("vset", pid);
        world.call(&["start", &id]);
        let cli = packrank_tests::program::cli().to_str().unwrap();
        world.run(cli, &["set", &id, "network.ingress=2Mbit"]);
        let class = world.run("tc", &["class", "show", "dev", "vset"]);
        assert!(class.contains("rate 2"), "{class}");
        let status = world.run(cli, &["status", &id]);
        assert!(status.contains("2 Mbit/s  pinned"), "{status}");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn the_hosts_network_is_never_touched() {
    world("host", |world| {
        world.run(
            "ip",
            &[
                "link", "add", "vhost", "type", "veth", "peer", "name", "vpeer",
            ],
        );
        let bundle = world.bundle("one", |spec| {
            let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|n| n["type"] != "network");
        });
        let id = id("host");
        world.create(&bundle, &id);
        world.call(&["start", &id]);
        let qdiscs = world.run("tc", &["qdisc", "show"]);
        assert!(!qdiscs.contains("htb"), "{qdiscs}");
        assert_eq!(world.ours().len(), 1, "only a record");
        world.remove(&id);
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}

#[test]
fn an_unranked_container_has_no_hook_and_no_record() {
    world("unranked", |world| {
        let bundle = world.bundle("one", |spec| spec["annotations"] = serde_json::json!({}));
        let before = bundle.bytes();
        let id = id("unranked");
        world.create(&bundle, &id);
        assert_eq!(bundle.bytes(), before);
        assert_eq!(world.ours(), Vec::<String>::new());
        world.remove(&id);
    });
}

#[test]
fn two_hundred_at_once_neither_collide_nor_leak() {
    /// Engines at work at a time.
    const AT_ONCE: usize = 8;
    world("crowd", |world| {
        let crowd: Vec<usize> = (0..200).collect();
        std::thread::scope(|scope| {
            for part in crowd.chunks(crowd.len().div_ceil(AT_ONCE)) {
                scope.spawn(move || {
                    for n in part {
                        let bundle = world.bundle(&format!("b{n}"), |_| {});
                        let id = id(&format!("crowd-{n}"));
                        let pid = world.create(&bundle, &id);
                        world.veth(&format!("vc{n}"), pid);
                        world.call(&["start", &id]);
                        let classes = world.run("tc", &["class", "show", "dev", &format!("vc{n}")]);
                        assert!(classes.contains("rate 5"), "{n}: {classes}");
                        world.remove(&id);
                        std::fs::remove_dir_all(&bundle.path).unwrap();
                    }
                });
            }
        });
        assert_eq!(world.ours(), Vec::<String>::new());
    });
}
