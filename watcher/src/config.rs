//! Every threshold of the watcher.
//!
//! In: the policy's `[watch]` table. Out: a [`Config`]; what the table does
//! not name has the default. Percentages are whole percent, times seconds
//! unless the name says milliseconds.

use std::net::SocketAddr;
use std::path::Path;

use packrank_core::policy::{LoadError, Policy};
use serde::{Deserialize, Serialize};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The policy could not be had.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// Its `[watch]` table is wrong.
    #[error("{file}:{line}: {key}: {problem}")]
    Watch {
        /// The file's name, as it was given.
        file: String,
        /// From 1.
        line: usize,
        /// The key, with its tables.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// The `[watch]` tables of the policy in a folder, or of one file, later
    /// ones on top.
    ///
    /// # Errors
    /// When the policy is wrong.
    pub fn load(place: &Path) -> Result<Config, ConfigError> {
        let policy = match place.is_file() {
            true => {
                let mut policy = Policy::built_in().map_err(LoadError::from)?;
                policy.add_file(place)?;
                policy
            }
            false => Policy::load(place)?,
        };
        Config::from_texts(policy.watch_texts())
    }

    /// The `[watch]` tables of policy files, names and texts, later ones on
    /// top.
    ///
    /// # Errors
    /// When one has a key that is not known, or a value that cannot be.
    pub fn from_texts<'t>(
        files: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Result<Config, ConfigError> {
        let mut watch = toml::Table::new();
        let mut config = Config::default();
        for (file, text) in files {
            // Each alone first: only there it is known where a key stands.
            toml::from_str::<Only>(text).map_err(|e| wrong(file, text, &e))?;
            let mut table: toml::Table = toml::from_str(text).map_err(|e| wrong(file, text, &e))?;
            if let Some(toml::Value::Table(more)) = table.remove("watch") {
                lay(&mut watch, more);
            }
            let all = toml::Value::Table(watch.clone());
            config = all.try_into().map_err(|e| wrong(file, text, &e))?;
            if let Some((key, problem)) = config.impossible() {
                return Err(ConfigError::Watch {
                    file: file.to_owned(),
                    line: line_of(text, key),
                    key: format!("watch.{key}"),
                    problem: problem.to_owned(),
                });
            }
        }
        Ok(config)
    }

    /// The first value with which nothing sensible could be decided.
    fn impossible(&self) -> Option<(&'static str, &'static str)> {
        let rises = |steps: &[u32; 4]| steps.windows(2).all(|pair| pair[0] <= pair[1]);
        let order = "its four levels must rise";
        let percent = "a percentage from 1 to 99";
        let (memory, adaptive) = (&self.memory, &self.adaptive);
        let rows = [
            ("memory.used", rises(&memory.used), order),
            ("cpu.some", rises(&self.cpu.some), order),
            ("io.some", rises(&self.io.some), order),
            (
                "memory.some-medium",
                memory.some_low <= memory.some_medium,
                "below some-low",
            ),
            (
                "memory.full-critical",
                memory.full_high <= memory.full_critical,
                "below full-high",
            ),
            (
                "squeeze.step",
                (1..100).contains(&self.squeeze.step),
                percent,
            ),
            ("squeeze.floor", self.squeeze.floor <= 100, "a percentage"),
            ("adaptive.every", adaptive.every > 0, "at least a second"),
            (
                "adaptive.shrink",
                (1..100).contains(&adaptive.shrink),
                percent,
            ),
            ("adaptive.grow", adaptive.grow > 100, "above 100 percent"),
            (
                "adaptive.grow-at-once",
                adaptive.grow_at_once > 100,
                "above 100 percent",
            ),
            (
                "adaptive.busy",
                adaptive.idle < adaptive.busy && adaptive.busy < adaptive.emergency,
                "idle, busy and emergency must rise",
            ),
        ];
        let broken = rows.into_iter().find(|(_, good, _)| !good);
        broken.map(|(key, _, problem)| (key, problem))
    }
}

/// A policy file as far as it is ours.
#[derive(Deserialize)]
struct Only {
    #[serde(default)]
    #[allow(dead_code, reason = "read for its errors")]
    watch: Config,
}

fn wrong(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let written = text.lines().nth(line - 1).unwrap_or_default();
    let key = written.split('=').next().unwrap_or_default().trim();
    ConfigError::Watch {
        file: file.to_owned(),
        line,
        key: key.trim_matches(['[', ']']).to_owned(),
        problem: error.message().trim().replace('\n', "; "),
    }
}

/// Where the last part of `key` is written, or where `[watch]` begins.
fn line_of(text: &str, key: &str) -> usize {
    let last = key.rsplit('.').next().unwrap_or(key);
    let written = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        line.contains('=') && name.rsplit('.').next().unwrap_or_default().trim() == last
    };
    let found = text.lines().position(written);
    let table = || {
        text.lines()
            .position(|line| line.trim_start().starts_with("[watch"))
    };
    found.or_else(table).map_or(1, |at| at + 1)
}

/// Lays `more` on `table`: it overrides only what it names.
fn lay(table: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(more)) => lay(below, more),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

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

/// Memory levels: from stalls or from use, whichever says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MemoryLevels {
    /// `some avg10` from which the level is low.
    pub some_low: u32,
    /// `some avg10` from which it is medium.
    pub some_medium: u32,
    /// `full avg10` from which it is high.
    pub full_high: u32,
    /// `full avg10` from which it is critical.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_overrides_only_what_it_names_and_knows_its_keys() {
        let config: Config =
            toml::from_str("hold = 10\n[memory]\nused = [70, 80, 90, 95]\n").unwrap();
        assert_eq!((config.hold, config.memory.used[0]), (10, 70));
        assert_eq!(config.adaptive, Adaptive::default());
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        let texts = [
            "[watch]\nhold = 9\nladder.dry = 7",
            "[watch.ladder]\ndying = 3",
        ];
        let config = Config::from_texts(texts.into_iter().map(|t| ("p.toml", t))).unwrap();
        assert_eq!(
            (config.hold, config.ladder.dry, config.ladder.dying),
            (9, 7, 3)
        );
        for (text, says) in [
            (
                "[watch.ladder]\n\nkill = 1\n",
                "p.toml:3: kill: unknown field `kill`",
            ),
            (
                "x = 1\n[watch]\nhold = \"a\"\n",
                "p.toml:3: hold: invalid type: string",
            ),
            (
                "[watch]\nhold = 1\ncpu.some = [9, 8, 7, 6]\n",
                "p.toml:3: watch.cpu.some: its four",
            ),
            (
                "[watch.adaptive]\nevery = 0\n",
                "p.toml:2: watch.adaptive.every: at least",
            ),
            (
                "[watch]\nmemory.used = [1, 2]\n",
                "p.toml:2: memory.used: invalid length 2",
            ),
        ] {
            let error = Config::from_texts([("p.toml", text)].into_iter()).unwrap_err();
            assert!(error.to_string().starts_with(says), "{text}: {error}");
        }
    }
}
