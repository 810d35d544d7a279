//! From a trigger to the deed nothing is allocated: real cgroups, real
//! processes, and an allocator that counts what this thread asks for.

use std::time::Duration;

use allocation_counter::measure;
use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};
use packrank_kernel::cgroup::CgroupError;
use packrank_skipped::skipped;
use packrank_watcher::Config;
use packrank_watcher::watch::Watcher;
use serde_json::json;

use crate::lab::Lab;

/// A look; how often it asked for memory.
fn look(watcher: &mut Watcher, trigger: bool) -> u64 {
    let asked = measure(|| watcher.look(trigger)).count_total;
    watcher.tend();
    asked
}

#[test]
fn from_a_trigger_to_the_deed_nothing_is_allocated() {
    let Some(mut lab) = Lab::new("quiet") else {
        return;
    };
    let limits = json!({ "settings": { "memory.limit": 1u64 << 30, "memory.high": 1u64 << 29,
        "cpu.quota": 100 } });
    let [scavenger, low] = ["scavenger", "low"].map(|class| lab.pack(class, limits.clone()));
    // It asked for a signal that it ignores: SIGURG.
    let normal = lab.pack("normal", json!({ "options": { "gc-signal": 23 } }));
    let mut config = Config::default();
    (config.ladder.kill_least, config.ladder.starting) = (0, 0);
    let mut watcher = Watcher::new(lab.roots(), config, false).unwrap();
    assert_eq!(watcher.records().count(), 3);
    for _ in 0..3 {
        look(&mut watcher, false);
    }

    lab.used(93);
    lab.pass(50);
    let asked = look(&mut watcher, true);
    assert_eq!(asked, 0, "allocations until the scavenger was killed");
    lab.wait("the scavenger is dead", |lab| !lab.alive(scavenger));
    assert!(lab.alive(low));

    lab.used(98);
    // Figures of who gives are read every 200 ms; then it is known to be dead.
    lab.pass(250);
    let asked = look(&mut watcher, true);
    assert_eq!(asked, 0, "allocations until low was frozen");
    // On a slow machine its second has passed, and it is killed at once.
    let frozen = lab.pod(low).cgroup.frozen().unwrap();
    assert!(frozen == Some(true) || !lab.alive(low));
    // One kill, then a second of looking before the next.
    let begin = std::time::Instant::now();
    while lab.alive(low) {
        assert_eq!(look(&mut watcher, false), 0, "until low was killed");
        assert!(begin.elapsed() < Duration::from_secs(30), "low lives");
        lab.pass(100);
    }
    assert!(lab.alive(normal));
}

#[test]
fn a_value_is_written_without_asking_for_memory() {
    let Some(mut lab) = Lab::new("value") else {
        return;
    };
    let pack = lab.pack("low", json!({}));
    let cgroup = &lab.pod(pack).cgroup;
    for (key, to) in [
        (Key::CpuQuota, Amount::At(37_500)),
        (Key::MemoryHigh, Amount::At(1 << 28)),
        (Key::CpuQuota, Amount::Unlimited),
    ] {
        if cgroup.value(key).unwrap().is_none() {
            skipped("a value without memory", &format!("no {} here", key.name()));
            continue;
        }
        let mut done = Err(CgroupError::NotOffered { what: "" });
        let asked = measure(|| done = cgroup.set(key, to, &[], GuaranteeFile::Low));
        assert_eq!(asked.count_total, 0, "{}", key.name());
        done.unwrap();
        assert_eq!(cgroup.value(key).unwrap(), Some(to));
    }
}
