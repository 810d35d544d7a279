//! What is known of one pack.
//!
//! In: its record and its deeds, then look by look its figures. Out: a
//! [`Pack`] that the parts of `decide` read and change.

use packrank_core::Priority;
use packrank_core::key::Key;
use packrank_core::record::{Amount, Deeds, GuaranteeFile, Mode, OnViolation, Record, Taken};

use super::forecast::Forecasts;
use super::shortage::Weighed;
use super::slim::Slim;
use super::time::percent_of;
use super::violation::Broken;
use super::{Above, Dial, Knob, Millis};
use crate::config::Config;

/// What does not change while the pack runs.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its class.
    pub class: Priority,
    /// Decide and record only.
    pub audit: bool,
    /// Whether its limits may follow its use.
    pub adaptive: bool,
    /// Whether it wants to be restarted at its memory limit.
    pub restart: bool,
    /// Whether it may be swapped out.
    pub swaps: bool,
    /// The signal that asks it to give memory back.
    pub gc_signal: Option<u8>,
    /// Which file carries its guarantee.
    pub guarantee_file: GuaranteeFile,
    /// The cgroup above it.
    pub above: Option<Above>,
    /// Breaks ties the same way in every run: a hash of its id.
    pub tie: u64,
}

/// One pack.
#[derive(Debug)]
pub struct Pack {
    /// What does not change.
    pub facts: Facts,
    /// Its values, by [`Knob`].
    pub(super) dials: [Dial; Knob::COUNT],
    pub(super) seen: Option<Slim>,
    /// The figures five seconds ago, to tell rates from.
    pub(super) measured: Option<Slim>,
    pub(super) forecasts: Forecasts,
    pub(super) broken: Broken,
    pub(super) frozen: bool,
    pub(super) killed: Option<Killed>,
    /// Its own CPU quota held it back of late.
    pub(super) held_back: bool,
    /// So did one of its I/O limits.
    pub(super) io_held_back: bool,
    /// From when on it is no longer starting.
    pub(super) started: Millis,
    pub(super) weighed: Weighed,
    /// Bytes a second that its working set grew, of late; shrinking is 0.
    pub(super) growth: u64,
    pub(super) dry_until: Millis,
    pub(super) reclaiming: Option<Millis>,
    pub(super) thawing: Option<Millis>,
    /// When it was last asked for cache: figures before that are old.
    pub(super) asked: Option<Millis>,
    pub(super) signalled: Option<Millis>,
    pub(super) clamped: Option<Millis>,
    pub(super) unsaved: bool,
    /// A value may not be what the kernel has: nobody else need be looked at.
    pub(super) touched: bool,
    /// When that was last looked at, pressure held one of its values.
    pub(super) pressed: bool,
}

/// A kill that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Killed {
    pub at: Millis,
    /// The kernel refused, or the processes will not go.
    pub stuck: bool,
}

impl Pack {
    pub(super) fn new(
        config: &Config,
        record: &Record,
        deeds: &Deeds,
        above: Option<Above>,
        now: Millis,
    ) -> Pack {
        let facts = Facts {
            class: record.priority,
            audit: record.mode == Mode::Audit,
            adaptive: record.options.adaptive,
            restart: record.options.on_violation == OnViolation::Restart,
            swaps: record.amount(Key::MemorySwap) != Some(Amount::At(0)),
            gc_signal: record.options.gc_signal,
            guarantee_file: record.guarantee_file,
            above,
            tie: tie(&record.id),
        };
        let mut dials = [Dial::default(); Knob::COUNT];
        for knob in Knob::ALL {
            let taken = deeds.taken.get(knob.key().name());
            dials[knob as usize] = dial(config, record, knob, taken, now);
            if deeds.damaged {
                dials[knob as usize].believe(None);
            }
        }
        Pack {
            facts,
            dials,
            seen: None,
            measured: None,
            forecasts: Forecasts::default(),
            broken: Broken::default(),
            // To thaw one that is not frozen does nothing.
            frozen: deeds.frozen || deeds.damaged,
            killed: deeds.killed.as_ref().map(|_| Killed {
                at: now,
                stuck: false,
            }),
            held_back: false,
            io_held_back: false,
            started: now,
            weighed: Weighed::default(),
            growth: 0,
            dry_until: Millis::at(0),
            reclaiming: None,
            thawing: None,
            asked: None,
            signalled: None,
            clamped: None,
            unsaved: false,
            touched: true,
            pressed: true,
        }
    }

    /// Whether anything that pressure took is still to be given back. Asked of
    /// every pack in every look: its values are gone through only where they
    /// may have changed.
    pub(super) fn holds(&self) -> bool {
        let pressed = || self.dials.iter().any(|dial| dial.pressed().is_some());
        self.frozen || (self.touched && pressed()) || (!self.touched && self.pressed)
    }

    /// Its values.
    #[must_use]
    pub fn dial(&self, knob: Knob) -> &Dial {
        &self.dials[knob as usize]
    }

