//! A pack at its own memory.high.

use packrank_core::Priority;
use packrank_core::record::{Amount, Record};
use serde_json::json;

use super::lab::{Lab, MIB, record};
use super::*;

/// A normal pack, whose memory.high came from `origin`, with no ceiling.
fn held(origin: &str, violation: &str) -> Record {
    let mut record = serde_json::to_value(record("held", Priority::Normal)).unwrap();
    record["ceiling"] = json!({});
    record["origins"] = json!({ "memory.high": origin });
    record["options"] = json!({ "on-violation": violation });
    serde_json::from_value(record).unwrap()
}

fn high(lab: &Lab) -> Option<Amount> {
    lab.state.value(Slot(0), Knob::MemoryHigh)
}

#[test]
fn a_leak_is_let_go_to_its_limit_while_the_node_has_room() {
    for (origin, short, to) in [
        ("class", false, 100 * MIB),
        ("class", true, 90 * MIB),
        ("annotation", false, 90 * MIB),
    ] {
        let mut lab = Lab::new(&[]);
        lab.join(&held(origin, "alert"));
        lab.samples[0].as_mut().unwrap().memory = Some(89 * MIB);
        if short {
            lab.stalls.0 = 50;
        }
        for _ in 0..3 {
            lab.after(5_000);
        }
        assert_eq!(high(&lab), Some(Amount::At(to)), "{origin} {short}");
    }
}

#[test]
fn a_pack_that_stands_still_at_its_high_is_told_of_and_ends_as_it_asked() {
    for (violation, ends) in [("alert", false), ("restart", true)] {
        let mut lab = Lab::new(&[]);
        lab.join(&held("annotation", violation));
        let mut list = Vec::new();
        for look in 0..10u64 {
            let sample = lab.samples[0].as_mut().unwrap();
            sample.memory = Some(70 * MIB);
            (sample.at_high, sample.stalled) = (Some(look), Some([look * 4_000_000; 2]));
            let deeds = lab.after(5_000);
            let alert = Deed::Alert(Alert::MemoryAtLimit);
            assert_eq!(deeds.contains(&(0, alert)), look == 1, "{deeds:?}");
            list.extend(deeds);
        }
        assert_eq!(list.contains(&(0, Deed::Kill)), ends, "{list:?}");
    }
}
