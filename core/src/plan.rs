//! Everything that will be done to one container, before any of it is done.
//!
//! In: its rank and request, its spec, the policy, the host and its disks.
//! Out: a [`Plan`], each value with its origin and the reason where it is not
//! what was asked; or a refusal. Nothing here reads a file or changes one.

mod cpu;
mod io;
mod memory;
mod network;
mod process;
mod security;

use std::collections::BTreeSet;
use std::fmt;

pub(crate) use cpu::DEFAULT_PERIOD;
pub(crate) use io::THROTTLE_KEYS;
pub use network::NETWORK_KEYS;

use crate::annotation::{Quoted, Request};
use crate::host::{Cgroups, Devices, Disk, Host};
use crate::key::{Key, Rule};
use crate::policy::{GuaranteeFile, Policy};
use crate::rank::Rank;
use crate::spec::Spec;
use crate::value::Value;

/// Who decided a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The class, as the built-in policy has it.
    Class,
    /// An annotation.
    Annotation,
    /// The spec: what user or orchestrator had written already.
    Spec,
    /// A policy file.
    Policy,
    /// The host: what it lacks or does not allow.
    Host,
}

impl Origin {
    /// The word `explain` prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Origin::Class => "class",
            Origin::Annotation => "annotation",
            Origin::Spec => "spec",
            Origin::Policy => "policy",
            Origin::Host => "host",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One planned setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which.
    pub key: Key,
    /// What it will be; `None` when it is left out, and the note says why.
    pub value: Option<Value>,
    /// Who decided.
    pub origin: Origin,
    /// Why it is not what was asked, or what it is worth here.
    pub note: Option<String>,
}

/// What will be done to one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The class, who claimed it, and the mode.
    pub rank: Rank,
    /// Every setting, in the keys' order.
    pub settings: Vec<Setting>,
    /// What concerns no single setting.
    pub notes: Vec<String>,
    /// The file that carries the memory guarantee on cgroup v2.
    pub guarantee_file: GuaranteeFile,
    /// The disks that I/O limits are for.
    pub disks: Vec<Disk>,
    /// The huge page sizes that are withheld where `hugepages` is no.
    pub page_sizes: BTreeSet<String>,
    /// Whether the program inside is told its limits.
    pub inform: bool,
}

impl Plan {
    /// The value of `key`, where it is planned and not left out.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<&Value> {
        self.setting(key)?.value.as_ref()
    }

    /// The number of `key`; `None` too where it is unlimited.
    #[must_use]
    pub fn number(&self, key: Key) -> Option<u64> {
        self.value(key)?.number()
    }

    /// The whole setting.
    #[must_use]
    pub fn setting(&self, key: Key) -> Option<&Setting> {
        self.settings.iter().find(|s| s.key == key)
    }

    /// Whether we are who marks the container idle: no engine does on cgroup
    /// v1, and what is marked takes no weight any more.
    #[must_use]
    pub fn idle_by_us(&self, cgroups: &Cgroups) -> bool {
        !cgroups.v2() && self.value(Key::CpuIdle) == Some(&Value::Switch(true))
    }
}

/// A plan that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An annotation asks for more than the policy allows it.
    #[error("{annotation}: {asked} is above what class {class} may ask for: at most {most}")]
    AboveCeiling {
        /// Its full name.
        annotation: Quoted,
        /// What it asks.
        asked: String,
        /// The class's name.
        class: &'static str,
        /// The ceiling.
        most: String,
    },
    /// An annotation asks for what the namespace does not give.
    #[error("{annotation}: {asked} is outside what namespace {namespace:?} allows: {bound}")]
    OutsideNamespace {
        /// Its full name.
        annotation: Quoted,
        /// What it asks.
        asked: String,
        /// The namespace.
        namespace: String,
        /// `at least …` or `at most …`.
        bound: String,
    },
    /// The policy is strict and the host lacks something.
    #[error("the policy is strict and this host cannot honour {key}: {reason}")]
    Lacking {
        /// The setting.
        key: Key,
        /// What is missing.
        reason: String,
    },
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The class and the mode.
    pub rank: &'a Rank,
    /// What the annotations ask.
    pub request: &'a Request,
    /// The container's spec.
    pub spec: &'a Spec<'a>,
    /// The policy.
    pub policy: &'a Policy,
    /// The node.
    pub host: &'a Host,
    /// The disks behind the container's writable paths.
    pub disks: &'a Devices,
}

/// Makes the plan.
///
/// # Errors
/// When an annotation asks for more than it may, or a strict policy meets a
/// host that lacks something.
pub fn plan(inputs: Inputs<'_>) -> Result<Plan, PlanError> {
    let mut planner = Planner {
        inputs,
        settings: Vec::with_capacity(29),
        notes: Vec::new(),
    };
    planner.cpu()?;
    planner.memory()?;
    planner.process()?;
    planner.network()?;
    planner.io()?;
    planner.security()?;
    if inputs.request.others > 0 && inputs.spec.place.container.is_none() {
        planner.notes.push(format!(
            "{} annotation(s) for containers of other names were left to them",
            inputs.request.others
        ));
    }
    planner.settings.sort_by_key(|s| s.key);
    Ok(Plan {
        rank: inputs.rank.clone(),
        settings: planner.settings,
        notes: planner.notes,
        guarantee_file: inputs.policy.guarantee_file(inputs.rank.priority),
        disks: inputs.disks.disks.clone(),
        page_sizes: inputs.host.page_sizes().clone(),
        inform: inputs.request.inform,
    })
}

struct Planner<'a> {
    inputs: Inputs<'a>,
    settings: Vec<Setting>,
    notes: Vec<String>,
}

