//! Memory presses: the ladder (C3).
//!
//! In: memory's level, and what each class has to give. Out: the mildest
//! measure of the lowest class that still has something to give.
//!
//! | level | scavenger | low | normal | critical |
//! |---|---|---|---|---|
//! | low | reclaim | | | |
//! | medium | reclaim | reclaim, once scavengers are dry | | |
//! | high | reclaim, kill | reclaim, once no scavenger lives | | |
//! | critical | kill, reclaim | freeze, kill, reclaim, once no scavenger lives | clamp, once no low one lives | protect |
//!
//! At critical cache is asked for last: the stall that is to end makes that as
//! slow as all else, and an end is one short write.
//!
//! Who holds nothing that only his end would set free is not ended, and does
//! not spare the class above. Lives and use are taken only while the level is
//! what it is held at, not for the while that it is held.

use packrank_core::Priority;
use packrank_core::record::Amount;

use super::level::memory_lacks;
use super::shortage::Mark;
use super::time::percent_of;
use super::{Action, Actions, Deed, Knob, Level, Millis, Node, Resource, Slot, State, Why};
use crate::decide::pack::Killed;

/// Packs asked for cache in one look, so that a look stays short.
const ASKED_AT_ONCE: usize = 4;

/// How long an answer is waited for, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// A clamp, and what everybody waited for before it: hundredths of a percent,
/// added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clamped {
    at: Millis,
    mark: Mark,
    before: u64,
}

/// Takes what the level allows.
pub(super) fn climb(state: &mut State, node: &Node, now: Millis, actions: &mut Actions) {
    let level = state.memory.level();
    if level < Level::High {
        state.proof.restart(&state.shortage, now);
    }
    if level == Level::None {
        state.last_clamp = None;
        return;
    }
    let mut step = Step {
        state,
        node,
        now,
        actions,
        level,
    };
    step.climb();
    // Last: on a large node it takes the kernel long, and nobody shall wait.
    if level >= Level::Medium {
        step.compact();
    }
}

struct Step<'a> {
    state: &'a mut State,
    node: &'a Node,
    now: Millis,
    actions: &'a mut Actions,
    level: Level,
}

