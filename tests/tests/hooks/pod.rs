//! A pod: its network is shaped for the highest class of a container that is or
//! was in it, and stays while one of them is restarted.

use std::fs;

use packrank_tests::bundle::Bundle;
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

/// A bundle where containerd's CRI has its own.
fn bundle(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> Bundle {
    world.bundle(
        &format!("io.containerd.runtime.v2.task/k8s.io/{name}"),
        change,
    )
}

fn rate(world: &World) -> String {
    let classes = world.run("tc", &["class", "show", "dev", "vpod"]);
    let mut words = classes.split_whitespace().skip_while(|w| *w != "rate");
    words.nth(1).unwrap_or("none").to_owned()
}

/// The pod's network, which outlives its containers.
fn network(world: &World) -> &'static str {
    world.run("ip", &["netns", "add", "packrank-pod"]);
    let peer = ["peer", "name", "eth0", "netns", "packrank-pod"];
    let link = ["link", "add", "vpod", "type", "veth"];
    world.run("ip", &[&link[..], &peer].concat());
    "/run/netns/packrank-pod"
}

#[test]
fn the_network_follows_the_highest_container_and_no_name() {
    world("pod", |world| {
        let netns = network(world);
        let sandbox = id("sandbox");
        // The pod claims high for a container `web`, which is not there.
        let pause = bundle(world, "pause", |spec| {
            in_pod(spec, netns, &sandbox, "sandbox", "", "high")
        });
        world.create(&pause, &sandbox);
        let begun = rate(world);
        assert!(begun.starts_with('1'), "class scavenger: {begun}");
        // The sandbox keeps its own resources.
        assert!(pause.json()["linux"]["resources"]["memory"].is_null());
        for round in 0..2 {
            let (name, id) = (format!("cron{round}"), id(&format!("cron-{round}")));
            let cron = bundle(world, &name, |spec| {
                in_pod(spec, netns, &sandbox, "container", "cron", "high")
            });
            world.create(&cron, &id);
            assert_eq!(
                cron.json()["linux"]["resources"]["memory"]["limit"],
                256 << 20
            );
            assert_eq!(rate(world), begun);
            world.remove(&id);
            assert_eq!(rate(world), begun);
        }
        for round in 0..2 {
            let (name, id) = (format!("web{round}"), id(&format!("web-{round}")));
            let web = bundle(world, &name, |spec| {
                in_pod(spec, netns, &sandbox, "container", "web", "high")
            });
            world.create(&web, &id);
            let lifted = rate(world);
            assert!(
                lifted.starts_with("50") || lifted.starts_with("51"),
                "class high: {lifted}"
            );
            world.remove(&id);
            // It stays while a container is restarted.
            assert_eq!(rate(world), lifted);
        }
        world.remove(&sandbox);
        let left = world.ours();
        world.run("ip", &["netns", "delete", "packrank-pod"]);
        assert_eq!(left, Vec::<String>::new());
    });
}

#[test]
fn a_container_of_nobodys_is_no_sandbox_and_in_no_pod() {
    world("posing", |world| {
        let netns = network(world);
        let sandbox = id("others-sandbox");
        let posing = id("posing");
        let bundle = world.bundle("posing", |spec| {
            in_pod(spec, netns, &sandbox, "sandbox", "web", "high")
        });
        world.create(&bundle, &posing);
        let record = fs::read(format!("/run/packrank/packs/{posing}.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        world.remove(&posing);
        world.run("ip", &["netns", "delete", "packrank-pod"]);
        let memory = &bundle.json()["linux"]["resources"]["memory"]["limit"];
        assert_eq!(memory, 256 << 20);
        assert_eq!(record["priority"], "scavenger");
        assert_ne!(record["network"]["owner"], sandbox);
        assert!(record["namespace"].is_null(), "{record}");
    });
}
