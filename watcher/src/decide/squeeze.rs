//! CPU or disks press: the lowest classes' limits shrink in steps, and grow
//! back in steps (C4).
//!
//! In: the level of CPU or I/O. Out: what pressure leaves of `cpu.max` or
//! `io.max`. Scavengers give first and get back last.

use packrank_core::Priority;
use packrank_core::record::Amount;

use super::time::{percent_of, scaled};
use super::{Knob, Level, Millis, Resource, State};

/// When the last steps were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Squeezer {
    down: Option<Millis>,
    up: Option<Millis>,
}

const CPU: &[Knob] = &[Knob::CpuQuota];
const IO: &[Knob] = &[
    Knob::ReadBps,
    Knob::WriteBps,
    Knob::ReadIops,
    Knob::WriteIops,
];

/// Takes a step where one is due.
pub(super) fn press(state: &mut State, now: Millis) {
    for (resource, knobs) in [(Resource::Cpu, CPU), (Resource::Io, IO)] {
        let squeezer = match resource {
            Resource::Io => state.io_squeezer,
            _ => state.cpu_squeezer,
        };
        let due = |at: Option<Millis>, every: u64| at.is_none_or(|at| now.passed(at, every));
        let level = state.level(resource);
        let mut next = squeezer;
        if level >= Level::Medium && due(squeezer.down, state.config.squeeze.down_every) {
            // The higher of the two gives only when the lower has given all.
            let gave = down(state, Priority::Scavenger, knobs) || down(state, Priority::Low, knobs);
            if gave {
                next.down = Some(now);
            }
        }
        let up_due = state.held && due(squeezer.up, state.config.squeeze.up_every);
        if level == Level::None && up_due {
            let got = up(state, Priority::Low, knobs) || up(state, Priority::Scavenger, knobs);
            if got {
                next.up = Some(now);
            }
        }
        match resource {
            Resource::Io => state.io_squeezer = next,
            _ => state.cpu_squeezer = next,
        }
    }
}

fn down(state: &mut State, class: Priority, knobs: &[Knob]) -> bool {
    let step = state.config.squeeze.step.min(99);
    let mut any = false;
    for index in 0..state.classes[class as usize].len() {
        let slot = state.classes[class as usize][index];
        let Some(pack) = state.pack_mut(slot) else {
            continue;
        };
        // Of one that was looked at once it is not known what it uses.
        if !pack.lives() || pack.measured.is_none() {
            continue;
        }
        let mut gave = false;
        for knob in knobs {
            let used = pack.rate(*knob);
            if !pack.dial(*knob).can_give() {
                continue;
            }
            // Who uses no more than is left to him has nothing to give.
            if used.is_some_and(|used| used <= pack.dial(*knob).press_floor) {
                continue;
            }
            let dial = pack.dial_mut(*knob);
            // Without a limit, what it uses is what it can be made to give.
            let Some(from) = dial.target().number().or(used) else {
                continue;
            };
            let to = percent_of(step, from).max(dial.press_floor).max(1);
            dial.press(Some(Amount::At(to)));
            gave = true;
        }
        if gave {
            state.changed(slot);
        }
        any |= gave;
    }
    any
}

fn up(state: &mut State, class: Priority, knobs: &[Knob]) -> bool {
    let step = state.config.squeeze.step.clamp(1, 99);
    let mut any = false;
    for index in 0..state.classes[class as usize].len() {
        let slot = state.classes[class as usize][index];
        let Some(pack) = state.pack_mut(slot) else {
            continue;
        };
        let mut got = false;
        for knob in knobs {
            let Some(pressed) = pack.dial(*knob).pressed() else {
                continue;
            };
            let dial = pack.dial_mut(*knob);
            let to = match (pressed, dial.plan()) {
                // There was no limit: four steps, then none again.
                (Amount::At(n), Some(Amount::Unlimited)) if n < 1 << 62 => {
                    Amount::At(n.saturating_mul(4))
                }
                (Amount::At(n), _) => Amount::At(scaled(n, 100, step).saturating_add(1)),
                (Amount::Unlimited, _) => Amount::Unlimited,
            };
            let less = to < dial.adapted() && to < Amount::At(1 << 50);
            dial.press(less.then_some(to));
            got = true;
        }
        if got {
            state.changed(slot);
        }
        any |= got;
    }
    any
}