/// Why a user's own engine leaves out what is the node's.
const NOT_ROOT: &str = "needs root on the node";

impl Planner<'_> {
    /// What policy, namespace and annotation make of `key`, before spec and
    /// host have spoken. `settle` turns a share into a number.
    fn asked(&self, key: Key, settle: impl Fn(&Value) -> Value) -> Result<Setting, PlanError> {
        let Inputs {
            policy,
            rank,
            request,
            spec,
            ..
        } = self.inputs;
        let ruled = policy.class(rank.priority, key);
        let from = ruled.and_then(|r| r.from.as_ref());
        let mut setting = Setting {
            key,
            value: Some(ruled.map_or(Value::Unlimited, |r| settle(&r.value))),
            origin: if from.is_some() {
                Origin::Policy
            } else {
                Origin::Class
            },
            note: from.map(ToString::to_string),
        };
        let namespace = spec.place.namespace.as_deref();
        let limits = policy.limits(namespace);
        let bound = |profile: Option<&crate::policy::Profile>| {
            profile.and_then(|p| p.get(&key)).map(|r| settle(&r.value))
        };
        let least = bound(limits.map(|l| &l.min));
        let mut name = namespace.unwrap_or_default();
        let mut most = bound(limits.map(|l| &l.max));
        // A namespace that is only named takes away, and gives nothing.
        for unproven in &spec.place.unproven {
            let limits = policy.limits(Some(unproven));
            if let Some(other) = bound(limits.map(|l| &l.max))
                && most.as_ref().is_none_or(|most| most.exceeds(&other, key))
            {
                (name, most) = (unproven, Some(other));
            }
        }
        if let (Some(value), Some(most)) = (&setting.value, &most)
            && value.exceeds(most, key)
        {
            setting.note = Some(format!("at most {} in namespace {name:?}", most.show(key)));
            setting.origin = Origin::Policy;
            setting.value = Some(most.clone());
        }
        if let (Some(value), Some(least)) = (&setting.value, &least)
            && least.exceeds(value, key)
        {
            setting.note = Some(format!(
                "at least {} in namespace {name:?}",
                least.show(key)
            ));
            setting.origin = Origin::Policy;
            setting.value = Some(least.clone());
        }
        let Some(asked) = request.settings.get(&key) else {
            return Ok(setting);
        };
        let value = settle(&asked.value);
        let annotation = || Quoted(asked.annotation.clone());
        let ceiling = policy.ceiling(rank.priority, key).map(|r| settle(&r.value));
        let highest = ceiling.or(setting.value).unwrap_or(Value::Unlimited);
        if value.exceeds(&highest, key) {
            return Err(PlanError::AboveCeiling {
                annotation: annotation(),
                asked: value.show(key),
                class: rank.priority.name(),
                most: highest.show(key),
            });
        }
        let outside = |bound: String| PlanError::OutsideNamespace {
            annotation: annotation(),
            asked: value.show(key),
            namespace: name.to_owned(),
            bound,
        };
        match (least, most) {
            (_, Some(most)) if value.exceeds(&most, key) => {
                Err(outside(format!("at most {}", most.show(key))))
            }
            (Some(least), _) if least.exceeds(&value, key) => {
                Err(outside(format!("at least {}", least.show(key))))
            }
            _ => Ok(Setting {
                key,
                value: Some(value),
                origin: Origin::Annotation,
                note: None,
            }),
        }
    }

    /// [`Self::asked`] for keys whose values are what they are.
    fn plain(&self, key: Key) -> Result<Setting, PlanError> {
        self.asked(key, Value::clone)
    }

    /// The stricter of what was asked and what the spec has.
    fn join(&self, setting: Setting, spec: Option<Value>) -> Setting {
        let key = setting.key;
        debug_assert_ne!(key.rule(), Rule::Class);
        match (&setting.value, spec) {
            (Some(value), Some(spec)) if value.exceeds(&spec, key) => Setting {
                key,
                origin: Origin::Spec,
                note: Some(format!(
                    "stricter than {} by {}",
                    value.show(key),
                    setting.origin
                )),
                value: Some(spec),
            },
            _ => setting,
        }
    }

    fn push(&mut self, setting: Setting) {
        self.settings.push(setting);
    }

    /// Leaves the setting out, because this host has no way to honour it.
    ///
    /// # Errors
    /// When the policy is strict.
    fn leave_out(&mut self, key: Key, reason: &str) -> Result<(), PlanError> {
        if self.inputs.policy.strict {
            let reason = reason.to_owned();
            return Err(PlanError::Lacking { key, reason });
        }
        self.push(Setting {
            key,
            value: None,
            origin: Origin::Host,
            note: Some(format!("left out: {reason}")),
        });
        Ok(())
    }

    /// [`Planner::leave_out`] for several.
    fn leave_all_out(&mut self, keys: &[Key], reason: &str) -> Result<(), PlanError> {
        keys.iter().try_for_each(|key| self.leave_out(*key, reason))
    }

    /// Whether the containers' hierarchy has the controller; where not,
    /// `keys` are left out.
    fn controller(&mut self, name: &str, keys: &[Key]) -> Result<bool, PlanError> {
        let cgroups = &self.inputs.host.cgroups;
        if cgroups.has(name) {
            return Ok(true);
        }
        let reason = match cgroups.delegated {
            true => format!("no {name} controller was delegated to this user"),
            false => format!("no {name} controller in cgroup {}", cgroups.layout.name()),
        };
        self.leave_all_out(keys, &reason)?;
        Ok(false)
    }
}
