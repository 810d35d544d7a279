//! What must be true after every step.

use std::collections::{BTreeMap, VecDeque};

use packrank_core::Priority;
use packrank_core::record::{Amount, Mode};
use packrank_watcher::decide::{
    Action, Deed, Knob, Level, Observation, Resource, Sample, Slot, State, Why,
};

use crate::gain::{Clamp, LEAST, gains, held};
use crate::node::{Container, World};

/// What is remembered of the actions so far, independently of the watcher.
#[derive(Default)]
pub struct Checker {
    asked: BTreeMap<Slot, u64>,
    killed: BTreeMap<Slot, u64>,
    frozen_at: BTreeMap<Slot, u64>,
    last_kill: Option<u64>,
    pressed: BTreeMap<(Slot, Knob), Amount>,
    changes: BTreeMap<(Slot, Knob), Vec<u64>>,
    /// What was pressed before this watcher came is not its doing.
    primed: bool,
    /// Times, and what packs had waited for memory by then.
    pub suffered: VecDeque<(u64, u64)>,
    pub clamp: Option<Clamp>,
}

/// Milliseconds for which a pack that was just killed does not count.
const DYING: u64 = 30_000;

/// Writes to one value in an hour of whatever load: pressure may take a step
/// every five seconds for a while, and give it back.
const MOST_CHANGES: usize = 400;

pub struct Step<'a> {
    pub world: &'a World,
    pub state: &'a State,
    pub seen: &'a Observation<'a>,
    pub actions: &'a [Action],
}

impl Checker {
    pub fn forget(&mut self, slot: Slot) {
        self.asked.remove(&slot);
        self.killed.remove(&slot);
        self.frozen_at.remove(&slot);
        self.pressed.retain(|(s, _), _| *s != slot);
        self.changes.retain(|(s, _), _| *s != slot);
    }

