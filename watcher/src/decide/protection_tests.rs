//! What cgroups above packs have.

use packrank_core::Priority;
use packrank_core::record::Deeds;

use super::lab::{Lab, MIB, record};
use super::*;

const NO_LIMIT: u64 = u64::MAX;

fn join(lab: &mut Lab, id: &str, above: Above, memory: u64) -> Slot {
    let record = record(id, Priority::Normal);
    let now = Millis::at(lab.now);
    let slot = lab
        .state
        .join(&record, &Deeds::default(), Some(above), 0, now);
    let at = slot.0 as usize;
    lab.samples.resize(lab.samples.len().max(at + 1), None);
    lab.samples[at] = Some(Sample {
        populated: true,
        memory: Some(memory),
        ..Sample::default()
    });
    slot
}

fn protect(above: Above, low: u64) -> (u32, Deed) {
    (99, Deed::Protect { above, min: 0, low })
}

fn protects(list: Vec<(u32, Deed)>) -> Vec<(u32, Deed)> {
    let is = |deed: &Deed| matches!(deed, Deed::Protect { .. });
    list.into_iter().filter(|(_, deed)| is(deed)).collect()
}

#[test]
fn cgroups_above_have_the_sum_and_get_back_what_they_had() {
    let mut lab = Lab::new(&[]);
    let had = (0, 5 * MIB);
    let top = lab.state.add_above(None, had, had, NO_LIMIT);
    let pod = lab.state.add_above(Some(top), (0, 0), (0, 0), NO_LIMIT);
    let a = join(&mut lab, "a", pod, 80 * MIB);
    let b = join(&mut lab, "b", pod, 80 * MIB);
    assert_eq!(
        lab.after(100),
        [protect(top, 40 * MIB), protect(pod, 40 * MIB)]
    );
    lab.state.leave(a);
    assert_eq!(
        lab.after(100),
        [protect(top, 20 * MIB), protect(pod, 20 * MIB)]
    );
    lab.state.leave(b);
    assert_eq!(lab.after(100), [protect(top, 5 * MIB), protect(pod, 0)]);
    let mut gone = 0;
    lab.state.forget_above(|_| gone += 1);
    assert_eq!(gone, 2);
}

#[test]
fn never_more_than_is_used_or_the_parent_or_the_node_can_honour() {
    // Fifteen guarantees of 20 MiB on a node of 1000, and what each uses.
    for (memory, limit, low) in [(80, NO_LIMIT, 300), (8, NO_LIMIT, 120), (80, 64 * MIB, 64)] {
        let mut lab = Lab::new(&[]);
        let top = lab.state.add_above(None, (0, 0), (0, 0), limit);
        for n in 0..15 {
            join(&mut lab, &n.to_string(), top, memory * MIB);
        }
        assert_eq!(lab.after(100), [protect(top, low * MIB)]);
        // What they use falls, and with it what the parent has.
        for sample in lab.samples.iter_mut().flatten() {
            sample.memory = Some(MIB);
        }
        assert_eq!(protects(lab.after(5_000)), [protect(top, 15 * MIB)]);
    }
    let mut lab = Lab::new(&[]);
    lab.node.memory_total = Some(100 * MIB);
    let top = lab.state.add_above(None, (0, 0), (0, 0), NO_LIMIT);
    for n in 0..15 {
        join(&mut lab, &n.to_string(), top, 80 * MIB);
    }
    assert_eq!(lab.after(100), [protect(top, 90 * MIB)], "a tenth is kept");
}

#[test]
fn what_others_write_is_kept_and_what_a_reload_undoes_is_written_again() {
    let mut lab = Lab::new(&[]);
    let top = lab.state.add_above(None, (0, 0), (0, 0), NO_LIMIT);
    let pack = join(&mut lab, "a", top, 80 * MIB);
    assert_eq!(lab.after(100), [protect(top, 20 * MIB)]);
    // A reload: what was there before.
    assert!(!lab.state.found_above(top, (0, 0), false, NO_LIMIT));
    assert_eq!(lab.after(100), [protect(top, 20 * MIB)]);
    // The kubelet: more, and then less than what lies under it.
    assert!(lab.state.found_above(top, (0, 64 * MIB), false, NO_LIMIT));
    assert_eq!(lab.after(100), []);
    assert!(lab.state.found_above(top, (0, 8 * MIB), false, NO_LIMIT));
    assert_eq!(lab.after(100), [protect(top, 20 * MIB)]);
    lab.state.leave(pack);
    assert_eq!(lab.after(100), [protect(top, 8 * MIB)]);
}
