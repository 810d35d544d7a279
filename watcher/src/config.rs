//! Every threshold of the watcher.
//!
//! In: the policy's `[watch]` table. Out: a [`Config`]; what the table does
//! not name has the default. Percentages are whole percent, times seconds
//! unless the name says milliseconds.

mod load;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use load::ConfigError;

/// The `[watch]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// A level is left only after so many seconds below it.
    pub hold: u64,
    /// When memory presses.
    pub memory: MemoryLevels,
    /// When the CPUs press: percent of time in which some task waits.
    pub cpu: StallLevels,
    /// When the disks press, likewise.
    pub io: StallLevels,
    /// What is done about memory.
    pub ladder: Ladder,
    /// What is done about CPU and I/O.
    pub squeeze: Squeeze,
    /// Limits that follow use.
    pub adaptive: Adaptive,
    /// When a pack is said to break its bounds.
    pub violation: Violation,
    /// Seconds after the last pack until the watcher ends.
    pub linger: u64,
    /// Seconds between two rows of the node's history, of which 720 are kept.
    pub history: u64,
    /// Where on the loopback metrics are served beside the socket.
    pub metrics: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            hold: 30,
            memory: MemoryLevels::default(),
            cpu: StallLevels::default(),
            io: StallLevels::default(),
            ladder: Ladder::default(),
            squeeze: Squeeze::default(),
            adaptive: Adaptive::default(),
            violation: Violation::default(),
            linger: 60,
            history: 30,
            metrics: None,
        }
    }
}

/// Memory levels: from stalls for the node's memory or from use, whichever
/// says more; use alone says at most medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MemoryLevels {
    /// Percent of the time in which some task waits (PSI `some`) from which the
    /// level is low.
    pub some_low: u32,
    /// The same, from which it is medium.
    pub some_medium: u32,
    /// Percent of the time in which every task waits (PSI `full`) from which it
    /// is high.
    pub full_high: u32,
    /// The same, from which it is critical.
    pub full_critical: u32,
    /// Memory in use (what is not available) from which the level is low,
    /// medium, high and critical.
    pub used: [u32; 4],
}

impl Default for MemoryLevels {
    fn default() -> Self {
        MemoryLevels {
            some_low: 10,
            some_medium: 25,
            full_high: 10,
            full_critical: 25,
            used: [80, 87, 92, 97],
        }
    }
}

/// Levels of a resource whose only sign is waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StallLevels {
    /// `some avg10` from which the level is low, medium, high and critical.
    pub some: [u32; 4],
}

impl Default for StallLevels {
    fn default() -> Self {
        // Above what a busy healthy node shows (measured: 5 to 15 % while a
        // build runs on every CPU), below where latency doubles.
        StallLevels {
            some: [20, 40, 60, 80],
        }
    }
}

/// Taking memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ladder {
    /// Bytes asked of one pack at a time.
    pub reclaim_step: u64,
    /// A pack with less than this to reclaim has nothing to give.
    pub reclaim_least: u64,
    /// Seconds for which a pack that gave nothing is not asked again.
    pub dry: u64,
    /// Seconds that reclaim gets at level high before the first kill.
    pub reclaim_time: u64,
    /// Milliseconds of pressure seen after a kill before the next.
    pub look_again_ms: u64,
    /// A pack with less than this that only its end would set free is not ended.
    pub kill_least: u64,
    /// Seconds after it registered for which a pack counts as starting: an
    /// engine's create and start take a tenth of a second on an idle node and
    /// a few seconds on a pressed one.
    pub starting: u64,
    /// Seconds a killed pack may take to go before it no longer counts.
    pub dying: u64,
    /// Seconds between two signals to the same pack.
    pub signal_every: u64,
    /// Seconds between two compactions of memory.
    pub compact_every: u64,
    /// Seconds between two clamps of the same pack.
    pub clamp_every: u64,
    /// What a clamp takes of what a pack uses, in percent.
    pub clamp_step: u64,
    /// Seconds between two steps of giving back.
    pub give_back_every: u64,
}

impl Default for Ladder {
    fn default() -> Self {
        Ladder {
            reclaim_step: 32 << 20,
            reclaim_least: 1 << 20,
            dry: 10,
            reclaim_time: 2,
            look_again_ms: 1_000,
            kill_least: 4 << 20,
            starting: 5,
            dying: 5,
            signal_every: 30,
            compact_every: 60,
            clamp_every: 5,
            clamp_step: 10,
            give_back_every: 5,
        }
    }
}

/// Taking CPU time and I/O.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Squeeze {
    /// What one step leaves, in percent.
    pub step: u64,
    /// What is always left, in percent of the plan's value, where the record
    /// has no floor.
    pub floor: u64,
    /// Seconds between two steps down.
    pub down_every: u64,
    /// Seconds between two steps up.
    pub up_every: u64,
}

impl Default for Squeeze {
    fn default() -> Self {
        Squeeze {
            step: 75,
            floor: 10,
            down_every: 5,
            up_every: 10,
        }
    }
}

/// Limits that follow use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Adaptive {
    /// Whether limits follow use at all.
    pub enabled: bool,
    /// Seconds between two looks at a pack.
    pub every: u64,
    /// Use, in percent of the limit, below which it shrinks.
    pub idle: u64,
    /// Use from which it grows.
    pub busy: u64,
    /// Use from which it grows at once.
    pub emergency: u64,
    /// What shrinking leaves, in percent.
    pub shrink: u64,
    /// What growing makes of it, in percent.
    pub grow: u64,
    /// What growing at once makes of it, in percent.
    pub grow_at_once: u64,
    /// Seconds of high use before it grows.
    pub up_after: u64,
    /// Seconds of low use before it shrinks.
    pub down_after: u64,
    /// Seconds between two changes at once.
    pub cool_down: u64,
    /// Percent of the node kept free for critical, high and normal growth.
    pub headroom: u64,
    /// Percent of the node kept free for low and scavenger growth.
    pub low_headroom: u64,
    /// The least of the plan's value that shrinking leaves, in percent, where
    /// the record has no floor.
    pub floor: u64,
    /// The share of looks at which use may lie above what is predicted to be
    /// needed, in percent: Autopilot's percentile.
    pub need_percentile: u64,
    /// Seconds that the trend looks ahead.
    pub horizon: u64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive {
            enabled: true,
            every: 5,
            idle: 50,
            busy: 80,
            emergency: 95,
            shrink: 80,
            grow: 120,
            grow_at_once: 150,
            up_after: 30,
            down_after: 300,
            cool_down: 10,
            headroom: 10,
            low_headroom: 20,
            floor: 25,
            need_percentile: 95,
            horizon: 60,
        }
    }
}

/// Breaking bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Violation {
    /// Seconds of being throttled before it is said.
    pub throttled: u64,
    /// Seconds at the memory limit after the alert before a pack that asked
    /// for it is restarted.
    pub restart_after: u64,
    /// Memory in use, in percent of the limit, that is "at its limit".
    pub memory: u64,
    /// Use of open files, connections and disk space, in percent of the limit.
    pub count: u64,
}

impl Default for Violation {
    fn default() -> Self {
        Violation {
            throttled: 30,
            restart_after: 30,
            memory: 99,
            count: 90,
        }
    }
}
