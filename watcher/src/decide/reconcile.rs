//! What the kernel has is brought to what it should have.
//!
//! In: dials whose value is not what was written. Out: writes, the lowest
//! class first. What does not fit, or is refused, is written at a later look.

use packrank_core::Priority;
use packrank_core::record::Amount;

use super::{Action, Actions, Deed, Knob, Level, Millis, Resource, Slot, State, Why};

/// Writes that are due.
pub(super) fn write(state: &mut State, now: Millis, actions: &mut Actions) {
    let levels = [state.memory.level(), state.cpu.level(), state.io.level()];
    for class in Priority::ALL {
        for index in 0..state.classes[class as usize].len() {
            let slot = state.classes[class as usize][index];
            if !pack(state, slot, levels, now, actions) {
                return;
            }
        }
    }
}

/// One pack's writes; whether there was room.
fn pack(
    state: &mut State,
    slot: Slot,
    levels: [Level; 3],
    now: Millis,
    actions: &mut Actions,
) -> bool {
    let Some(pack) = state.pack_mut(slot) else {
        return true;
    };
    if !pack.touched || pack.seen.is_some_and(|s| !s.populated) {
        return true;
    }
    let (audit, memory) = (pack.facts.audit, pack.memory().unwrap_or(0));
    let mut differs = false;
    pack.pressed = pack.dials.iter().any(|dial| dial.pressed().is_some());
    for knob in Knob::ALL {
        let dial = pack.dial(knob);
        differs |= dial.differs();
        if !dial.to_write(now) {
            continue;
        }
        if !actions.fits(2) {
            return false;
        }
        let (from, to) = (dial.wrote(), dial.target());
        let why = match (dial.pressed(), from) {
            (Some(_), _) => pressure(knob, levels),
            (None, None) => Why::Restore,
            (None, Some(_)) if to == dial.adapted() && Some(to) == dial.plan() => Why::GiveBack,
            (None, Some(_)) => Why::Use(0),
        };
        // Below what is used, the kernel would stop the pack at once: take
        // the difference gently first.
        if let (Knob::MemoryHigh, Amount::At(to)) = (knob, to)
            && from.is_none_or(|from| Amount::At(to) < from)
            && memory > to
        {
            let deed = Deed::Reclaim(memory - to);
            actions.push(Action {
                slot: Some(slot),
                deed,
                why,
                audit,
            });
        }
        let deed = Deed::Set { knob, from, to };
        actions.push(Action {
            slot: Some(slot),
            deed,
            why,
            audit,
        });
        pack.dial_mut(knob).writing(now);
    }
    pack.touched = differs;
    true
}

fn pressure(knob: Knob, levels: [Level; 3]) -> Why {
    let resource = match knob {
        Knob::CpuQuota => Resource::Cpu,
        Knob::ReadBps | Knob::WriteBps | Knob::ReadIops | Knob::WriteIops => Resource::Io,
        _ => Resource::Memory,
    };
    Why::Pressure(resource, levels[resource as usize])
}
