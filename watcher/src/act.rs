//! Carrying out what was decided.
//!
//! In: an action, and the pack's open cgroup. Out: what came of it. What is
//! done to a pack is on disk before it is done; in audit nothing is done.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use packrank_core::record::Packs;
use packrank_kernel::cgroup::{Cgroup, CgroupError, Mounts, start_time};
use packrank_kernel::net;

use crate::above::Ancestors;
use crate::decide::{Action, Deed, Knob, Outcome, State};
use crate::registry::{Kept, Registry};

/// How long one pack's cache may be asked for at once: the stall that is to end
/// makes this slow too, and the next deed waits for it.
const RECLAIM: Duration = Duration::from_millis(20);

/// Does it. `compact`: the file that compacts the node's memory.
pub fn carry_out(
    action: &Action,
    state: &State,
    registry: &mut Registry,
    mounts: &Mounts,
    ancestors: &mut Ancestors,
    compact: &Path,
) -> Outcome {
    if action.audit {
        return Outcome::Done;
    }
    match action.deed {
        Deed::Compact => match fs::write(compact, "1") {
            Ok(()) => return Outcome::Done,
            Err(_) => return Outcome::Refused,
        },
        Deed::Protect { above, min, low } => {
            let packs = &registry.packs;
            return ancestors.protect(mounts, packs, above, (min, low), state.alert());
        }
        _ => {}
    }
    let Some(slot) = action.slot else {
        return Outcome::Gone;
    };
    if action.deed == Deed::Kill {
        registry.save_kill(state, slot, action.why);
    }
    let Some(kept) = registry.pack(slot) else {
        return Outcome::Gone;
    };
    let done = match action.deed {
        Deed::Reclaim(bytes) => match kept.cgroup.reclaim(bytes, kept.guarantee, RECLAIM) {
            Ok(freed) => return Outcome::Freed(freed),
            Err(error) => Err(error),
        },
        Deed::Signal(signal) => Cgroup::signal(kept.pid, kept.started, signal),
        Deed::Freeze => kept.cgroup.freeze(),
        Deed::Thaw => kept.cgroup.thaw(),
        Deed::Kill => kept.cgroup.kill(),
        Deed::Set {
            knob: Knob::Egress | Knob::Ingress,
            ..
        } => return rates(kept, &registry.packs),
        Deed::Set { knob, to, .. } => {
            kept.cgroup
                .set(knob.key(), to, &kept.devices, kept.guarantee_file)
        }
        Deed::Compact | Deed::Protect { .. } | Deed::Alert(_) => Ok(()),
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(error) => refused(&error),
    }
}

/// Both rates of the pack's network as they are to be: those that differ from
/// the plan are in its deeds, which are written before.
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
    match net::apply_record(
        &record,
        &packs.deeds(&record),
        &kept.id,
        netns.as_fd(),
        None,
    ) {
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
