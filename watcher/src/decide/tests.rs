//! Decisions on small nodes, one rule each.

use packrank_core::Priority;
use packrank_core::record::Amount;
use serde_json::json;

use super::lab::{ALL, Lab, MIB, record};
use super::*;

#[test]
fn low_takes_cache_from_scavengers_and_medium_from_low_once_they_are_dry() {
    let mut lab = Lab::new(&ALL);
    for sample in lab.samples.iter_mut().flatten() {
        sample.cache = Some(40 * MIB);
    }
    assert_eq!(lab.used(85).after(100), [(0, Deed::Reclaim(32 * MIB))]);
    assert_eq!(
        lab.used(88).after(100),
        [(99, Deed::Compact)],
        "what it has left is not known yet, and nobody else is asked meanwhile"
    );
    assert_eq!(lab.after(100), [(0, Deed::Reclaim(32 * MIB))]);
    lab.samples[0].as_mut().unwrap().cache = Some(0);
    assert_eq!(lab.after(100), [(1, Deed::Reclaim(32 * MIB))]);
    lab.samples[1].as_mut().unwrap().cache = Some(0);
    assert_eq!(lab.after(100), [], "nobody else gives at this level");
}

#[test]
fn high_kills_scavengers_one_at_a_time_the_largest_first_and_nobody_else() {
    let mut lab = Lab::new(&[ALL[0], ALL[0], ALL[1], ALL[2]]);
    lab.samples[1].as_mut().unwrap().memory = Some(90 * MIB);
    let first = lab.short(93).after(1_000);
    assert_eq!(
        first,
        [(1, Deed::Kill), (99, Deed::Compact)],
        "it is not kept waiting"
    );
    assert_eq!(lab.after(1_000), [], "it is still dying");
    lab.samples[1].as_mut().unwrap().populated = false;
    assert_eq!(lab.after(100), [(0, Deed::Kill)]);
    lab.samples[0].as_mut().unwrap().populated = false;
    assert_eq!(lab.after(60_000).len(), 1, "compaction only");
}

#[test]
fn at_critical_a_life_is_taken_before_cache_is_asked_for() {
    for classes in [&ALL[..], &ALL[1..]] {
        let mut lab = Lab::new(classes);
        for sample in lab.samples.iter_mut().flatten() {
            sample.cache = Some(40 * MIB);
        }
        let list = lab.short(98).after(1_000);
        let at = |deed: fn(&Deed) -> bool| list.iter().position(|(_, d)| deed(d));
        let kill = at(|deed| *deed == Deed::Kill);
        let asked = at(|deed| matches!(deed, Deed::Reclaim(_)));
        assert!(kill.is_some(), "{list:?}");
        assert!(asked.is_none_or(|asked| kill < Some(asked)), "{list:?}");
        assert!(list.iter().all(|(slot, d)| *slot == 0
            || *slot == 99
            || !matches!(d, Deed::Kill | Deed::Reclaim(_))));
    }
    let mut lab = Lab::new(&[ALL[0], ALL[0]]);
    for sample in lab.samples.iter_mut().flatten() {
        sample.cache = Some(40 * MIB);
    }
    let list = lab.short(98).after(1_000);
    let deeds: Vec<Deed> = list.iter().map(|(_, deed)| *deed).collect();
    assert_eq!(deeds[..2], [Deed::Kill, Deed::Reclaim(32 * MIB)]);
    assert_ne!(list[0].0, list[1].0, "who dies gives anyway");
}

#[test]
fn a_kill_takes_stalls_from_after_the_one_before() {
    let mut lab = Lab::new(&[ALL[0], ALL[0]]);
    lab.after(0);
    lab.stalls = (40, 40);
    let kills = |list: &[(u32, Deed)]| list.iter().filter(|(_, d)| *d == Deed::Kill).count();
    let list = lab.after(1_000);
    assert_eq!(kills(&list), 1, "{list:?}");
    lab.samples[list[0].0 as usize].as_mut().unwrap().populated = false;
    lab.stalls = (0, 0);
    for _ in 0..10 {
        assert_eq!(kills(&lab.after(1_000)), 0, "the stalls have ended");
    }
}

#[test]
fn critical_freezes_and_kills_low_clamps_normal_and_protects_critical() {
    let mut lab = Lab::new(&ALL[1..]);
    let list = lab.short(98).after(500);
    assert!(
        list.contains(&(0, Deed::Freeze)) && list.contains(&(0, Deed::Kill)),
        "{list:?}"
    );
    let raised = Deed::Set {
        knob: Knob::Guarantee,
        from: Some(Amount::At(20 * MIB)),
        to: Amount::At(80 * MIB),
    };
    assert!(list.contains(&(3, raised)), "{list:?}");
    lab.samples[0].as_mut().unwrap().populated = false;
    lab.samples[1].as_mut().unwrap().cache = Some(30 * MIB);
    let list = lab.after(1_000);
    let clamp = Deed::Set {
        knob: Knob::MemoryHigh,
        from: Some(Amount::At(90 * MIB)),
        to: Amount::At(72 * MIB),
    };
    assert_eq!(
        list,
        [(1, Deed::Reclaim(8 * MIB)), (1, clamp)],
        "gently, then lower"
    );
    assert!(lab.state.busy());
    lab.stalls = (0, 0);
    lab.used(10);
    for _ in 0..60 {
        lab.after(1_000);
    }
    assert!(!lab.state.busy(), "all is given back");
    assert_eq!(
        lab.state.value(Slot(1), Knob::MemoryHigh),
        Some(Amount::At(90 * MIB))
    );
}

