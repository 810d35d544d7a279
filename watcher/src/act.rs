//! Carrying out what was decided.
//!
//! In: an action, and the pack's open cgroup. Out: what came of it. What is
//! done to a pack is on disk before it is done; in audit nothing is done.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use packrank_core::record::Packs;
use packrank_kernel::cgroup::{Cgroup, CgroupError, Mounts, start_time};
use packrank_kernel::net;

use crate::above::Ancestors;
use crate::decide::{Action, Deed, Knob, Outcome, State};
use crate::event::why_text;
use crate::registry::{Kept, Registry};

/// Writes down what is about to be done. A failure is told and does not stop
/// the deed: a full disk is no reason to let a node die.
pub fn save(state: &mut State, registry: &mut Registry) -> Vec<String> {
    let mut changed = Vec::new();
    state.unsaved(|slot, _| changed.push(slot));
    let mut failures = Vec::new();
    for slot in changed {
        let place = registry
            .kept
            .get_mut(slot.0 as usize)
            .and_then(Option::as_mut);
        let Some(kept) = place else { continue };
        state.deeds(slot, &mut kept.deeds);
        if let Err(error) = registry.packs.write_deeds(&kept.deeds) {
            failures.push(error.to_string());
        }
    }
    failures
}

/// Does it.
pub fn carry_out(
    action: &Action,
    registry: &mut Registry,
    mounts: &Mounts,
    ancestors: &Ancestors,
    proc: &Path,
) -> Outcome {
    if action.audit {
        return Outcome::Done;
    }
    match action.deed {
        Deed::Compact => match fs::write(proc.join("sys/vm/compact_memory"), "1") {
            Ok(()) => return Outcome::Done,
            Err(_) => return Outcome::Refused,
        },
        Deed::Protect { above, min, low } => {
            // What they had before is on disk before it changes.
            let _ = ancestors.save(&registry.packs);
            return ancestors.protect(mounts, above, min, low);
        }
        _ => {}
    }
    let packs = &registry.packs;
    let place = action
        .slot
        .and_then(|slot| registry.kept.get_mut(slot.0 as usize));
    let Some(kept) = place.and_then(Option::as_mut) else {
        return Outcome::Gone;
    };
    if let Deed::Reclaim(bytes) = action.deed {
        return match kept.cgroup.reclaim(bytes, kept.guarantee) {
            Ok(freed) => Outcome::Freed(freed),
            Err(error) => refused(&error),
        };
    }
    on_pack(action, kept, packs)
}

fn on_pack(action: &Action, kept: &mut Kept, packs: &Packs) -> Outcome {
    let done = match action.deed {
        Deed::Signal(signal) => Cgroup::signal(kept.pid, kept.started, signal),
        Deed::Freeze => kept.cgroup.freeze(),
        Deed::Thaw => kept.cgroup.thaw(),
        Deed::Kill => {
            kept.deeds.killed = Some(why_text(action.why));
            // Best effort: that it cannot be written does not save the pack.
            let _ = packs.write_deeds(&kept.deeds);
            kept.cgroup.kill()
        }
        Deed::Set {
            knob: Knob::Egress | Knob::Ingress,
            ..
        } => return rates(kept, packs),
        Deed::Set { knob, to, .. } => {
            kept.cgroup
                .set(knob.key(), to, &kept.devices, kept.guarantee_file)
        }
        Deed::Reclaim(_) | Deed::Compact | Deed::Protect { .. } | Deed::Alert(_) => Ok(()),
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(error) => refused(&error),
    }
}

/// Both rates of the pack's network as they are to be: those that differ from
/// the plan are in its deeds.
fn rates(kept: &Kept, packs: &Packs) -> Outcome {
    let Ok(record) = packs.read(&kept.id) else {
        return Outcome::Gone;
    };
    let netns = fs::File::open(format!("/proc/{}/ns/net", kept.pid));
    // Looked at afterwards: then what was opened was this process's.
    let same = start_time(kept.pid) == Some(kept.started);
    let (Ok(netns), true) = (netns, same) else {
        return Outcome::Gone;
    };
    match net::apply_record(&record, &kept.deeds, &kept.id, netns.as_fd(), None) {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Refused,
    }
}

fn refused(error: &CgroupError) -> Outcome {
    match error.is_gone() {
        true => Outcome::Gone,
        false => Outcome::Refused,
    }
}
