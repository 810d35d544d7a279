//! What each pack does, from two looks at its running totals.
//!
//! In: samples some seconds apart. Out: rates, growth, forecasts; then the
//! limits that follow use, and broken bounds.

use packrank_core::record::Amount;

use super::time::scaled;
use super::{Actions, Knob, Millis, Node, Pack, Slot, State, adapt, violation};

/// The limits of I/O.
const IO: [Knob; 4] = [
    Knob::ReadBps,
    Knob::WriteBps,
    Knob::ReadIops,
    Knob::WriteIops,
];

/// Use of an I/O limit, in percent, from which it holds a pack back.
const FULL: u64 = 95;

/// Looks at every pack whose figures are new and old enough apart.
pub(super) fn packs(state: &mut State, node: &Node, now: Millis, actions: &mut Actions) {
    let every = state.config.adaptive.every;
    let mut room = adapt::Room::of(state, node);
    for index in 0..state.packs.len() {
        let slot = Slot(u32::try_from(index).unwrap_or(u32::MAX));
        let Some(pack) = &mut state.packs[index] else {
            continue;
        };
        let Some(seen) = pack.seen else { continue };
        let Some(before) = pack.measured else {
            pack.measured = Some(seen);
            continue;
        };
        if !seen.at.passed(before.at, every) {
            continue;
        }
        pack.measure(&state.config);
        violation::check(&state.config, pack, slot, (now, state.paused), actions);
        if !state.paused && adapt::follow(&state.config, pack, slot, &mut room, now, actions) {
            state.changed(slot);
        }
        if let Some(pack) = state.pack_mut(slot) {
            pack.measured = Some(seen);
        }
    }
}

impl Pack {
    /// Growth, forecasts, and whether its quota holds it back.
    fn measure(&mut self, config: &crate::Config) {
        let (Some(before), Some(seen)) = (self.measured, self.seen) else {
            return;
        };
        let span = seen.at.since(before.at);
        if let (Some(m0), Some(m1)) = (before.working_set(), seen.working_set()) {
            self.growth = scaled(m1.saturating_sub(m0), 1_000, span);
        }
        let steps = config.adaptive.horizon / config.adaptive.every.max(1);
        let percentile = config.adaptive.need_percentile;
        if let Some(used) = self.working_set() {
            let ahead = u32::try_from(steps.max(1)).unwrap_or(u32::MAX);
            self.forecasts.memory.add(used, ahead);
            self.forecasts.memory_need.add(used, percentile);
        }
        if let Some(used) = self.rate(Knob::CpuQuota) {
            self.forecasts.cpu_need.add(used, percentile);
        }
        if let (Some(t0), Some(t1)) = (before.cpu_throttled(), seen.cpu_throttled()) {
            // A twentieth of the time: less is the quota's own rhythm.
            self.held_back = t1.saturating_sub(t0) > span * 1_000 / 20;
        }
        self.io_held_back = IO.into_iter().any(|knob| {
            let most = self.dial(knob).wrote().and_then(Amount::number);
            let rate = self.rate(knob).zip(most);
            rate.is_some_and(|(rate, most)| scaled(rate, 100, most) >= FULL)
        });
    }

    /// What it uses of what a knob limits, in the knob's base unit.
    pub(super) fn rate(&self, knob: Knob) -> Option<u64> {
        let (before, seen) = (self.measured?, self.seen?);
        let span = seen.at.since(before.at);
        // `per_second` of a running total.
        let rate = |t0: Option<u64>, t1: Option<u64>, unit: u64| {
            Some(scaled(t1?.saturating_sub(t0?), unit, span.max(1)))
        };
        let io = |at: usize| rate(before.io(at), seen.io(at), 1_000);
        let net = |at: usize| rate(before.network(at), seen.network(at), 8_000);
        if span == 0 && !matches!(knob, Knob::MemoryHigh | Knob::MemoryLimit | Knob::Guarantee) {
            return None;
        }
        match knob {
            Knob::MemoryHigh | Knob::MemoryLimit | Knob::Guarantee => self.working_set(),
            // Microseconds in milliseconds: 1000 of each is 100 % is 100 000.
            Knob::CpuQuota => rate(before.cpu_used(), seen.cpu_used(), 100),
            Knob::ReadBps => io(0),
            Knob::WriteBps => io(1),
            Knob::ReadIops => io(2),
            Knob::WriteIops => io(3),
            Knob::Egress => net(0),
            Knob::Ingress => net(1),
        }
    }
}
