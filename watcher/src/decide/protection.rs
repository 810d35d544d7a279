//! A guarantee is worth what the cgroups above it have (C7).
//!
//! In: packs' guarantees and the cgroups above them. Out: for each cgroup
//! above, protection of the sum of what lies under it, or what it had before
//! if that is more; and what it had before, once nothing is left under it.

use packrank_core::record::GuaranteeFile;

use super::{Above, Action, Actions, Deed, Knob, Millis, Outcome, State, Why};

/// One cgroup above packs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ancestor {
    above: Option<Above>,
    /// memory.min and memory.low before the watcher came.
    original: (u64, u64),
    wanted: (u64, u64),
    wrote: (u64, u64),
    packs: u32,
    writing: bool,
    retry: Millis,
}

/// Milliseconds before a refused write is tried again.
const RETRY_MS: u64 = 30_000;

impl State {
    /// A cgroup above packs, with the protection it had before the watcher
    /// came and the one it has. Ancestors are made top first.
    pub fn add_above(
        &mut self,
        above: Option<Above>,
        original: (u64, u64),
        now_has: (u64, u64),
    ) -> Above {
        let ancestor = Ancestor {
            above,
            original,
            wanted: now_has,
            wrote: now_has,
            packs: 0,
            writing: false,
            retry: Millis::at(0),
        };
        self.protection_due = true;
        let free = self.ancestors.iter().position(Option::is_none);
        let index = free.unwrap_or(self.ancestors.len());
        match free {
            Some(index) => self.ancestors[index] = Some(ancestor),
            None => self.ancestors.push(Some(ancestor)),
        }
        Above(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Forgets the cgroups above that have nothing under them and what they
    /// had before; calls `gone` for each.
    pub fn forget_above(&mut self, mut gone: impl FnMut(Above)) {
        for (index, entry) in (0..).zip(&mut self.ancestors) {
            if entry.is_some_and(|a| a.packs == 0 && a.wrote == a.original && !a.writing) {
                *entry = None;
                gone(Above(index));
            }
        }
    }

    pub(super) fn protected(
        &mut self,
        above: Above,
        to: (u64, u64),
        outcome: Outcome,
        now: Millis,
    ) {
        let Some(Some(ancestor)) = self.ancestors.get_mut(above.0 as usize) else {
            return;
        };
        ancestor.writing = false;
        match outcome {
            Outcome::Done | Outcome::Freed(_) => ancestor.wrote = to,
            // Gone with all that was under it: nothing to give back.
            Outcome::Gone => ancestor.wrote = ancestor.original,
            Outcome::Refused => {
                ancestor.retry = now.plus(RETRY_MS);
                self.protection_due = true;
            }
        }
    }
}

/// Writes what has to change.
pub(super) fn raise(state: &mut State, now: Millis, actions: &mut Actions) {
    if !state.protection_due {
        return;
    }
    state.protection_due = false;
    for ancestor in state.ancestors.iter_mut().flatten() {
        ancestor.wanted = (0, 0);
        ancestor.packs = 0;
    }
    for pack in state.packs.iter().flatten() {
        let dial = pack.dial(Knob::Guarantee);
        let bytes = dial
            .plan()
            .map_or(0, |_| dial.target().number().unwrap_or(0));
        // What is only decided and recorded protects nothing.
        let bytes = if pack.facts.audit { 0 } else { bytes };
        let mut at = pack.facts.above;
        while let Some(above) = at {
            let Some(Some(ancestor)) = state.ancestors.get_mut(above.0 as usize) else {
                break;
            };
            let sum = match pack.facts.guarantee_file {
                GuaranteeFile::Min => &mut ancestor.wanted.0,
                GuaranteeFile::Low => &mut ancestor.wanted.1,
            };
            *sum = sum.saturating_add(bytes);
            ancestor.packs += 1;
            at = ancestor.above;
        }
    }
    for (index, entry) in (0..).zip(&mut state.ancestors) {
        let Some(ancestor) = entry else { continue };
        let (min, low) = ancestor.original;
        ancestor.wanted = (ancestor.wanted.0.max(min), ancestor.wanted.1.max(low));
        if ancestor.wanted == ancestor.wrote {
            continue;
        }
        let (min, low) = ancestor.wanted;
        let deed = Deed::Protect {
            above: Above(index),
            min,
            low,
        };
        let action = Action {
            slot: None,
            deed,
            why: Why::Guarantee,
            audit: false,
        };
        let wait = ancestor.writing || now < ancestor.retry;
        if wait || !actions.push(action) {
            state.protection_due = true;
        } else {
            ancestor.writing = true;
        }
    }
}
