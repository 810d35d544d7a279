//! A pod: its network is shaped once, for the highest class in it, and stays
//! while one of its containers is restarted.

use serde_json::{Value, json};

use super::world::{World, id, world};

/// Gives the spec the pod's network and what containerd's CRI writes.
fn in_pod(spec: &mut Value, netns: &str, sandbox: &str, kind: &str, name: &str, class: &str) {
    for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace["path"] = netns.into();
        }
    }
    spec["annotations"] = json!({
        "io.kubernetes.cri.container-type": kind,
        "io.kubernetes.cri.container-name": name,
        "io.kubernetes.cri.sandbox-id": sandbox,
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "packrank.io/priority": "scavenger",
        "web.packrank.io/priority": class,
    });
}

fn rate(world: &World) -> String {
    let classes = world.run("tc", &["class", "show", "dev", "vpod"]);
    let mut words = classes.split_whitespace().skip_while(|w| *w != "rate");
    words.nth(1).unwrap_or("none").to_owned()
}

#[test]
fn one_network_for_the_highest_class_however_often_a_container_restarts() {
    world("pod", |world| {
        world.run("ip", &["netns", "add", "packrank-pod"]);
        world.run(
            "ip",
            &[
                "link",
                "add",
                "vpod",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                "packrank-pod",
            ],
        );
        let netns = "/run/netns/packrank-pod";
        let sandbox = id("sandbox");
        let pause = world.bundle("pause", |spec| {
            in_pod(spec, netns, &sandbox, "sandbox", "", "high")
        });
        world.create(&pause, &sandbox);
        let shaped = rate(world);
        assert!(
            shaped.starts_with("50") || shaped.starts_with("51"),
            "class high: {shaped}"
        );
        // The sandbox keeps its own resources.
        assert!(pause.json()["linux"]["resources"]["memory"].is_null());
        for round in 0..2 {
            let (name, id) = (format!("cron{round}"), id(&format!("cron-{round}")));
            let cron = world.bundle(&name, |spec| {
                in_pod(spec, netns, &sandbox, "container", "cron", "high")
            });
            world.create(&cron, &id);
            assert_eq!(
                cron.json()["linux"]["resources"]["memory"]["limit"],
                256 << 20
            );
            assert_eq!(rate(world), shaped);
            world.remove(&id);
            assert_eq!(rate(world), shaped);
        }
        world.remove(&sandbox);
        let left = world.ours();
        world.run("ip", &["netns", "delete", "packrank-pod"]);
        assert_eq!(left, Vec::<String>::new());
    });
}
