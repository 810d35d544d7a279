//! What the watcher has done to a pack.
//!
//! In: the JSON of `/run/packrank/deeds/<id>.json`. Out: [`Deeds`]: every
//! value that is not the plan's, with the one to give back. It is written
//! before the kernel is touched, so that a watcher that starts again finds
//! everything that one before it may have done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::Amount;

/// Everything taken from, or given to, one pack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Deeds {
    /// The format's version: [`super::VERSION`].
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Its first process and that process's start time: deeds of another
    /// container with the same id are not this one's.
    pub pid: u32,
    /// In clock ticks since boot.
    pub started: u64,
    /// Whether the pack is frozen by the watcher.
    pub frozen: bool,
    /// Why it is about to be, or was, killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub killed: Option<String>,
    /// Values by the setting's name.
    pub taken: BTreeMap<String, Taken>,
    /// There is a file, and what it says cannot be read: anything may have been
    /// done.
    #[serde(skip)]
    pub damaged: bool,
    /// Members a newer version wrote.
    #[serde(flatten)]
    pub unknown: Map<String, Json>,
}

/// One value that is not the plan's. `null` is unlimited; percentages are in
/// thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Taken {
    /// The plan's value, to give back.
    pub original: Option<u64>,
    /// What it has adapted to while nothing presses.
    pub adapted: Option<u64>,
    /// The value that pressure has brought it to; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressed: Option<u64>,
}

impl Taken {
    /// What there is of it now.
    #[must_use]
    pub fn in_force(&self) -> Amount {
        let number = self.pressed.or(self.adapted);
        number.map_or(Amount::Unlimited, Amount::At)
    }
}

/// A protection the watcher raised on a cgroup above packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AncestorDeed {
    /// The cgroup's folder from the hierarchy's root.
    pub cgroup: PathBuf,
    /// Bytes of memory.min before.
    pub min: u64,
    /// Bytes of memory.low before.
    pub low: u64,
    /// Both as the watcher wrote them last; other values are somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<(u64, u64)>,
}