impl Step<'_> {
    fn climb(&mut self) {
        // As it was found: who is killed in this look has not given it yet.
        let scavengers = self.state.any_holds(Priority::Scavenger);
        if self.level == Level::Critical && self.state.present != Level::High {
            if self.state.present == Level::Critical {
                self.end(scavengers);
            }
            self.ask(scavengers);
            return;
        }
        let gives = self.ask(scavengers);
        // What high takes is taken while critical is held, too.
        if self.level >= Level::High {
            self.signal();
            if scavengers {
                self.kill(Priority::Scavenger, gives);
            }
        }
    }

    /// Asks for cache, low packs once no scavenger has any or, when it is high
    /// time, lives; whether scavengers, or then low ones, give.
    fn ask(&mut self, scavengers: bool) -> bool {
        let gives = self.reclaim(Priority::Scavenger);
        let next = match self.level {
            Level::None | Level::Low => false,
            Level::Medium => true,
            Level::High | Level::Critical => !scavengers,
        };
        gives || (next && self.reclaim(Priority::Low))
    }

    /// What critical takes: lives, then use.
    fn end(&mut self, scavengers: bool) {
        if scavengers {
            self.kill(Priority::Scavenger, false);
        } else if self.state.any_holds(Priority::Low) {
            self.protect();
            if self.freeze() {
                self.kill(Priority::Low, false);
            }
        } else {
            self.protect();
            self.clamp();
        }
        self.signal();
    }

    fn push(&mut self, slot: Option<Slot>, deed: Deed) -> bool {
        let audit = slot
            .and_then(|s| self.state.pack(s))
            .is_some_and(|p| p.facts.audit);
        let why = Why::Pressure(Resource::Memory, self.level);
        self.actions.push(Action {
            slot,
            deed,
            why,
            audit,
        })
    }

    /// Asks the class for cache; whether it gives, is being asked, or will be
    /// once its figures are new.
    fn reclaim(&mut self, class: Priority) -> bool {
        let now = self.now;
        let least = self.state.config.ladder.reclaim_least;
        let mut gives = false;
        for slot in 0..self.state.classes[class as usize].len() {
            let slot = self.state.classes[class as usize][slot];
            if let Some(pack) = self.state.pack_mut(slot) {
                let late = pack.reclaiming.is_some_and(|at| now.since(at) >= ANSWER_MS);
                if late {
                    pack.reclaiming = None;
                }
                let of_late = pack.asked.is_some_and(|at| now.since(at) < ANSWER_MS);
                let waits = of_late && pack.has_cache(least, now).is_some();
                gives |= pack.reclaiming.is_some() || waits;
            }
        }
        for _ in 0..ASKED_AT_ONCE {
            let Some((slot, amount)) = self.state.to_reclaim(class, now) else {
                break;
            };
            let amount = amount.min(self.state.config.ladder.reclaim_step);
            if !self.push(Some(slot), Deed::Reclaim(amount)) {
                break;
            }
            if let Some(pack) = self.state.pack_mut(slot) {
                pack.reclaiming = Some(now);
                pack.asked = Some(now);
            }
            gives = true;
        }
        gives
    }

    fn compact(&mut self) {
        let every = self.state.config.ladder.compact_every;
        let due = self
            .state
            .compacted
            .is_none_or(|at| self.now.passed(at, every));
        if due && self.push(None, Deed::Compact) {
            self.state.compacted = Some(self.now);
        }
    }

    /// Packs that asked for a signal get it, whatever their class: it takes
    /// nothing.
    fn signal(&mut self) {
        let every = self.state.config.ladder.signal_every;
        for index in 0..self.state.packs.len() {
            let Some(pack) = &self.state.packs[index] else {
                continue;
            };
            let Some(signal) = pack.facts.gc_signal else {
                continue;
            };
            let due = pack.signalled.is_none_or(|at| self.now.passed(at, every));
            if !due || !pack.lives() || pack.frozen {
                continue;
            }
            let slot = Slot(u32::try_from(index).unwrap_or(u32::MAX));
            if self.push(Some(slot), Deed::Signal(signal))
                && let Some(pack) = self.state.pack_mut(slot)
            {
                pack.signalled = Some(self.now);
            }
        }
    }

    /// Kills one of the class, if what was seen since the last kill says that
    /// it takes another. `gives`: there is cache to be had first.
    fn kill(&mut self, class: Priority, gives: bool) {
        let config = &self.state.config.ladder;
        let waited = self
            .now
            .passed(self.state.memory.since(), config.reclaim_time);
        if gives && !waited {
            return;
        }
        if let Some((slot, _)) = self.state.last_kill {
            // One at a time: the last one is to be gone, or given up, first.
            let dying = self
                .state
                .pack(slot)
                .and_then(|p| Some((p.killed?, p.seen)));
            let populated = dying
                .is_some_and(|(killed, seen)| !killed.stuck && seen.is_none_or(|s| s.populated));
            if populated {
                return;
            }
        }
        if !self.proven() {
            return;
        }
        let Some(slot) = self.state.to_kill(class, self.now) else {
            return;
        };
        if self.push(Some(slot), Deed::Kill) {
            if let Some(pack) = self.state.pack_mut(slot) {
                pack.killed = Some(Killed {
                    at: self.now,
                    stuck: false,
                });
            }
            self.state.last_kill = Some((slot, self.now));
            self.state.proof.restart(&self.state.shortage, self.now);
        }
    }

    /// Whether it still presses: by stalls since the last kill, or by memory
    /// in use while somebody waits for it.
    fn proven(&mut self) -> bool {
        let look = self.state.config.ladder.look_again_ms;
        let (node, now) = (self.node, self.now);
        let since_kill = self
            .state
            .last_kill
            .is_none_or(|(_, at)| now.since(at) >= look);
        let short = &self.state.shortage;
        let used = memory_lacks(&self.state.config, node, short, now) >= Level::High;
        let Some(fresh) = self.state.proof.look(short, now, look) else {
            return since_kill && used;
        };
        // Only what is recent counts.
        self.state.proof.restart(&self.state.shortage, now);
        let full = u64::from(self.state.config.memory.full_high) * 100;
        since_kill && (used || fresh.full >= full)
    }

    /// Stops every low pack that holds something; whether all that may be
    /// stopped are.
    fn freeze(&mut self) -> bool {
        let mut all = true;
        for index in 0..self.state.classes[Priority::Low as usize].len() {
            let slot = self.state.classes[Priority::Low as usize][index];
            let Some(pack) = self.state.pack(slot) else {
                continue;
            };
            let tried = pack.clamped.is_some_and(|at| !self.now.passed(at, 5));
            if !self.state.may_end(pack, self.now) || pack.frozen || tried {
                continue;
            }
            if !self.push(Some(slot), Deed::Freeze) {
                all = false;
                break;
            }
            if let Some(pack) = self.state.pack_mut(slot) {
                pack.frozen = true;
                pack.thawing = None;
                pack.clamped = Some(self.now);
            }
            self.state.changed(slot);
        }
        all
    }

    /// Lowers `memory.high` of the normal pack that has most to give: its cache,
    /// or, where it has none, its further growth. Not of one that waits at its
    /// own limit already, and not again when the clamp before made everybody
    /// together wait more than they did.
    fn clamp(&mut self) {
        let (now, every) = (self.now, self.state.config.ladder.clamp_every);
        let short = &self.state.shortage;
        let (before, mark) = (short.all_fresh, short.mark());
        let worse = |last: &Clamped| {
            let since = short.all_since(last.mark, now.since(last.at));
            !now.passed(last.at, every) || since.is_none_or(|since| since > last.before)
        };
        if self.state.last_clamp.as_ref().is_some_and(worse) {
            return;
        }
        let least = self.state.config.ladder.reclaim_least;
        let gain = |pack: &super::Pack| {
            let high = pack.dial(Knob::MemoryHigh);
            let due = pack.clamped.is_none_or(|at| now.passed(at, every));
            let above = pack.memory()?.checked_sub(high.press_floor)?;
            let has = pack.reclaimable() >= least || pack.growth > 0;
            let free = pack.lives() && due && high.can_give() && !pack.waits_for_itself(now);
            (free && has && above > 0).then_some(above)
        };
        let Some((slot, _)) = self.state.most(Priority::Normal, gain) else {
            return;
        };
        let step = self.state.config.ladder.clamp_step.min(100);
        if let Some(pack) = self.state.pack_mut(slot) {
            let used = pack.memory().unwrap_or(0);
            let given = percent_of(step, used).min(pack.reclaimable());
            let high = pack.dial_mut(Knob::MemoryHigh);
            let to = Amount::At(used.saturating_sub(given).max(high.press_floor));
            high.press(Some(to.min(high.target())));
            pack.clamped = Some(now);
            self.state.changed(slot);
            self.state.last_clamp = Some(Clamped {
                at: now,
                mark,
                before,
            });
        }
    }

    /// Raises the guarantee of critical packs to what they use.
    fn protect(&mut self) {
        for index in 0..self.state.classes[Priority::Critical as usize].len() {
            let slot = self.state.classes[Priority::Critical as usize][index];
            let Some(pack) = self.state.pack_mut(slot) else {
                continue;
            };
            let limit = pack.dial(Knob::MemoryLimit).adapted();
            let used = pack.working_set().map(|n| Amount::At(n).min(limit));
            let dial = pack.dial(Knob::Guarantee);
            let Some(used) = used.filter(|_| dial.free()) else {
                continue;
            };
            // A twentieth more is worth a write.
            let now = dial.target().number().unwrap_or(u64::MAX);
            if used > Amount::At(percent_of(105, now)) {
                pack.dial_mut(Knob::Guarantee).press(Some(used));
                self.state.changed(slot);
                self.state.protection_due = true;
            }
        }
    }
}
