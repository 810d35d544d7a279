//! Nobody gives what the node does not gain.

use super::lab::{ALL, Lab, MIB, record};
use super::*;

/// Whether anybody was ended, stopped or held.
fn takes(list: &[(u32, Deed)]) -> bool {
    let taken = |deed: &Deed| matches!(deed, Deed::Kill | Deed::Freeze) || clamps(deed);
    list.iter().any(|(_, deed)| taken(deed))
}

fn clamps(deed: &Deed) -> bool {
    match deed {
        Deed::Set { knob, from, to } => *knob == Knob::MemoryHigh && Some(*to) < *from,
        _ => false,
    }
}

#[test]
fn a_pack_that_stalls_itself_ends_nobody() {
    // At its memory.high, and at its memory.max; kswapd works for somebody's
    // files, so that the node's own reclaim tells nothing.
    for at_high in [true, false] {
        let mut lab = Lab::new(&[ALL[0], ALL[1], ALL[2], ALL[2]]);
        lab.after(0);
        lab.stalls = (95, 90);
        for look in 1..=120u64 {
            let sample = lab.samples[2].as_mut().unwrap();
            sample.stalled = Some([look * 475_000, look * 450_000]);
            match at_high {
                true => sample.at_high = Some(look),
                false => sample.at_limit = Some(look),
            }
            let list = lab.after(500);
            assert!(!takes(&list), "{list:?}");
        }
        assert!(!lab.state.alert());
    }
}

#[test]
fn what_the_node_does_not_reclaim_for_is_not_its_shortage() {
    let mut lab = Lab::new(&ALL);
    lab.after(0);
    (lab.stalls, lab.reclaims) = ((95, 90), false);
    for _ in 0..60 {
        let list = lab.after(500);
        assert!(!takes(&list), "{list:?}");
    }
}

#[test]
fn others_stalls_count_beside_those_of_one_that_stalls_itself() {
    let mut lab = Lab::new(&[ALL[0], ALL[2], ALL[4]]);
    lab.after(0);
    lab.stalls = (95, 90);
    let mut killed = false;
    for look in 1..=10u64 {
        let sample = lab.samples[1].as_mut().unwrap();
        (sample.stalled, sample.at_high) = (Some([look * 475_000; 2]), Some(look));
        lab.samples[2].as_mut().unwrap().stalled = Some([look * 200_000; 2]);
        killed |= lab.after(500).contains(&(0, Deed::Kill));
    }
    assert!(killed);
}

#[test]
fn use_alone_asks_for_cache_and_ends_nobody() {
    let mut lab = Lab::new(&ALL);
    for sample in lab.samples.iter_mut().flatten() {
        sample.cache = Some(40 * MIB);
    }
    lab.used(99);
    let mut asked = false;
    for _ in 0..60 {
        let list = lab.after(1_000);
        asked |= list.iter().any(|(_, d)| matches!(d, Deed::Reclaim(_)));
        assert!(!takes(&list), "{list:?}");
    }
    assert!(asked);
}

#[test]
fn what_can_be_swapped_out_is_not_used_up() {
    let mut lab = Lab::new(&[ALL[0]]);
    lab.node.swap_free = Some(500 * MIB);
    assert!(!takes(&lab.short(99).after(1_000)));
    lab.node.swap_free = Some(0);
    assert!(takes(&lab.after(1_000)));
}

#[test]
fn the_victim_is_who_holds_what_only_an_end_sets_free() {
    let mut lab = Lab::new(&[ALL[0], ALL[0], ALL[1]]);
    let sample = lab.samples[0].as_mut().unwrap();
    (sample.memory, sample.cache) = (Some(90 * MIB), Some(80 * MIB));
    let list = lab.short(98).after(1_000);
    assert!(list.contains(&(1, Deed::Kill)), "{list:?}");

    // All cache, or nothing worth an end: the class above is next.
    let mut lab = Lab::new(&[ALL[0], ALL[0], ALL[1]]);
    let sample = lab.samples[0].as_mut().unwrap();
    (sample.memory, sample.cache) = (Some(90 * MIB), Some(88 * MIB));
    lab.samples[1].as_mut().unwrap().memory = Some(MIB);
    let list = lab.short(98).after(1_000);
    assert!(list.contains(&(2, Deed::Freeze)), "{list:?}");
    assert!(list.contains(&(2, Deed::Kill)), "{list:?}");
}

#[test]
fn a_starting_pack_is_spared_while_another_of_its_class_lives() {
    let mut lab = Lab::new(&[ALL[0], ALL[1]]);
    lab.after(0);
    lab.after(5_000);
    let late = lab.join(&record("late", ALL[0])).0;
    lab.samples[late as usize].as_mut().unwrap().memory = Some(90 * MIB);
    lab.samples[0].as_mut().unwrap().memory = Some(2 * MIB);
    lab.stalls.0 = 20;
    lab.used(98);
    let list = lab.after(1_000);
    assert!(!takes(&list), "neither it nor the class above: {list:?}");
    let killed = (0..10).any(|_| lab.after(1_000).contains(&(late, Deed::Kill)));
    assert!(killed, "it has started");

    let mut lab = Lab::new(&[ALL[0], ALL[0]]);
    let list = lab.short(98).after(1_000);
    assert!(takes(&list), "all of its class are starting: {list:?}");
}

#[test]
fn a_clamp_that_makes_more_stalls_is_not_followed_by_another() {
    let mut lab = Lab::new(&[ALL[2], ALL[2], ALL[2]]);
    for sample in lab.samples.iter_mut().flatten() {
        sample.cache = Some(40 * MIB);
        sample.stalled = Some([0; 2]);
    }
    let clamps = |list: &[(u32, Deed)]| list.iter().filter(|(_, deed)| clamps(deed)).count();
    assert_eq!(clamps(&lab.short(98).after(1_000)), 1);
    let mut more = 0;
    for look in 1..=120u64 {
        lab.samples[0].as_mut().unwrap().stalled = Some([look * 450_000; 2]);
        more += clamps(&lab.after(500));
    }
    assert_eq!(more, 0);

    // Nor is one that waits at its own limit held further.
    let mut lab = Lab::new(&[ALL[2]]);
    lab.samples[0].as_mut().unwrap().cache = Some(40 * MIB);
    let mut sum = clamps(&lab.short(98).after(1_000));
    for look in 1..=120u64 {
        lab.samples[0].as_mut().unwrap().at_high = Some(look);
        sum += clamps(&lab.after(500));
    }
    assert_eq!(sum, 1);
}

#[test]
fn who_uses_no_cpu_is_not_throttled_for_it() {
    let mut lab = Lab::new(&[ALL[0], ALL[0], ALL[2]]);
    lab.node.cpu_some = Some(Stall {
        avg10: 9_000,
        total: 0,
    });
    lab.samples[2].as_mut().unwrap().cpu_wait = Some(9_000);
    for look in 0..10u64 {
        for (at, used) in [(0, 0), (1, look * 5_000_000)] {
            lab.samples[at].as_mut().unwrap().cpu_used = Some(used);
        }
        lab.after(5_000);
    }
    let quota = |at| lab.state.value(Slot(at), Knob::CpuQuota).unwrap();
    assert_eq!(quota(0), packrank_core::record::Amount::At(100_000));
    assert!(quota(1) < quota(0));
}
