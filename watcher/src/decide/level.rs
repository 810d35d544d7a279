//! How hard a resource presses.
//!
//! In: stalls and use, look by look. Out: a [`Level`] that rises at once and
//! falls only after it has been lower for a while.

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

/// Memory's level as it is now, from the ten-second averages, from the stalls
/// since the last look, and from use.
pub(super) fn memory_now(config: &Config, node: &Node, fresh: Fresh) -> Level {
    let levels = &config.memory;
    let avg = |stall: Option<Stall>| stall.map_or(0, |s| u64::from(s.avg10));
    let some = avg(node.memory_some).max(fresh.some);
    let full = avg(node.memory_full).max(fresh.full);
    let at = |value: u64, threshold: u32| value >= u64::from(threshold) * HUNDREDTHS;
    let stalls = match () {
        () if at(full, levels.full_critical) => Level::Critical,
        () if at(full, levels.full_high) => Level::High,
        () if at(some, levels.some_medium) => Level::Medium,
        () if at(some, levels.some_low) => Level::Low,
        () => Level::None,
    };
    stalls
        .max(memory_used(config, node))
        .max(node.memory_trigger)
}

/// Memory's level by use alone, which knows no lag.
pub(super) fn memory_used(config: &Config, node: &Node) -> Level {
    match (node.memory_total, node.memory_available) {
        (Some(total @ 1..), Some(available)) => {
            let used = scaled(total.saturating_sub(available), 1_000, total);
            reached(used, &config.memory.used, 10)
        }
        _ => Level::None,
    }
}

/// The level of CPU or I/O: how long some task waits, on the node and, where
/// that is known, in the packs that are to be spared. A pack that its own
/// quota holds back waits for nobody else, and the node counts its waiting all
/// the same: without somebody to spare there is no pressure, or a squeezed
/// pack would keep itself squeezed.
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
    let spared = packs.filter(|(pack, _)| pack.facts.class > Priority::Low && !pack.held_back);
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

/// Stalls since a moment, in hundredths of a percent of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fresh {
    pub some: u64,
    pub full: u64,
}

/// The share of time stalled since a moment, from the running totals: the
/// ten-second average still shows what a kill has already cured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    start: Option<(Millis, u64, u64)>,
}

impl Window {
    pub fn restart(&mut self, node: &Node, now: Millis) {
        self.start = totals(node).map(|(some, full)| (now, some, full));
    }

    /// The shares, once the window is `least` milliseconds long.
    pub fn look(&mut self, node: &Node, now: Millis, least: u64) -> Option<Fresh> {
        let Some((start, some, full)) = self.start else {
            self.restart(node, now);
            return None;
        };
        let long = now.since(start);
        if long < least.max(1) {
            return None;
        }
        let (some_now, full_now) = totals(node)?;
        // Microseconds in milliseconds: a tenth of a percent is one; times ten.
        let share = |total: u64, before: u64| scaled(total.saturating_sub(before), 10, long);
        Some(Fresh {
            some: share(some_now, some),
            full: share(full_now, full),
        })
    }
}

fn totals(node: &Node) -> Option<(u64, u64)> {
    Some((node.memory_some?.total, node.memory_full?.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(some: u32, full: u32, used: u64) -> Node {
        let stall = |percent| {
            Some(Stall {
                avg10: percent * 100,
                total: 0,
            })
        };
        Node {
            memory_total: Some(100),
            memory_available: Some(100 - used),
            memory_some: stall(some),
            memory_full: stall(full),
            ..Node::default()
        }
    }

    #[test]
    fn stalls_or_use_whichever_says_more() {
        for (some, full, used, level) in [
            (9, 0, 79, Level::None),
            (10, 0, 0, Level::Low),
            (25, 9, 0, Level::Medium),
            (0, 10, 0, Level::High),
            (99, 25, 0, Level::Critical),
            (0, 0, 80, Level::Low),
            (10, 0, 87, Level::Medium),
            (0, 0, 92, Level::High),
            (0, 0, 97, Level::Critical),
        ] {
            let got = memory_now(
                &Config::default(),
                &node(some, full, used),
                Fresh::default(),
            );
            assert_eq!(got, level, "some {some} full {full} used {used}");
        }
        assert_eq!(
            memory_now(&Config::default(), &Node::default(), Fresh::default()),
            Level::None
        );
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

    #[test]
    fn fresh_stalls_are_a_share_of_the_time_since() {
        let at = |total| Node {
            memory_some: Some(Stall { avg10: 0, total }),
            memory_full: Some(Stall { avg10: 0, total }),
            ..Node::default()
        };
        let mut window = Window::default();
        assert_eq!(window.look(&at(1_000), Millis::at(0), 500), None);
        assert_eq!(window.look(&at(2_000), Millis::at(499), 500), None);
        let fresh = window.look(&at(126_000), Millis::at(500), 500).unwrap();
        assert_eq!(fresh.full, 2_500, "125 ms of 500 is 25 %");
    }
}