#[test]
fn steady_use_settles_and_stays() {
    for percent in [5, 30, 45, 60, 79, 85, 94, 99] {
        let mut lab = Lab::new(&[Priority::Normal]);
        let mut changes = [0; 4];
        for (hour, step) in (0..4).flat_map(|hour| (0..720u64).map(move |step| (hour, step))) {
            let noise = step * 2_654_435_761 % 5 * MIB / 2;
            lab.samples[0].as_mut().unwrap().memory = Some(percent * 90 * MIB / 100 + noise);
            let sets = lab.after(5_000);
            let sets = sets
                .iter()
                .filter(|(_, d)| matches!(d, Deed::Set { .. }))
                .count();
            changes[hour] += sets;
        }
        assert!(
            changes[0] <= 12 && changes[1..] == [0, 0, 0],
            "{percent} %: {changes:?}"
        );
    }
}

#[test]
fn busy_grows_after_thirty_seconds_need_at_once_idle_shrinks_after_five_minutes() {
    let first = |percent: u64| {
        let mut lab = Lab::new(&[Priority::Normal]);
        lab.samples[0].as_mut().unwrap().memory = Some(percent * 90 * MIB / 100);
        (0..200).find_map(|step| {
            let sets = lab.after(5_000);
            let high = sets.iter().find_map(|(_, deed)| match deed {
                Deed::Set {
                    knob: Knob::MemoryHigh,
                    to,
                    ..
                } => Some(*to),
                _ => None,
            });
            high.map(|to| (step * 5, to.number().unwrap() * 100 / (90 * MIB)))
        })
    };
    assert_eq!(first(85), Some((35, 120)));
    assert_eq!(first(97), Some((5, 150)));
    assert_eq!(first(60), None);
    assert_eq!(first(30), Some((305, 80)));
}

#[test]
fn a_record_that_changes_keeps_what_was_done() {
    let mut lab = Lab::new(&[Priority::Normal]);
    lab.samples[0].as_mut().unwrap().cache = Some(30 * MIB);
    lab.short(98).after(500);
    let clamped = lab.state.value(Slot(0), Knob::MemoryHigh).unwrap();
    assert!(clamped < Amount::At(90 * MIB));
    let mut changed = record("0", Priority::Normal);
    changed
        .settings
        .put_amount(Knob::CpuQuota.key(), Amount::At(50_000));
    lab.state
        .rejoin(Slot(0), &changed, None, Millis::at(lab.now));
    assert_eq!(lab.state.value(Slot(0), Knob::MemoryHigh), Some(clamped));
    assert_eq!(
        lab.state.value(Slot(0), Knob::CpuQuota),
        Some(Amount::At(50_000))
    );
}

#[test]
fn a_pack_at_its_limit_is_told_of_and_restarted_only_if_it_asked() {
    for (option, killed) in [("alert", false), ("restart", true)] {
        let mut record = serde_json::to_value(record("a", Priority::Normal)).unwrap();
        record["options"] = json!({ "on-violation": option, "adaptive": false });
        let mut lab = Lab::new(&[]);
        lab.join(&serde_json::from_value(record).unwrap());
        lab.samples[0].as_mut().unwrap().memory = Some(100 * MIB);
        let all: Vec<(u32, Deed)> = (0..12).flat_map(|_| lab.after(5_000)).collect();
        let alerts = all
            .iter()
            .filter(|(_, d)| matches!(d, Deed::Alert(_)))
            .count();
        assert_eq!(alerts, 1, "{all:?}");
        assert_eq!(all.contains(&(0, Deed::Kill)), killed);
    }
}

#[test]
fn a_pack_takes_no_more_room_than_it_did() {
    // A thousand of them are what the watcher's memory is made of.
    let room = size_of::<Option<Pack>>();
    assert!(room <= 1_760, "{room}");
}

#[test]
fn paused_does_nothing() {
    let mut lab = Lab::new(&ALL);
    lab.state.pause(true);
    assert_eq!(lab.short(99).after(2_000), []);
}

#[test]
fn without_somebody_to_spare_a_squeezed_pack_is_let_go() {
    let mut lab = Lab::new(&[Priority::Scavenger, Priority::Normal]);
    lab.node.cpu_some = Some(Stall {
        avg10: 9_000,
        total: 0,
    });
    lab.samples[1].as_mut().unwrap().cpu_wait = Some(9_000);
    let quota = |lab: &Lab| lab.state.value(Slot(0), Knob::CpuQuota);
    lab.after(5_000);
    lab.after(5_000);
    assert!(quota(&lab) < Some(Amount::At(100_000)), "{:?}", quota(&lab));
    // The node's own figure stays: it counts what the quota holds back.
    lab.state.leave(Slot(1));
    lab.samples[1] = None;
    for _ in 0..20 {
        lab.after(10_000);
    }
    assert_eq!(quota(&lab), Some(Amount::At(100_000)));
}
