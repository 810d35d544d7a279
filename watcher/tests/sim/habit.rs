//! What containers do.

use packrank_watcher::decide::Knob;

use crate::node::{Container, MIB, die};
use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Habit {
    Steady,
    Grows,
    Leaks,
    Bursts,
    Idles,
    Caches,
    /// Holds what its `memory.high` allows and maps more for ever.
    Stalls,
    /// Reads a file larger than its limit, again and again.
    Thrashes,
    /// Reads files as fast as it can and needs none of them again.
    Hoards,
    /// More processes than any machine has CPUs, each with its stacks and
    /// tables.
    Forks,
    /// Does one of the others for some seconds, then another, by this seed.
    Attacks(u64),
}

impl Habit {
    const USUAL: [Habit; 6] = [
        Habit::Steady,
        Habit::Grows,
        Habit::Leaks,
        Habit::Bursts,
        Habit::Idles,
        Habit::Caches,
    ];

    const UNKIND: [Habit; 4] = [Habit::Stalls, Habit::Thrashes, Habit::Hoards, Habit::Forks];

    pub fn any(rng: &mut Rng) -> Habit {
        match rng.chance(25) {
            true => Habit::UNKIND[rng.between(0, 3) as usize],
            false => Habit::usual(rng),
        }
    }

    pub fn usual(rng: &mut Rng) -> Habit {
        Habit::USUAL[rng.between(0, 5) as usize]
    }

    /// What it does now.
    fn now(self, ms: u64) -> Habit {
        let Habit::Attacks(seed) = self else {
            return self;
        };
        let mut rng = Rng(seed.wrapping_add(ms / 3_000));
        match rng.between(0, 9) {
            at @ 0..=3 => Habit::UNKIND[at as usize],
            at => Habit::USUAL[at as usize - 4],
        }
    }
}

pub fn live(c: &mut Container, rng: &mut Rng, now: u64, ms: u64, squeezed: bool, calm: bool) {
    let age = now - c.born;
    let habit = c.habit.now(age);
    let (most, high) = (c.value(Knob::MemoryLimit), c.value(Knob::MemoryHigh));
    let wish = match habit {
        _ if calm => 4 * MIB,
        Habit::Steady | Habit::Caches => c.base,
        Habit::Grows => c.base + age * 2 * MIB / 10_000,
        Habit::Leaks => c.base + age * MIB / 5_000,
        Habit::Bursts if age / 60_000 % 3 == 2 => c.base * 2,
        Habit::Bursts => c.base,
        Habit::Idles | Habit::Thrashes | Habit::Hoards => c.base / 4,
        Habit::Stalls => high.min(most) + MIB,
        Habit::Forks => c.base + age % 4_000 * 10 * MIB / 1_000,
        Habit::Attacks(_) => c.base,
    };
    let step = (20 * MIB * ms / 1_000).max(1);
    // Over memory.high its growth is slowed, under pressure everybody's is.
    let over = c.charged() >= high;
    let slow = if over { 10 } else { 1 };
    let slow = slow * if squeezed { 4 } else { 1 };
    c.own = false;
    if over && c.anon < wish {
        c.at_high += 1;
        c.own = c.cache < MIB;
    }
    match c.anon.cmp(&wish) {
        std::cmp::Ordering::Less => c.anon += (step / slow).min(wish - c.anon),
        _ => c.anon -= step.min(c.anon - wish),
    }
    let cache_wish = match habit {
        Habit::Caches if !calm => most / 2,
        Habit::Thrashes | Habit::Hoards if !calm => most + MIB,
        _ => MIB,
    };
    let step = if habit == Habit::Hoards {
        step * 10
    } else {
        step
    };
    if c.cache < cache_wish && (!squeezed || habit == Habit::Hoards) {
        c.cache += step.min(cache_wish - c.cache);
    }
    // Its cache goes first, and comes again at once where it reads on.
    let room = most.min(high).saturating_sub(c.anon);
    if c.cache > room {
        match high < most {
            true => c.at_high += 1,
            false => c.at_limit += 1,
        }
        c.cache = room;
        c.own |= habit == Habit::Thrashes;
    }
    if c.anon >= most {
        c.at_limit += 1;
        c.anon = most;
        if rng.chance(5) {
            die(c);
        }
    }
    if habit == Habit::Forks && !calm {
        c.cpu_wish = 10_000_000;
    }
    if calm {
        c.cpu_wish = 1_000;
        c.io_wish = 0;
    }
}