    pub fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let now = step.world.now;
        if step.state.level(Resource::Memory) == Level::None {
            self.clamp = None;
        }
        self.suffered
            .retain(|(at, _)| now.saturating_sub(*at) <= 1_000);
        for action in step.actions {
            let Some(slot) = action.slot else { continue };
            let of = |c: &&Container| c.slot == slot;
            let Some(pack) = step.world.containers.iter().find(of) else {
                return Err(format!("acts on an empty slot: {action:?}"));
            };
            self.one(step, action, pack)
                .map_err(|e| format!("{e}: {action:?} on {} ({})", pack.record.id, pack.class()))?;
        }
        for action in step.actions {
            let Some(slot) = action.slot else { continue };
            match action.deed {
                Deed::Reclaim(_) => drop(self.asked.insert(slot, step.world.now)),
                Deed::Kill => drop(self.killed.insert(slot, step.world.now)),
                _ => {}
            }
        }
        let squeezes = self.squeezes(step);
        self.suffered.push_back((now, step.world.suffered));
        squeezes
    }

    fn one(&mut self, step: &Step<'_>, action: &Action, pack: &Container) -> Result<(), String> {
        let now = step.world.now;
        if (pack.record.mode == Mode::Audit) != action.audit {
            return Err("audit is not as the record says".into());
        }
        let class = pack.class();
        let pressed = matches!(action.why, Why::Pressure(Resource::Memory, _));
        match action.deed {
            Deed::Kill if pressed => {
                gains(step, pack)?;
                self.starts(step, pack)?;
                self.lower_live(step, class)?;
                if class > Priority::Low {
                    return Err("killed a class that is never killed".into());
                }
                if self.last_kill.is_some_and(|at| now - at < 1_000) {
                    return Err("killed twice without looking again".into());
                }
                self.last_kill = Some(now);
                if step.state.level(Resource::Memory) < Level::High {
                    return Err("killed below level high".into());
                }
            }
            Deed::Freeze => {
                gains(step, pack)?;
                self.starts(step, pack)?;
                self.lower_live(step, class)?;
                if class != Priority::Low {
                    return Err("froze another class than low".into());
                }
                if self
                    .frozen_at
                    .insert(pack.slot, now)
                    .is_some_and(|at| now - at < 5_000)
                {
                    return Err("froze again at once".into());
                }
            }
            Deed::Reclaim(bytes) => {
                let seen = sample(step.seen, pack.slot);
                let memory = seen.and_then(|s| s.memory).unwrap_or(0);
                let guarantee = number(pack, Knob::Guarantee);
                if memory.saturating_sub(bytes) < guarantee {
                    return Err("reclaims below the guarantee".into());
                }
                if pressed && class == Priority::Low {
                    self.scavengers_dry(step)?;
                }
            }
            Deed::Set { knob, from, to } => {
                // Of what is not known it cannot be known that it is taken from.
                self.set(step, pack, knob, to, pressed && from.is_some())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set(
        &mut self,
        step: &Step<'_>,
        pack: &Container,
        knob: Knob,
        to: Amount,
        pressed: bool,
    ) -> Result<(), String> {
        let record = &pack.record;
        let Some(plan) = record.amount(knob.key()) else {
            return Err("sets a value that the record has not".into());
        };
        if record.pinned.amount(knob.key()).is_some() {
            return Err("changes a pinned value".into());
        }
        let ceiling = record.ceiling.amount(knob.key()).unwrap_or(plan).max(plan);
        if knob != Knob::Guarantee && to > ceiling {
            return Err("above its ceiling".into());
        }
        let own = record.floor.amount(knob.key()).unwrap_or(Amount::At(0));
        if to < own.min(plan) {
            return Err("below its floor".into());
        }
        if matches!(knob, Knob::MemoryHigh) && to < Amount::At(number(pack, Knob::Guarantee)) {
            return Err("below its guarantee".into());
        }
        if matches!(knob, Knob::MemoryLimit | Knob::Guarantee) && to < plan {
            return Err("lowers what only grows".into());
        }
        let lowers = pack.values[knob as usize].is_some_and(|now| to < now);
        if pressed && lowers && pack.class() > Priority::Normal {
            return Err("takes from a class that is spared".into());
        }
        let times = self.changes.entry((pack.slot, knob)).or_default();
        times.push(step.world.now);
        times.retain(|at| step.world.now - at < 3_600_000);
        if times.len() > MOST_CHANGES {
            return Err(format!("changed {} times in an hour", times.len()));
        }
        Ok(())
    }

    pub fn dying(&self, slot: Slot, now: u64) -> bool {
        let killed = self.killed.get(&slot);
        killed.is_some_and(|at| now - at <= DYING)
    }

    /// No pack of a lower class lives that holds something and was not killed
    /// just now.
    fn lower_live(&self, step: &Step<'_>, class: Priority) -> Result<(), String> {
        let now = step.world.now;
        for pack in step.world.containers.iter().filter(|c| c.class() < class) {
            let seen = sample(step.seen, pack.slot);
            let alive = seen.is_none_or(|s| s.populated && held(s).is_none_or(|n| n >= LEAST));
            if alive && !self.dying(pack.slot, now) {
                return Err(format!(
                    "{} ({}) still has its life",
                    pack.record.id,
                    pack.class()
                ));
            }
        }
        Ok(())
    }

    fn scavengers_dry(&self, step: &Step<'_>) -> Result<(), String> {
        let now = step.world.now;
        for pack in &step.world.containers {
            let Some(seen) = sample(step.seen, pack.slot) else {
                continue;
            };
            let asked = self
                .asked
                .get(&pack.slot)
                .is_some_and(|at| now - at <= 14_000);
            let dying = self
                .killed
                .get(&pack.slot)
                .is_some_and(|at| now - at <= DYING);
            let above = seen
                .memory
                .unwrap_or(0)
                .saturating_sub(number(pack, Knob::Guarantee));
            let has = seen.populated && seen.cache.unwrap_or(0).min(above) >= 2 << 20;
            if pack.class() == Priority::Scavenger && has && !asked && !dying {
                return Err(format!("{} still has cache", pack.record.id));
            }
        }
        Ok(())
    }

    fn scavengers_at_floor(&self, step: &Step<'_>, knob: Knob) -> Result<(), String> {
        for pack in step
            .world
            .containers
            .iter()
            .filter(|c| c.class() == Priority::Scavenger)
        {
            let Some(state) = step.state.pack(pack.slot) else {
                continue;
            };
            let dial = state.dial(knob);
            let alive = sample(step.seen, pack.slot).is_none_or(|s| s.populated);
            let dying = self
                .killed
                .get(&pack.slot)
                .is_some_and(|at| step.world.now - at <= DYING);
            let floor = dial.press_floor;
            let uses = (!matches!(knob, Knob::CpuQuota | Knob::ReadBps))
                || step.state.pack(pack.slot).and_then(|p| p.uses(knob)) > Some(floor);
            if alive
                && !dying
                && uses
                && dial.plan().is_some_and(|p| p != Amount::Unlimited)
                && dial.can_give()
            {
                return Err(format!("{} can still give", pack.record.id));
            }
        }
        Ok(())
    }

    /// Low is squeezed only when every scavenger is at its floor, and clamped
    /// is only normal, when nothing below lives.
    fn squeezes(&mut self, step: &Step<'_>) -> Result<(), String> {
        let before = std::mem::take(&mut self.pressed);
        let primed = std::mem::replace(&mut self.primed, true);
        for pack in &step.world.containers {
            let Some(state) = step.state.pack(pack.slot) else {
                continue;
            };
            for knob in [Knob::CpuQuota, Knob::ReadBps, Knob::MemoryHigh] {
                let Some(pressed) = state.dial(knob).pressed() else {
                    continue;
                };
                self.pressed.insert((pack.slot, knob), pressed);
                let less = before
                    .get(&(pack.slot, knob))
                    .map_or(primed, |b| pressed < *b);
                let fair = match (knob, pack.class()) {
                    _ if !less => Ok(()),
                    (Knob::MemoryHigh, Priority::Normal) => self
                        .lower_live(step, Priority::Normal)
                        .and_then(|()| self.clamped(step, pack)),
                    (_, Priority::Scavenger) if knob != Knob::MemoryHigh => Ok(()),
                    (_, Priority::Low) if knob != Knob::MemoryHigh => {
                        self.scavengers_at_floor(step, knob)
                    }
                    _ => Err("is not a class to press".into()),
                };
                fair.map_err(|e| format!("presses {knob:?} of {}: {e}", pack.record.id))?;
            }
        }
        Ok(())
    }
}

pub fn sample(seen: &Observation<'_>, slot: Slot) -> Option<Sample> {
    seen.packs.get(slot.0 as usize).copied().flatten()
}

fn number(pack: &Container, knob: Knob) -> u64 {
    pack.record
        .amount(knob.key())
        .and_then(Amount::number)
        .unwrap_or(0)
}

/// After calm, nothing is held, and the kernel has what it should.
/// `now`: by the watcher's own clock.
pub fn given_back(world: &World, state: &State, now: u64) -> Result<(), String> {
    for pack in world.containers.iter().filter(|c| c.alive) {
        let Some(known) = state.pack(pack.slot) else {
            continue;
        };
        if pack.frozen || known.frozen() {
            return Err(format!("{} is still frozen", pack.record.id));
        }
        for knob in Knob::ALL {
            let dial = known.dial(knob);
            if dial.plan().is_none() || dial.pinned {
                continue;
            }
            if dial.pressed().is_some() {
                return Err(format!("{}: {knob:?} is still pressed", pack.record.id));
            }
            // What has just changed by itself may still wait for its write.
            let settled = now - dial.changed.number() > 120_000 || dial.changed.number() == 0;
            let kernel = pack.values[knob as usize];
            if settled && kernel != Some(dial.adapted()) && !known.facts.audit {
                return Err(format!(
                    "{}: the kernel's {knob:?} is another",
                    pack.record.id
                ));
            }
        }
    }
    Ok(())
}
