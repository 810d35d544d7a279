//! Pressure is gone: what was taken is given back.
//!
//! In: levels that have stayed lower for their time. Out: thaws, and values
//! as they were, the highest class first and not all at once, so that giving
//! back does not bring the pressure back.

use packrank_core::Priority;

use super::{Action, Actions, Deed, Knob, Level, Millis, Slot, State, Why};

/// How long an answer is waited for, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// Gives back what memory's level no longer asks for.
pub(super) fn ease(state: &mut State, now: Millis, actions: &mut Actions) {
    let level = state.memory.level();
    if level > Level::Medium || !state.held {
        return;
    }
    let every = state.config.ladder.give_back_every;
    if state.given_back.is_some_and(|at| !now.passed(at, every)) {
        return;
    }
    // One at a time while something still presses, a twentieth when nothing does.
    let mut left = match level {
        Level::None | Level::Low => state.packs.len() / 20 + 1,
        _ => 1,
    };
    for class in Priority::ALL.into_iter().rev() {
        for index in 0..state.classes[class as usize].len() {
            if left == 0 {
                break;
            }
            let slot = state.classes[class as usize][index];
            let given = thaw(state, slot, now, actions) || release(state, slot, level);
            if given {
                left -= 1;
                state.given_back = Some(now);
            }
        }
    }
}

fn thaw(state: &mut State, slot: Slot, now: Millis, actions: &mut Actions) -> bool {
    let Some(pack) = state.pack_mut(slot) else {
        return false;
    };
    let asked = pack.thawing.is_some_and(|at| now.since(at) < ANSWER_MS);
    if !pack.frozen || asked {
        return false;
    }
    let thaw = Action {
        slot: Some(slot),
        deed: Deed::Thaw,
        why: Why::GiveBack,
        audit: pack.facts.audit,
    };
    if actions.push(thaw) {
        pack.thawing = Some(now);
        return true;
    }
    false
}

fn release(state: &mut State, slot: Slot, level: Level) -> bool {
    if level > Level::None {
        return false;
    }
    let Some(pack) = state.pack_mut(slot) else {
        return false;
    };
    let mut any = false;
    for knob in [Knob::MemoryHigh, Knob::Guarantee] {
        if pack.dial(knob).pressed().is_some() {
            pack.dial_mut(knob).press(None);
            any = true;
        }
    }
    if any {
        state.changed(slot);
        state.protection_due = true;
    }
    any
}
