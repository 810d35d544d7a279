//! Everything that is remembered between two looks.
//!
//! In: packs that join and leave, observations, outcomes. Out: a [`State`].

use packrank_core::Priority;
use packrank_core::record::{Amount, Deeds, Record};

use super::ladder::Clamped;
use super::level::{memory_now, waiting};
use super::protection::Ancestor;
use super::shortage::{Shortage, Window};
use super::slim::Slim;
use super::squeeze::Squeezer;
use super::{Above, Action, Deed, Gauge, Knob, Level, Millis, Observation, Outcome, Pack};
use super::{Resource, Sample, Slot};
use crate::config::Config;

/// What is remembered.
#[derive(Debug)]
pub struct State {
    pub(super) config: Config,
    pub(super) packs: Vec<Option<Pack>>,
    /// Slots by class, so that a class is walked without the others.
    pub(super) classes: [Vec<Slot>; Priority::ALL.len()],
    free: Vec<Slot>,
    pub(super) memory: Gauge,
    pub(super) cpu: Gauge,
    pub(super) io: Gauge,
    pub(super) shortage: Shortage,
    /// Memory's level as it is, which the gauge holds for a while.
    pub(super) present: Level,
    /// Stalls since the last kill.
    pub(super) proof: Window,
    pub(super) last_clamp: Option<Clamped>,
    pub(super) last_kill: Option<(Slot, Millis)>,
    pub(super) compacted: Option<Millis>,
    pub(super) given_back: Option<Millis>,
    pub(super) cpu_squeezer: Squeezer,
    pub(super) io_squeezer: Squeezer,
    pub(super) ancestors: Vec<Option<Ancestor>>,
    pub(super) protection_due: bool,
    /// When that was last compared with what packs use.
    pub(super) protected_at: Option<Millis>,
    pub(super) paused: bool,
    /// When this look began, something taken was still to be given back.
    pub(super) held: bool,
    any_unsaved: bool,
}

impl State {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(config: Config) -> State {
        State {
            config,
            packs: Vec::new(),
            classes: Default::default(),
            free: Vec::new(),
            memory: Gauge::default(),
            cpu: Gauge::default(),
            io: Gauge::default(),
            shortage: Shortage::default(),
            present: Level::None,
            proof: Window::default(),
            last_clamp: None,
            last_kill: None,
            compacted: None,
            given_back: None,
            cpu_squeezer: Squeezer::default(),
            io_squeezer: Squeezer::default(),
            ancestors: Vec::new(),
            protection_due: false,
            protected_at: None,
            paused: false,
            held: false,
            any_unsaved: false,
        }
    }