    pub(super) fn dial_mut(&mut self, knob: Knob) -> &mut Dial {
        self.touched = true;
        &mut self.dials[knob as usize]
    }

    /// Whether the watcher froze it.
    #[must_use]
    pub fn frozen(&self) -> bool {
        self.frozen
    }

    /// Whether it was killed and may still be going.
    #[must_use]
    pub fn dying(&self) -> bool {
        self.killed.is_some()
    }

    /// What is expected of it, and how good that was.
    #[must_use]
    pub fn forecasts(&self) -> &Forecasts {
        &self.forecasts
    }

    /// What it uses of what a knob limits, in the knob's base unit.
    #[must_use]
    pub fn uses(&self, knob: Knob) -> Option<u64> {
        self.rate(knob)
    }

    /// Whether it can be taken from at all: it lives, is not dying, and may be
    /// touched.
    pub(super) fn lives(&self) -> bool {
        self.killed.is_none() && self.seen.is_none_or(|s| s.populated)
    }

    /// Bytes the kernel is to leave it.
    pub(super) fn guarantee(&self) -> u64 {
        self.dial(Knob::Guarantee)
            .plan()
            .and_then(Amount::number)
            .unwrap_or(0)
    }

    /// Bytes charged to it, as last seen.
    pub(super) fn memory(&self) -> Option<u64> {
        self.seen?.memory()
    }

    /// Bytes of memory it needs, which only its end sets free: what is charged
    /// less what can be had back.
    pub(super) fn working_set(&self) -> Option<u64> {
        self.seen?.working_set()
    }

    /// Whether its end would set at least so much free. What is not known may
    /// be much.
    pub(super) fn holds_at_least(&self, bytes: u64) -> bool {
        self.lives() && self.working_set().is_none_or(|held| held >= bytes)
    }

    /// Its values that are not the plan's.
    pub fn taken(&self) -> impl Iterator<Item = (Knob, Taken)> {
        let taken = |knob| Some((knob, self.dial(knob).taken()?));
        Knob::ALL.into_iter().filter_map(taken)
    }

    /// Writes what was done to it into `deeds`, and takes out what is undone.
    pub(super) fn tell(&self, deeds: &mut Deeds) {
        deeds.frozen = self.frozen;
        let taken = self.taken();
        deeds.taken = taken
            .map(|(knob, taken)| (knob.key().name().to_owned(), taken))
            .collect();
    }
}

/// A knob as the record and the deeds have it.
fn dial(config: &Config, record: &Record, knob: Knob, taken: Option<&Taken>, now: Millis) -> Dial {
    let key = knob.key();
    let Some(plan) = record.amount(key) else {
        return Dial::default();
    };
    // memory.max only ever grows by itself.
    let percent = match knob {
        Knob::MemoryLimit => 100,
        _ => config.adaptive.floor.min(100),
    };
    let share = |percent: u64| plan.number().map_or(0, |n| percent_of(percent, n));
    let own_floor = record.floor.amount(key).and_then(Amount::number);
    let guaranteed = match knob {
        Knob::MemoryHigh | Knob::MemoryLimit => {
            let guarantee = record.amount(Key::MemoryGuarantee);
            guarantee.and_then(Amount::number).unwrap_or(0)
        }
        _ => 0,
    };
    let least = match knob {
        // The kernel takes no quota below 1 ms in a period of 100 ms.
        Knob::CpuQuota => 1_000,
        _ => 1,
    };
    let within = |n: u64| {
        let n = n.max(guaranteed).max(least);
        plan.number().map_or(n, |most| n.min(most))
    };
    let ceiling = record.ceiling.amount(key).map_or(plan, |c| c.max(plan));
    // The class's memory.high slows what memory.max ends anyway. Held there for
    // long, a pack neither works nor ends: it may grow up to its limit, as long
    // as the node has room. One that a person wrote is left alone.
    let by_class = || record.origins.get(key.name()).map(String::as_str) == Some("class");
    let ceiling = match knob {
        Knob::MemoryHigh if by_class() => record
            .amount(Key::MemoryLimit)
            .map_or(ceiling, |limit| limit.max(ceiling)),
        _ => ceiling,
    };
    let mut dial = Dial::planned(plan, ceiling, now);
    dial.floor = within(own_floor.unwrap_or_else(|| share(percent)));
    dial.press_floor = within(own_floor.unwrap_or_else(|| share(config.squeeze.floor.min(100))));
    dial.pinned = record.pinned.amount(key).is_some();
    dial.raises = knob == Knob::Guarantee;
    if let Some(taken) = taken.filter(|_| !dial.pinned) {
        dial.adapt(taken.adapted.map_or(Amount::Unlimited, Amount::At));
        dial.press(taken.pressed.map(Amount::At));
        dial.believe(None);
        dial.keep_inside();
    }
    dial
}

/// FNV-1a, 64 bits.
fn tie(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
