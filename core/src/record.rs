//! The record of a running container: what hooks write, the watcher obeys and
//! `packrank status` shows.
//!
//! In: the JSON of `/run/packrank/packs/<id>.json`, written once the container
//! exists. Out: a [`Record`]. Writing the file is registering, removing it is
//! leaving; [`Packs`] does both. What the watcher has done to a pack it keeps
//! in [`Deeds`], in a file of its own, so that each file has one writer.
//!
//! A reader takes any record of its own [`VERSION`] or an older one and leaves
//! members it does not know as they are, so that binaries can be replaced
//! under running containers.

mod amount;
mod deeds;
mod file;
mod file_name;
mod key;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use amount::{Amount, Figures};
pub use deeds::{AncestorDeed, Deeds, Taken};
pub use file::LARGEST;
pub use file_name::of as file_name;
pub use key::engine_id;
pub use store::{Packs, RecordError};

use crate::Priority;
use crate::key::Key;

/// The format's version. It grows only when an older reader would go wrong.
pub const VERSION: u32 = 1;

/// The name of the version 2 hierarchy in [`Record::cgroups`].
pub const UNIFIED: &str = "unified";

/// One running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The format's version: [`VERSION`].
    pub version: u32,
    /// The container's key on this node: the engine's id, and more where
    /// another container has the same one.
    pub id: String,
    /// Its class.
    #[serde(with = "class")]
    pub priority: Priority,
    /// What it is called where people look for it.
    #[serde(default, flatten)]
    pub names: Names,
    /// A pod's sandbox: it has the pod's network and nothing else. It is no
    /// pack: nothing is guaranteed to it, taken from it or adapted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sandbox: bool,
    /// Its first process, as the host counts.
    pub pid: u32,
    /// When that process started, in clock ticks since boot (field 22 of
    /// `/proc/<pid>/stat`): the same number used again is another process.
    pub started: u64,
    /// Its cgroup in each hierarchy, as `/proc/<pid>/cgroup` gives it: the
    /// controller's name (or [`UNIFIED`]) and the path from that hierarchy's
    /// root. The cgroup is the one that carries the limits.
    pub cgroups: BTreeMap<String, PathBuf>,
    /// The OCI bundle.
    pub bundle: PathBuf,
    /// The engine's program.
    pub engine: PathBuf,
    /// `audit`: decide and record, touch nothing.
    #[serde(default)]
    pub mode: Mode,
    /// The plan's settings in force.
    #[serde(default)]
    pub settings: Figures,
    /// Who decided each of [`Record::settings`], by its name: class, annotation,
    /// spec, policy or host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<String, String>,
    /// How far the watcher may shrink a setting; absent: the watcher's own
    /// default. What carries the guarantee is `memory.guarantee` of
    /// [`Record::settings`].
    #[serde(default)]
    pub floor: Figures,
    /// How far the watcher may grow a setting; absent: not at all.
    #[serde(default)]
    pub ceiling: Figures,
    /// Which of the kernel's files carries the guarantee.
    #[serde(default)]
    pub guarantee_file: GuaranteeFile,
    /// The block devices that io limits name, as `major:minor`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// What its annotations ask of the watcher.
    #[serde(default)]
    pub options: Options,
    /// What the network guard made, in its own words.
    #[serde(default)]
    pub network: Map<String, Json>,
    /// Values a person set with `packrank set`: the watcher leaves these alone.
    #[serde(default)]
    pub pinned: Figures,
    /// Members a newer version wrote.
    #[serde(flatten)]
    pub unknown: Map<String, Json>,
}

/// What a container is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// Its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its own name, in the pod or for the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whether the watcher acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It acts.
    #[default]
    Enforce,
    /// It decides and records.
    Audit,
}

/// Which of the kernel's files carries a guarantee.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuaranteeFile {
    /// Never reclaimed.
    #[serde(rename = "memory.min")]
    Min,
    /// Reclaimed last.
    #[default]
    #[serde(rename = "memory.low")]
    Low,
}

/// What annotations ask of the watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Options {
    /// `packrank.io/adaptive`: whether limits may follow use.
    pub adaptive: bool,
    /// `packrank.io/on-violation`.
    pub on_violation: OnViolation,
    /// `packrank.io/gc-signal`: the number of the signal that asks the first
    /// process to give memory back.
    pub gc_signal: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            adaptive: true,
            on_violation: OnViolation::Alert,
            gc_signal: None,
        }
    }
}

/// What follows when a pack stays at its memory limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnViolation {
    /// It is told.
    #[default]
    Alert,
    /// It is told, then ended, for the engine's restart policy to start again.
    Restart,
}

impl Record {
    /// A setting as a number in the key's base unit (percentages in
    /// thousandths); a pinned value comes first. `None`: not set, or no number.
    #[must_use]
    pub fn amount(&self, key: Key) -> Option<Amount> {
        self.pinned
            .amount(key)
            .or_else(|| self.settings.amount(key))
    }

    /// What the kernel has, or is about to get: what a person pinned, else what
    /// use or pressure brought about, else the plan's. Deeds are written before
    /// they are done.
    #[must_use]
    pub fn in_force(&self, deeds: &Deeds, key: Key) -> Option<Amount> {
        let taken = deeds.taken.get(key.name()).map(Taken::in_force);
        let pinned = self.pinned.amount(key);
        pinned.or(taken).or_else(|| self.settings.amount(key))
    }

    /// Its name for people: namespace, pod and name, as far as they are known,
    /// else its id.
    #[must_use]
    pub fn title(&self) -> String {
        let names = [&self.names.namespace, &self.names.pod, &self.names.name];
        let known: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        match known.is_empty() {
            true => self.id.clone(),
            false => known.join("/"),
        }
    }
}

/// A class by its name.
mod class {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Priority;

    pub(super) fn serialize<S: Serializer>(
        class: &Priority,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(class.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Priority, D::Error> {
        // Not a borrowed string: JSON may escape any letter.
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
