//! The policy: what each class gets, who may claim it, and how far an
//! annotation may go.
//!
//! In: the built-in policy file and those of `/etc/packrank`. Out: a
//! [`Policy`] that answers by class and key, each answer with the line that
//! said so.

mod built_in;
mod grant;
mod load;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use grant::{Claimant, Grant, NamespaceLimits};
pub use load::LoadError;
pub use read::PolicyError;

use crate::Priority;
use crate::key::Key;
use crate::value::Value;

/// The built-in policy's text: a policy file like any other.
pub const BUILT_IN: &str = include_str!("default-policy.toml");

/// Whether a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Enforce,
    /// Plan and record, change nothing.
    Audit,
    /// Do nothing.
    Off,
}

impl Mode {
    /// The word users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
            Mode::Off => "off",
        }
    }
}

/// Which of the kernel's files carries a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuaranteeFile {
    /// `memory.min`: never reclaimed.
    Min,
    /// `memory.low`: reclaimed last.
    Low,
}

impl GuaranteeFile {
    /// The kernel's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GuaranteeFile::Min => "memory.min",
            GuaranteeFile::Low => "memory.low",
        }
    }
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value and where a user wrote it; the built-in policy's have no location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// The value, in base units.
    pub value: Value,
    /// `None` for the built-in policy.
    pub from: Option<Location>,
}

/// Values by key: a class's profile, ceiling or floor.
pub type Profile = BTreeMap<Key, Ruled>;

/// What is kept for each of the five classes.
#[derive(Debug, Clone, Default)]
struct Class {
    profile: Profile,
    ceiling: Profile,
    floor: Profile,
    guarantee_file: Option<GuaranteeFile>,
}

/// The whole policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What classes get where no file says otherwise.
    base: Option<&'static built_in::Classes>,
    /// Whether plans are carried out, where no grant says otherwise.
    pub mode: Mode,
    /// Refuse where the host lacks something, instead of leaving it out.
    pub strict: bool,
    /// The class of containers that claim none.
    pub default_class: Option<Priority>,
    /// The engine behind `packrank-runtime`.
    pub engine: Option<PathBuf>,
    classes: [Class; 5],
    grants: Vec<Grant>,
    limits: Vec<NamespaceLimits>,
    /// The files that hold a `[watch]` table, earliest first: name and text.
    watch: Vec<(Arc<str>, Arc<str>)>,
}

impl Policy {
    fn empty() -> Policy {
        Policy {
            base: None,
            mode: Mode::Enforce,
            strict: false,
            default_class: None,
            engine: None,
            classes: Default::default(),
            grants: Vec::new(),
            limits: Vec::new(),
            watch: Vec::new(),
        }
    }

    /// The policy that applies where no file says otherwise: [`BUILT_IN`], as
    /// a table that needs no reading.
    ///
    /// # Errors
    /// Never: the table is held to the text by a test.
    pub fn built_in() -> Result<Policy, PolicyError> {
        Ok(built_in::policy())
    }

    /// Lays the file's text on top: it overrides only what it names.
    ///
    /// # Errors
    /// Names file, line, column and key of what is wrong.
    pub fn merge(&mut self, file: &str, text: &str) -> Result<(), PolicyError> {
        read::merge(self, file, text, false)
    }

    /// What `class` gets for `key`. The built-in policy names every key, so
    /// only a policy made of nothing has none.
    #[must_use]
    pub fn class(&self, class: Priority, key: Key) -> Option<&Ruled> {
        let base = || Some(&self.base?[class as usize][key as usize]);
        self.classes[class as usize].profile.get(&key).or_else(base)
    }

    /// The most an annotation may ask for; absent: what the class gets.
    #[must_use]
    pub fn ceiling(&self, class: Priority, key: Key) -> Option<&Ruled> {
        self.classes[class as usize].ceiling.get(&key)
    }

    /// How far the watcher may shrink it.
    #[must_use]
    pub fn floor(&self, class: Priority, key: Key) -> Option<&Ruled> {
        self.classes[class as usize].floor.get(&key)
    }

    /// Which file carries the class's memory guarantee.
    #[must_use]
    pub fn guarantee_file(&self, class: Priority) -> GuaranteeFile {
        let file = self.classes[class as usize].guarantee_file;
        file.unwrap_or(GuaranteeFile::Low)
    }

    /// The grant that decides for this claimant, if any does.
    #[must_use]
    pub fn grant(&self, claimant: &Claimant<'_>) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.matches(claimant))
    }

    /// Every grant, in the order in which they are tried.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Every namespace's limits, in the order in which they are tried.
    #[must_use]
    pub fn namespace_limits(&self) -> &[NamespaceLimits] {
        &self.limits
    }

    /// The limits of this namespace, if any are set.
    #[must_use]
    pub fn limits(&self, namespace: Option<&str>) -> Option<&NamespaceLimits> {
        let namespace = namespace?;
        self.limits.iter().find(|limits| limits.matches(namespace))
    }

    /// The files that hold a `[watch]` table, earliest first: name and text.
    pub fn watch_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.watch.iter().map(|(file, text)| (&**file, &**text))
    }
}
