//! A container's network, shaped and guarded as its plan says.
//!
//! In: the plan and the container's network namespace. Out: the kernel made
//! so, once for each namespace: containers that share one (a pod's, or
//! `--network container:…`) share what its owner got.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use packrank_core::key::Key;
use packrank_core::place::Role;
use packrank_core::spec::Spec;
use packrank_core::value::Value;
use packrank_kernel::net::{self, Means, Note, Target};

use super::namespaces::{Namespaces, Owner};
use super::{AttachError, State};
use crate::planning::Planned;

/// What came of it.
#[derive(Debug, Default)]
pub struct Shaped {
    /// There was no interface yet: `start` looks again.
    pub pending: bool,
    /// Whose the network is, where it is not its own.
    pub shared: Option<String>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// Whether the guard must be out of the container's reach. Whichever of a
/// pod's containers holds the capability, all share the namespace.
pub fn net_admin(planned: &Planned, spec: &Spec<'_>) -> bool {
    spec.net_admin || planned.place.role != Role::Alone
}

/// Shapes the namespace, unless its owner has already done as much.
///
/// # Errors
/// When the kernel refuses what it is able to do.
pub fn shape(
    run: &Path,
    state: &State,
    own: &Owner,
    planned: &Planned,
    spec: &Spec<'_>,
    netns: &File,
) -> Result<Shaped, AttachError> {
    let namespaces = Namespaces::under(run);
    let place = namespaces.entry(netns)?;
    if let Some(owner) = namespaces.claim(&place, own)? {
        let text = format!(
            "the network is {}'s, shaped for class {}",
            owner.id, owner.class
        );
        return Ok(Shaped {
            pending: false,
            shared: Some(owner.id),
            notes: vec![text],
        });
    }
    let plan = &planned.plan;
    let dscp = match plan.value(Key::NetworkDscp) {
        Some(Value::Dscp(dscp)) => Some(*dscp),
        _ => None,
    };
    let (shape, guard) = net::limits(|key| plan.number(key), dscp);
    let target = Target {
        id: &own.id,
        netns: netns.as_fd(),
        net_admin: net_admin(planned, spec),
        net_raw: spec.net_raw,
    };
    let applied = net::apply(&target, &shape, &guard, &Means::default());
    let applied = applied.map_err(|source| AttachError::Network {
        id: state.id.clone(),
        source,
    })?;
    Ok(Shaped {
        pending: applied.notes.contains(&Note::NoInterface),
        shared: None,
        notes: applied.notes.iter().map(ToString::to_string).collect(),
    })
}
