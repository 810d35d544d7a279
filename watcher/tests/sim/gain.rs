//! Nobody gives what the node does not gain.

use packrank_watcher::decide::Sample;

use crate::check::{Checker, Step, sample};
use crate::node::Container;

/// Milliseconds after the node was last short in which it may still be acted
/// on: a window of stalls, and a look.
const OF_LATE: u64 = 3_000;

/// A pack that holds less is not worth its end; and how long it starts, in
/// milliseconds.
pub const LEAST: u64 = 4 << 20;
const STARTING: u64 = 5_000;

/// A clamp, and what there was to suffer just before it.
#[derive(Debug)]
pub struct Clamp {
    at: u64,
    suffered: u64,
    before: u64,
    /// The one before it made more stalls than it took away.
    worse: bool,
}

impl Checker {
    /// It is not starting while one of its class lives that is not.
    pub fn starts(&self, step: &Step<'_>, pack: &Container) -> Result<(), String> {
        let now = step.world.now;
        let starts = |c: &Container| now - c.born < STARTING;
        let settled = |c: &&Container| {
            let seen = sample(step.seen, c.slot).is_none_or(|s| s.populated);
            c.class() == pack.class() && seen && !starts(c) && !self.dying(c.slot, now)
        };
        let other = step.world.containers.iter().find(settled);
        match other.filter(|_| starts(pack)) {
            Some(other) => Err(format!("it starts, and {} lives", other.record.id)),
            None => Ok(()),
        }
    }

    /// A clamp made more stalls than it took away: once is a try.
    pub fn clamped(&mut self, step: &Step<'_>, pack: &Container) -> Result<(), String> {
        let (now, suffered) = (step.world.now, step.world.suffered);
        gains_node(step)?;
        let rate = |(at, before): (u64, u64)| (suffered - before) / (now - at).max(1);
        // The watcher has a window of its own within the last second.
        let marks = self.suffered.iter();
        let before = marks.map(|mark| rate(*mark)).max().unwrap_or(0);
        let worse = self.clamp.as_ref().is_some_and(|last| {
            let since = rate((last.at, last.suffered));
            // A tenth of one pack's time is noise.
            since > last.before + 100
        });
        let twice = worse && self.clamp.as_ref().is_some_and(|last| last.worse);
        let last = self.clamp.take();
        self.clamp = Some(Clamp {
            at: now,
            suffered,
            before,
            worse,
        });
        match twice {
            true => Err(format!(
                "clamps {} although it makes stalls: before {before}, {:?} at {now}",
                pack.record.id, last
            )),
            false => Ok(()),
        }
    }
}

/// The node is short, or was a moment ago.
fn gains_node(step: &Step<'_>) -> Result<(), String> {
    let now = step.world.now;
    match step.world.short_at.is_some_and(|at| now - at <= OF_LATE) {
        true => Ok(()),
        false => Err("the node is not short of memory".into()),
    }
}

/// The node would be better for its end.
pub fn gains(step: &Step<'_>, pack: &Container) -> Result<(), String> {
    let held = sample(step.seen, pack.slot).and_then(held);
    if held.is_some_and(|held| held < LEAST) {
        return Err(format!("it holds {held:?} bytes"));
    }
    gains_node(step)
}

/// What only its end sets free, as far as that is known.
pub fn held(seen: Sample) -> Option<u64> {
    Some(seen.memory?.saturating_sub(seen.cache.unwrap_or(0)))
}
