//! Reading the `[watch]` tables of policy files.
//!
//! In: a policy's folder, a file, or texts. Out: a [`Config`], or which key of
//! which line is wrong.

use std::path::Path;

use packrank_core::policy::{LoadError, Policy};
use serde::Deserialize;

use super::Config;

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

#[cfg(test)]
mod tests {
    use super::super::Adaptive;
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
