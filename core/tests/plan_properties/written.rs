//! Specs that say the same thing twice, or in the kernel's own words, and what
//! must come out of them.
//!
//! In: `linux.resources` of a container, of class low where none is named, on
//! cgroup v2. Out: the
//! members as rewritten. Engines write `unified` last, so whatever stands
//! there would undo the typed members.

use serde_json::{Value, json};

use crate::generate::Case;
use crate::hosts::HostKind;
use crate::ranked;

fn rewritten(resources: &Value) -> Value {
    rewritten_as("low", resources)
}

fn rewritten_as(class: &str, resources: &Value) -> Value {
    let document = json!({
        "annotations": {"packrank.io/priority": class},
        "linux": {"resources": resources},
    });
    let case = Case {
        text: document.to_string(),
        claim: None,
        extra: String::new(),
        on_disk: true,
    };
    let (_, after) = ranked(&case.text, &case, &case.policy(), &HostKind::Two.host()).unwrap();
    let mut after: Value = serde_json::from_str(&after).unwrap();
    after["linux"]["resources"].take()
}

#[test]
fn unlimited_in_a_v2_file_does_not_undo_a_limit() {
    let after = rewritten(&json!({
        "memory": {"limit": 104_857_600, "swap": 104_857_600},
        "cpu": {"quota": 10_000},
        "pids": {"limit": 30},
        "unified": {"memory.max": "max", "memory.swap.max": "max", "cpu.max": "max", "pids.max": "max",
            "hugetlb.2MB.max": "max", "io.max": "8:0 wbps=max rbps=1000"},
    }));
    assert_eq!(
        after["memory"],
        json!({"limit": 104_857_600, "swap": 104_857_600})
    );
    assert_eq!(after["cpu"], json!({"quota": 10_000, "shares": 512}));
    assert_eq!(after["pids"], json!({"limit": 30}));
    let rates = &after["blockIO"]["throttleReadBpsDevice"];
    assert_eq!(rates[0], json!({"major": 8, "minor": 0, "rate": 1000}));
    let left: Vec<&String> = after["unified"].as_object().unwrap().keys().collect();
    let ours = [
        "hugetlb.2MB.rsvd.max",
        "io.weight",
        "memory.high",
        "memory.oom.group",
        "memory.swap.max",
    ];
    assert_eq!(left, ours);
    assert_eq!(after["unified"]["memory.swap.max"], "0");
}

#[test]
fn a_guarantee_of_nothing_takes_none_away() {
    let guarantee = |resources: Value| {
        let mut after = rewritten_as("critical", &resources);
        after["unified"]["memory.min"].take()
    };
    let plain = guarantee(json!({}));
    assert!(plain.as_str().is_some_and(|bytes| bytes != "0"), "{plain}");
    assert_eq!(guarantee(json!({"unified": {"memory.min": "0"}})), plain);
    let least = guarantee(json!({"unified": {"memory.min": "4096"}}));
    assert_eq!(least, "4096");
}

#[test]
fn the_kernels_suffixes_are_numbers() {
    let after = rewritten(&json!({"unified": {"memory.max": "64M", "memory.high": "0x3000000"}}));
    assert_eq!(
        after["memory"],
        json!({"limit": 64 << 20, "swap": 64 << 20})
    );
    assert_eq!(after["unified"]["memory.high"], "0x3000000");
    let after = rewritten(&json!({"unified": {"memory.high": "16M"}}));
    assert_eq!(after["unified"]["memory.high"], "16M");
}

#[test]
fn a_swap_total_comes_with_its_limit() {
    // Engines refuse a total of memory and swap without a memory limit.
    let after = rewritten(&json!({"unified": {"memory.max": "104857600"}}));
    assert_eq!(
        after["memory"],
        json!({"limit": 104_857_600, "swap": 104_857_600})
    );
    let after = rewritten(&json!({"memory": {"swap": 8_388_608}}));
    assert_eq!(
        after["memory"],
        json!({"limit": 8_388_608, "swap": 8_388_608})
    );
}

#[test]
fn a_burst_stays_within_its_quota() {
    let after = rewritten(&json!({
        "cpu": {"quota": 200_000, "period": 100_000, "burst": 90_000},
        "unified": {"cpu.max.burst": "70000"},
    }));
    let cpu = json!({"quota": 50_000, "period": 100_000, "burst": 50_000, "shares": 512});
    assert_eq!(after["cpu"], cpu);
    assert_eq!(after["unified"]["cpu.max.burst"], "50000");
}
