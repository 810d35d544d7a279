//! Records and deeds: any that read are joined, pressed hard and given back.
//! None may panic, and no limit may leave its floor and ceiling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packrank_core::record::{Deeds, Record};
use packrank_watcher::Config;
use packrank_watcher::decide::{Actions, Knob, Millis, Node, Observation, Sample, State, decide};

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let Ok(record) = serde_json::from_slice::<Record>(parts.next().unwrap_or_default()) else {
        return;
    };
    let deeds = parts.next().and_then(|rest| serde_json::from_slice::<Deeds>(rest).ok());
    let mut state = State::new(Config::default());
    let slot = state.join(&record, &deeds.unwrap_or_default(), None, 0, Millis::at(0));
    let mut actions = Actions::with_room(64);
    for look in 1..200u64 {
        let now = Millis::at(look * 5_000);
        let memory = record.settings.amount(Knob::MemoryLimit.key());
        let sample = Sample {
            at: now,
            populated: true,
            memory: memory.and_then(|a| a.number()),
            cache: Some(look << 20),
            cpu_used: Some(look * 1_000_000),
            ..Sample::default()
        };
        let node = Node {
            memory_total: Some(100),
            memory_available: Some(if look < 50 { 1 } else { 90 }),
            ..Node::default()
        };
        let packs = [Some(sample)];
        decide(&mut state, &Observation { node, packs: &packs }, now, &mut actions);
        for action in actions.list().to_vec() {
            let outcome = packrank_watcher::decide::Outcome::Done;
            state.answer(&action, outcome, now);
        }
        let Some(pack) = state.pack(slot) else { return };
        for knob in Knob::ALL {
            let dial = pack.dial(knob);
            assert!(dial.plan().is_none() || dial.adapted() <= dial.ceiling(), "{knob:?} {dial:?}");
        }
    }
});
