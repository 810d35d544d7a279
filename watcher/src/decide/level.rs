//! How hard a resource presses.
//!
//! In: stalls and use, look by look. Out: a [`Level`] that rises at once and
//! falls only after it has been lower for a while.

use super::shortage::{Fresh, Shortage};
use super::{Millis, Node, Pack, Stall, time::scaled};
use crate::config::Config;
use packrank_core::Priority;

/// What presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Memory.
    Memory,
    /// CPU time.
    Cpu,
    /// Disks.
    Io,
}

impl Resource {
    /// As events and metrics name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::Cpu => "cpu",
            Resource::Io => "io",
        }
    }
}

/// How hard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not at all.
    #[default]
    None,
    /// Take what nobody misses.
    Low,
    /// Take what somebody misses.
    Medium,
    /// End the lowest.
    High,
    /// Save the highest.
    Critical,
}

impl Level {
    /// As events and metrics name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }
}

const STEPS: [Level; 4] = [Level::Low, Level::Medium, Level::High, Level::Critical];

/// The highest level whose threshold `value` reaches.
fn reached(value: u64, thresholds: &[u32; 4], unit: u64) -> Level {
    let steps = STEPS.into_iter().zip(thresholds);
    let held = steps.filter(|(_, t)| value >= u64::from(**t) * unit);
    held.map(|(level, _)| level).max().unwrap_or_default()
}

/// Hundredths of a percent in one percent: what pressure files print.
const HUNDREDTHS: u64 = 100;

/// Memory's level as it is now: from what is waited for, and from use. Use
/// alone is no shortage: it goes above medium, where packs are ended, only
/// while somebody waits for the node's memory.
pub(super) fn memory_now(config: &Config, node: &Node, short: &Shortage, now: Millis) -> Level {
    let levels = &config.memory;
    let Fresh { some, full } = short.fresh;
    let at = |value: u64, threshold: u32| value >= u64::from(threshold) * HUNDREDTHS;
    let stalls = match () {
        () if at(full, levels.full_critical) => Level::Critical,
        () if at(full, levels.full_high) => Level::High,
        () if at(some, levels.some_medium) => Level::Medium,
        () if at(some, levels.some_low) => Level::Low,
        () => Level::None,
    };
    let cache = memory_used(config, node, 0).min(Level::Medium);
    stalls
        .max(cache)
        .max(memory_lacks(config, node, short, now))
}

/// Memory's level by use while somebody waits for it, which knows no lag. What
/// can be swapped out is not used up.
pub(super) fn memory_lacks(config: &Config, node: &Node, short: &Shortage, now: Millis) -> Level {
    let some = u64::from(config.memory.some_low) * HUNDREDTHS;
    match short.presses(node, some, now) {
        true => memory_used(config, node, node.swap_free.unwrap_or(0)),
        false => Level::None,
    }
}

fn memory_used(config: &Config, node: &Node, beside: u64) -> Level {
    match (node.memory_total, node.memory_available) {
        (Some(total @ 1..), Some(available)) => {
            let left = available.saturating_add(beside);
            let used = scaled(total.saturating_sub(left), 1_000, total);
            reached(used, &config.memory.used, 10)
        }
        _ => Level::None,
    }
}

/// The level of CPU or I/O: how long some task waits, on the node and, where
/// that is known, in the packs that are to be spared: `packs`, without those
/// that their own limit holds back. Such a pack waits for nobody else, and the
/// node counts its waiting all the same: without somebody to spare there is no
/// pressure, or a squeezed pack would keep itself squeezed.
pub(super) fn waiting<'a>(
    thresholds: &[u32; 4],
    node: Option<Stall>,
    packs: impl Iterator<Item = (&'a Pack, Option<u32>)>,
) -> Level {
    let node = node.map_or(Level::None, |s| {
        reached(u64::from(s.avg10), thresholds, HUNDREDTHS)
    });
    if node == Level::None {
        return node;
    }
    let spared = packs.filter(|(pack, _)| pack.facts.class > Priority::Low);
    let levels = spared.map(|(_, wait)| match wait {
        Some(wait) => node.min(reached(u64::from(wait), thresholds, HUNDREDTHS)),
        // This kernel does not tell of one pack.
        None => node,
    });
    levels.max().unwrap_or_default()
}

/// A level with memory: it rises at once, and falls after `hold` seconds below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauge {
    level: Level,
    since: Millis,
    below: Option<(Millis, Level)>,
}

impl Gauge {
    /// The level that counts.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.since
    }

    pub(super) fn update(&mut self, seen: Level, now: Millis, hold: u64) {
        if seen >= self.level {
            if seen > self.level {
                self.since = now;
            }
            self.level = seen;
            self.below = None;
            return;
        }
        let (from, highest) = self.below.get_or_insert((now, seen));
        *highest = seen.max(*highest);
        if now.passed(*from, hold) {
            self.level = *highest;
            self.since = now;
            self.below = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_or_use_whichever_says_more() {
        for (some, full, used, level) in [
            (9, 0, 79, Level::None),
            (10, 0, 0, Level::Low),
            (25, 9, 0, Level::Medium),
            (10, 10, 0, Level::High),
            (99, 25, 0, Level::Critical),
            (0, 0, 80, Level::Low),
            (10, 0, 87, Level::Medium),
            (10, 0, 92, Level::High),
            (10, 0, 97, Level::Critical),
            (9, 0, 99, Level::Medium),
        ] {
            let node = Node {
                memory_total: Some(100),
                memory_available: Some(100 - used),
                memory_some: Some(Stall::default()),
                memory_full: Some(Stall::default()),
                ..Node::default()
            };
            let mut short = Shortage::default();
            short.fresh = Fresh {
                some: some * 100,
                full: full * 100,
            };
            let level_of =
                |node: &Node| memory_now(&Config::default(), node, &short, Millis::at(0));
            assert_eq!(
                level_of(&node),
                level,
                "some {some} full {full} used {used}"
            );
            let swap = Node {
                swap_free: Some(50),
                ..node
            };
            assert!(level_of(&swap) <= level.min(Level::Medium).max(level_of(&Node::default())));
        }
    }

    #[test]
    fn a_level_rises_at_once_and_falls_after_thirty_seconds_to_the_highest_seen() {
        let mut gauge = Gauge::default();
        gauge.update(Level::High, Millis::at(0), 30);
        assert_eq!(gauge.level(), Level::High);
        gauge.update(Level::None, Millis::at(1_000), 30);
        gauge.update(Level::Low, Millis::at(20_000), 30);
        gauge.update(Level::None, Millis::at(30_999), 30);
        assert_eq!(gauge.level(), Level::High);
        gauge.update(Level::None, Millis::at(31_000), 30);
        assert_eq!(gauge.level(), Level::Low);
        gauge.update(Level::Low, Millis::at(40_000), 30);
        gauge.update(Level::None, Millis::at(50_000), 30);
        gauge.update(Level::Low, Millis::at(70_000), 30);
        gauge.update(Level::None, Millis::at(81_000), 30);
        assert_eq!(gauge.level(), Level::Low, "it was low ten seconds ago");
    }
}
