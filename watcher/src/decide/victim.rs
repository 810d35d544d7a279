//! Who gives.
//!
//! In: a class, and what each of its packs has to give. Out: the one that
//! frees most and grew fastest: what only its end sets free, not its clean
//! cache, which can be had without. Equals are told apart by their ids, so
//! that equal nodes choose equally.

use packrank_core::Priority;

use super::{Millis, Pack, Slot, State};

/// Between two times that one pack is asked for cache, in milliseconds: its
/// figures come more often.
const ASK_AGAIN_MS: u64 = 200;

/// Seconds of growth that weigh as much as what is held.
const GROWTH_SECONDS: u64 = 10;

impl State {
    /// Whether any pack of the class holds what its end would set free.
    pub(super) fn any_holds(&self, class: Priority) -> bool {
        let least = self.config.ladder.kill_least;
        self.of_class(class)
            .any(|(_, pack)| pack.holds_at_least(least))
    }

    /// Whether a pack may be stopped or ended now: it holds something, and it
    /// is not starting while one of its class lives that is not. Amid its
    /// engine's create and start its end is an error that nobody understands.
    pub(super) fn may_end(&self, pack: &Pack, now: Millis) -> bool {
        let starts = |pack: &Pack| now < pack.started;
        let settled = || {
            let mut class = self.of_class(pack.facts.class);
            class.any(|(_, other)| other.lives() && !starts(other))
        };
        pack.holds_at_least(self.config.ladder.kill_least) && !(starts(pack) && settled())
    }

    pub(super) fn of_class(&self, class: Priority) -> impl Iterator<Item = (Slot, &Pack)> {
        let slots = self.classes[class as usize].iter();
        slots.filter_map(|slot| Some((*slot, self.pack(*slot)?)))
    }

    /// The pack of the class for which `gain` is largest.
    pub(super) fn most(
        &self,
        class: Priority,
        gain: impl Fn(&Pack) -> Option<u64>,
    ) -> Option<(Slot, u64)> {
        self.of_class(class)
            .filter_map(|(slot, pack)| Some((gain(pack)?, pack.facts.tie, slot)))
            .max()
            .map(|(gain, _, slot)| (slot, gain))
    }

    /// Who is killed next.
    pub(super) fn to_kill(&self, class: Priority, now: Millis) -> Option<Slot> {
        let gain = |pack: &Pack| {
            let growth = pack.growth.saturating_mul(GROWTH_SECONDS);
            let held = pack.working_set().unwrap_or(0);
            self.may_end(pack, now)
                .then_some(held.saturating_add(growth))
        };
        self.most(class, gain).map(|(slot, _)| slot)
    }

    /// Who is asked for cache next, and how much it has. A pack that is being
    /// asked, gave nothing of late or has not been looked at since is not.
    pub(super) fn to_reclaim(&self, class: Priority, now: Millis) -> Option<(Slot, u64)> {
        self.most(class, |pack| {
            let ready = pack.reclaiming.is_none() && !pack.asked_of_late(now);
            let gives = pack.has_cache(self.config.ladder.reclaim_least, now)?;
            ready.then_some(gives)
        })
    }
}

impl Pack {
    /// What it was asked for has not been looked at since, or just now.
    pub(super) fn asked_of_late(&self, now: Millis) -> bool {
        self.asked.is_some_and(|at| {
            now.since(at) < ASK_AGAIN_MS || self.seen.is_none_or(|seen| seen.at <= at)
        })
    }

    /// What it has to give, as last seen; `None` if that is less than `least`,
    /// or it gave nothing of late.
    pub(super) fn has_cache(&self, least: u64, now: Millis) -> Option<u64> {
        let gives = self.reclaimable();
        (self.lives() && now >= self.dry_until && gives >= least).then_some(gives)
    }

    /// Bytes that can be had back without going below its guarantee.
    pub(super) fn reclaimable(&self) -> u64 {
        let Some(seen) = self.seen else { return 0 };
        let above = seen.memory().unwrap_or(0).saturating_sub(self.guarantee());
        seen.cache().unwrap_or(0).min(above)
    }
}
