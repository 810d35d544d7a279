//! A program whose first thread has exited runs, whatever the kernel calls its
//! process, and keeps its record, its rates and its limits.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use packrank_tests::bundle::Bundle;
use serde_json::{Value, json};

use crate::hooks::world::{World, id, world};

const NETNS: &str = "/run/netns/packrank-leaderless";

/// A bundle in the named network namespace.
fn bundle(world: &World, name: &str, args: &[&str]) -> Bundle {
    world.bundle(name, |spec| {
        for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = NETNS.into();
            }
        }
        spec["process"]["args"] = json!(args);
        for folder in ["/lib", "/lib64", "/usr/lib"] {
            if Path::new(folder).exists() {
                let mount: Value = json!({ "destination": folder, "source": folder, "type": "bind",
                    "options": ["rbind", "ro"] });
                spec["mounts"].as_array_mut().unwrap().push(mount);
            }
        }
    })
}

fn letter(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, behind) = stat.rsplit_once(')').unwrap();
    behind.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_process_whose_first_thread_has_exited_runs() {
    world("leaderless", |world| {
        world.run("ip", &["netns", "add", "packrank-leaderless"]);
        world.run(
            "ip",
            &[
                "link",
                "add",
                "vless",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                "packrank-leaderless",
            ],
        );
        let one = bundle(world, "one", &["/bin/leaderless"]);
        let program = Path::new(env!("CARGO_BIN_EXE_leaderless"));
        packrank_executable::copy(program, &one.path.join("rootfs/bin/leaderless"));
        let other = bundle(world, "other", &["sleep", "300"]);
        let (one_id, other_id) = (id("leaderless"), id("beside"));
        let pid = world.create(&one, &one_id);
        world.call(&["start", &one_id]);
        let begin = Instant::now();
        while letter(pid) != "Z" {
            assert!(begin.elapsed() < Duration::from_secs(10), "{}", letter(pid));
            std::thread::sleep(Duration::from_millis(5));
        }
        let before = world.ours();
        assert!(before.iter().any(|o| o.starts_with("prk")), "{before:?}");

        let gc = world.gc();
        assert!(gc.status.success(), "{gc:?}");
        assert_eq!(String::from_utf8_lossy(&gc.stdout), "", "gc took");
        assert_eq!(world.ours(), before);

        // One that comes to the network and leaves it takes nothing along.
        world.create(&other, &other_id);
        world.call(&["start", &other_id]);
        world.remove(&other_id);
        assert_eq!(world.ours(), before);
        let class = world.run("tc", &["class", "show", "dev", "vless"]);
        assert!(class.contains("rate 5"), "{class}");

        let cli = packrank_tests::program::cli().to_str().unwrap();
        world.run(cli, &["set", &one_id, "network.ingress=2Mbit"]);
        let class = world.run("tc", &["class", "show", "dev", "vless"]);
        assert!(class.contains("rate 2"), "{class}");
        let status = world.run(cli, &["status"]);
        assert!(!status.contains("(ended)"), "{status}");

        world.remove(&one_id);
        let left = world.ours();
        world.run("ip", &["netns", "delete", "packrank-leaderless"]);
        assert_eq!(left, Vec::<String>::new());
    });
}