    /// A pack registered, or is found again with what was done to it. `age`: the
    /// milliseconds since its first process started.
    pub fn join(
        &mut self,
        record: &Record,
        deeds: &Deeds,
        above: Option<Above>,
        age: u64,
        now: Millis,
    ) -> Slot {
        let mut pack = Pack::new(&self.config, record, deeds, above, now);
        let starting = self.config.ladder.starting.saturating_mul(1_000);
        pack.started = now.plus(starting.saturating_sub(age));
        let class = pack.facts.class as usize;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.packs.push(None);
            Slot(u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX))
        });
        self.packs[slot.0 as usize] = Some(pack);
        self.classes[class].push(slot);
        self.protection_due = true;
        slot
    }

    /// Bytes that packs hold and that may be swapped out.
    pub(super) fn swappable(&self, seen: &[Option<Sample>]) -> u64 {
        let packs = self.packs.iter().zip(seen);
        let held = packs.filter_map(|(pack, sample)| {
            let sample = sample.filter(|_| pack.as_ref().is_some_and(|pack| pack.facts.swaps))?;
            Some(sample.memory?.saturating_sub(sample.cache.unwrap_or(0)))
        });
        held.fold(0, u64::saturating_add)
    }

    /// A pack left.
    pub fn leave(&mut self, slot: Slot) {
        if let Some(pack) = self.packs.get_mut(slot.0 as usize).and_then(Option::take) {
            self.classes[pack.facts.class as usize].retain(|s| *s != slot);
            self.free.push(slot);
            self.shortage.lose(&pack);
            self.protection_due = true;
        }
    }

    /// Its record changed while it runs: new values, what was done to it kept.
    pub fn rejoin(&mut self, slot: Slot, record: &Record, above: Option<Above>, now: Millis) {
        let Some(old) = self.packs.get_mut(slot.0 as usize).and_then(Option::take) else {
            return;
        };
        let mut deeds = Deeds::default();
        old.tell(&mut deeds);
        let mut pack = Pack::new(&self.config, record, &deeds, above, now);
        for knob in Knob::ALL {
            // A value whose plan changed is no longer what use made of it.
            let (new, before) = (&mut pack.dials[knob as usize], &old.dials[knob as usize]);
            if new.plan() != before.plan() {
                new.adapt(new.plan().unwrap_or_default());
            }
            let same = new.target() == before.target();
            new.believe(before.wrote().filter(|_| same));
        }
        pack.killed = old.killed;
        pack.started = old.started;
        pack.weighed = old.weighed;
        pack.forecasts = old.forecasts;
        pack.broken = old.broken;
        self.classes[old.facts.class as usize].retain(|s| *s != slot);
        self.classes[pack.facts.class as usize].push(slot);
        pack.unsaved = true;
        self.any_unsaved = true;
        self.packs[slot.0 as usize] = Some(pack);
        self.protection_due = true;
    }

    /// The pack in a slot.
    #[must_use]
    pub fn pack(&self, slot: Slot) -> Option<&Pack> {
        self.packs.get(slot.0 as usize)?.as_ref()
    }

    pub(super) fn pack_mut(&mut self, slot: Slot) -> Option<&mut Pack> {
        self.packs.get_mut(slot.0 as usize)?.as_mut()
    }

    /// How hard a resource presses.
    #[must_use]
    pub fn level(&self, resource: Resource) -> Level {
        match resource {
            Resource::Memory => self.memory.level(),
            Resource::Cpu => self.cpu.level(),
            Resource::Io => self.io.level(),
        }
    }

    /// Whether anything presses, so that looks should come fast.
    #[must_use]
    pub fn alert(&self) -> bool {
        self.memory.level() > Level::None
    }

    /// Whether every pack's stalls are wanted with the next look.
    #[must_use]
    pub fn weighs(&self, now: Millis) -> bool {
        self.shortage.due(now)
    }

    /// Whether something taken is still to be given back, or being done.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.packs.iter().flatten().any(Pack::holds)
    }

    /// Stops acting, or goes on.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether it stopped acting.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// What a pack has now, for whoever asks.
    #[must_use]
    pub fn value(&self, slot: Slot, knob: Knob) -> Option<Amount> {
        let dial = self.pack(slot)?.dial(knob);
        dial.plan().map(|_| dial.target())
    }

    /// Calls `save` for each pack whose deeds changed. To be called, and the
    /// deeds written, before the actions are carried out.
    pub fn unsaved(&mut self, mut save: impl FnMut(Slot, &Pack)) {
        if !std::mem::take(&mut self.any_unsaved) {
            return;
        }
        for (slot, pack) in (0..).map(Slot).zip(&mut self.packs) {
            if let Some(pack) = pack
                && std::mem::take(&mut pack.unsaved)
            {
                save(slot, pack);
            }
        }
    }

    /// What was done to a pack, to be remembered over a restart.
    pub fn deeds(&self, slot: Slot, deeds: &mut Deeds) {
        if let Some(pack) = self.pack(slot) {
            pack.tell(deeds);
        }
    }

    /// Marks a pack's deeds as changed.
    pub(super) fn changed(&mut self, slot: Slot) {
        self.any_unsaved = true;
        if let Some(pack) = self.pack_mut(slot) {
            pack.unsaved = true;
        }
    }

    /// The kernel was found to have another value than it was told.
    pub fn drifted(&mut self, slot: Slot, knob: Knob) {
        if let Some(pack) = self.pack_mut(slot) {
            pack.dial_mut(knob).believe(None);
        }
    }

    /// What came of an action.
    pub fn answer(&mut self, action: &Action, outcome: Outcome, now: Millis) {
        if let Deed::Protect { above, min, low } = action.deed {
            self.protected(above, (min, low), outcome, now);
            return;
        }
        let Some(slot) = action.slot else { return };
        let dry = self.config.ladder.dry.saturating_mul(1_000);
        let least = self.config.ladder.reclaim_least;
        let Some(pack) = self.pack_mut(slot) else {
            return;
        };
        let done = matches!(outcome, Outcome::Done | Outcome::Freed(_));
        match action.deed {
            Deed::Set { knob, to, .. } => pack.dial_mut(knob).answered(to, done, now),
            Deed::Reclaim(asked) => {
                pack.reclaiming = None;
                let enough = (asked / 4).min(least);
                let enough = matches!(outcome, Outcome::Freed(n) if n >= enough);
                if !enough {
                    pack.dry_until = now.plus(dry);
                }
            }
            Deed::Freeze if !done => pack.frozen = false,
            Deed::Thaw => {
                pack.thawing = None;
                if done || outcome == Outcome::Gone {
                    pack.frozen = false;
                }
            }
            Deed::Kill if outcome == Outcome::Refused => {
                if let Some(killed) = &mut pack.killed {
                    killed.stuck = true;
                }
            }
            _ => return,
        }
        let undone = |pack: &Pack, knob| pack.dial(knob).taken().is_none();
        let settled = match action.deed {
            Deed::Set { knob, .. } => self.pack(slot).is_some_and(|p| undone(p, knob)),
            Deed::Freeze | Deed::Thaw => true,
            _ => false,
        };
        if settled {
            self.changed(slot);
        }
    }

    /// Takes in what was seen: figures, levels, who is gone.
    pub(super) fn look(&mut self, seen: &Observation<'_>, now: Millis) {
        let dying = self.config.ladder.dying;
        self.held = false;
        for (pack, sample) in self.packs.iter_mut().zip(seen.packs) {
            let Some(pack) = pack else { continue };
            pack.seen = sample.as_ref().map(Slim::from);
            self.held |= pack.holds();
            if let Some(killed) = &mut pack.killed {
                let populated = sample.is_none_or(|s| s.populated);
                if populated && now.passed(killed.at, dying) {
                    killed.stuck = true;
                }
                // It may be tried again; until then it has nothing to give.
                if populated && now.passed(killed.at, dying.saturating_mul(6)) {
                    pack.killed = None;
                    pack.unsaved = true;
                    self.any_unsaved = true;
                }
            }
        }
        self.shortage.look(&seen.node, &mut self.packs, now);
        let hold = self.config.hold;
        self.present = memory_now(&self.config, &seen.node, &self.shortage, now);
        self.memory.update(self.present, now, hold);
        let packs = || self.packs.iter().flatten();
        let wait = |p: &Pack| p.seen.and_then(|s| s.cpu_wait());
        let cpu = waiting(
            &self.config.cpu.some,
            seen.node.cpu_some,
            packs().filter(|p| !p.held_back).map(|p| (p, wait(p))),
        );
        let wait = |p: &Pack| p.seen.and_then(|s| s.io_wait());
        // What a pack reads again and again at its own memory limit it waits
        // for by its own doing.
        let itself = |p: &&Pack| p.io_held_back || p.waits_for_itself(now);
        let io = waiting(
            &self.config.io.some,
            seen.node.io_some,
            packs().filter(|p| !itself(p)).map(|p| (p, wait(p))),
        );
        self.cpu.update(cpu, now, hold);
        self.io.update(io, now, hold);
    }
}
