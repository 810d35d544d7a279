//! A guarantee is worth what the cgroups above it have (C7).
//!
//! In: packs' guarantees and use, and the cgroups above them. Out: for each
//! cgroup above, protection of the sum of what the packs under it use of their
//! guarantees, or what it had before if that is more; and what it had before,
//! once nothing is left under it.
//!
//! Never more than is used: cgroup2 is mounted with memory_recursiveprot, by
//! which what nobody below claims protects everybody below. Never more than
//! the cgroup's own limit, or than the node has beside a reserve: what cannot
//! be reclaimed hangs a node.

use packrank_core::record::GuaranteeFile;

use super::time::percent_of;
use super::{Above, Action, Actions, Deed, Knob, Millis, Node, Outcome, State, Why};

/// One cgroup above packs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ancestor {
    above: Option<Above>,
    /// memory.min and memory.low before the watcher came, or as somebody else
    /// has written them since.
    original: (u64, u64),
    /// Its memory.max.
    limit: u64,
    wanted: (u64, u64),
    wrote: (u64, u64),
    packs: u32,
    writing: bool,
    retry: Millis,
}

/// Milliseconds before a refused write is tried again.
const RETRY_MS: u64 = 30_000;

/// A change of less than this, and of less than a twentieth, is not worth a
/// write.
const STEP: u64 = 4 << 20;

/// Percent of the node's memory that is kept out of protection, so that there
/// is always something to reclaim.
const RESERVE: u64 = 10;

impl Ancestor {
    /// Whether what it should have is worth a write.
    fn differs(&self) -> bool {
        let far = |a: u64, b: u64| a.abs_diff(b) > STEP.max(b / 20);
        let pairs = [
            (self.wanted.0, self.wrote.0, self.original.0),
            (self.wanted.1, self.wrote.1, self.original.1),
        ];
        // What it had before is given back to the byte.
        let differs = |(wanted, wrote, original): (u64, u64, u64)| {
            wanted != wrote && (wanted == original || far(wanted, wrote))
        };
        pairs.into_iter().any(differs)
    }
}

impl State {
    /// A cgroup above packs, with the protection it had before the watcher
    /// came, the one it has, and its limit. Ancestors are made top first.
    pub fn add_above(
        &mut self,
        above: Option<Above>,
        original: (u64, u64),
        now_has: (u64, u64),
        limit: u64,
    ) -> Above {
        let ancestor = Ancestor {
            above,
            original,
            limit,
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

    /// What a cgroup above packs was found to have, and its limit. `before`:
    /// that is not what somebody else wrote, but an older word of the
    /// watcher's own, as a systemd that is reloaded writes it again. Whether
    /// somebody else wrote it.
    pub fn found_above(&mut self, above: Above, has: (u64, u64), before: bool, limit: u64) -> bool {
        let Some(Some(ancestor)) = self.ancestors.get_mut(above.0 as usize) else {
            return false;
        };
        ancestor.limit = limit;
        let pages = |(min, low): (u64, u64)| (min / PAGE, low / PAGE);
        if pages(has) == pages(ancestor.wrote) {
            return false;
        }
        let others = !before && pages(has) != pages(ancestor.original);
        if others {
            ancestor.original = has;
        }
        ancestor.wrote = has;
        self.protection_due = true;
        others
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

/// The kernel keeps whole pages.
const PAGE: u64 = 4096;

/// Writes what has to change.
pub(super) fn raise(state: &mut State, node: &Node, now: Millis, actions: &mut Actions) {
    let every = state.config.adaptive.every;
    let due = state.protected_at.is_none_or(|at| now.passed(at, every));
    if !state.protection_due && !due {
        return;
    }
    state.protection_due = false;
    state.protected_at = Some(now);
    let total = node.memory_total.unwrap_or(u64::MAX);
    let most = total - percent_of(RESERVE, total);
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
        let bytes = bytes.min(pack.memory().unwrap_or(0));
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
        let most = most.min(ancestor.limit);
        let wanted = (ancestor.wanted.0.min(most), ancestor.wanted.1.min(most));
        ancestor.wanted = (wanted.0.max(min), wanted.1.max(low));
        if !ancestor.differs() {
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
