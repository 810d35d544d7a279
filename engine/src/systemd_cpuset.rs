//! In: a scope and resources. Out: its CPUs and memory nodes told to systemd.
//!
//! libcgroups 0.7 sends these two properties in a form that systemd refuses ("Unexpected message
//! contents"). Left to the cgroup's own files they would last until the next daemon-reload.

use std::time::Duration;

use libcontainer::oci_spec::runtime::{LinuxCpu, LinuxResources};
use nix::sys::signal::SigSet;
use zbus::blocking::connection::Builder;
use zbus::zvariant::Value;

use crate::cgroup::{CgroupError, Place};

/// systemd answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Far above the kernel's 8192 CPUs and 1024 nodes.
const MOST: usize = 65_536;

/// Tells systemd, where the resources name either.
pub fn apply(place: &Place, resources: &LinuxResources) -> Result<(), CgroupError> {
    let cpu = resources.cpu().as_ref();
    let raw = |file| resources.unified().as_ref().and_then(|u| u.get(file));
    // The cgroup's own file is written last, so it has the last word here too.
    let cpus = raw("cpuset.cpus").or_else(|| cpu.and_then(|cpu| LinuxCpu::cpus(cpu).as_ref()));
    let mems = raw("cpuset.mems").or_else(|| cpu.and_then(|cpu| LinuxCpu::mems(cpu).as_ref()));
    let mut properties = Vec::new();
    for (name, list) in [("AllowedCPUs", cpus), ("AllowedMemoryNodes", mems)] {
        let Some(list) = list.map(|list| list.trim()).filter(|list| !list.is_empty()) else {
            continue;
        };
        let mask = mask(list).ok_or_else(|| CgroupError::Systemd(format!("{name}: {list:?}")))?;
        properties.push((name, Value::from(mask)));
    }
    let scope = place.v2().and_then(|seat| seat.path.file_name()?.to_str());
    match scope {
        Some(scope) if !properties.is_empty() => {
            // The client's thread outlives the call. No signal may find it.
            let own = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK);
            let told = tell(scope, properties);
            let own = own.and_then(|own| own.thread_set_mask());
            own.map_err(|cause| CgroupError::Systemd(cause.to_string()))?;
            told.map_err(|cause| CgroupError::Systemd(format!("{scope}: {cause}")))
        }
        _ => Ok(()),
    }
}

fn tell(scope: &str, properties: Vec<(&str, Value<'_>)>) -> zbus::Result<()> {
    let bus = Builder::system()?.method_timeout(PATIENCE).build()?;
    // Not kept over a reboot: the container is not either.
    let runtime = true;
    bus.call_method(
        Some("org.freedesktop.systemd1"),
        "/org/freedesktop/systemd1",
        Some("org.freedesktop.systemd1.Manager"),
        "SetUnitProperties",
        &(scope, runtime, properties),
    )
    .map(drop)
}

/// The kernel's list as systemd takes it: bit n of byte m stands for number 8m + n.
fn mask(list: &str) -> Option<Vec<u8>> {
    let mut mask = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        if mask.len() <= last / 8 {
            mask.resize(last / 8 + 1, 0);
        }
        (first..=last).for_each(|number| mask[number / 8] |= 1 << (number % 8));
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_masks() {
        assert_eq!(mask("0"), Some(vec![1]));
        assert_eq!(mask("1,3-4"), Some(vec![0b11010]));
        assert_eq!(mask("0-1,9"), Some(vec![3, 2]));
        for bad in ["", "x", "3-1", "1,", "99999999"] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
    }
}
