//! In: a `cgroupsPath` of systemd's form, and resources. Out: the scope's directory, the scope's
//! properties, and the scope stopped.
//!
//! systemd writes its own values over raw writes at the next daemon-reload, so what it knows must
//! be told to it. libcgroups speaks to it, but mistakes most of `unified` (it takes `cpu.weight`
//! for shares, `cpu.max` for microseconds per second, and gives up at `max`), so that is put into
//! the members it gets right.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use libcgroups::common::{CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager};
use libcontainer::oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use crate::cgroup::{CgroupError, Place, read};
use crate::resources::v2;
use crate::systemd_cpuset;

/// The scope's absolute path below the mount, and its name in the form slice:prefix:name.
pub fn unit_path(wanted: Option<&Path>, id: &str) -> Result<(PathBuf, String), CgroupError> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(CgroupError::NoSystemd);
    }
    let text = wanted.map_or_else(
        || format!("system.slice:packrank-engine:{id}"),
        |path| path.to_string_lossy().into_owned(),
    );
    let mut parts = text.split(':');
    let (Some(slice), Some(prefix), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(CgroupError::SystemdPath(text));
    };
    let slice = if slice.is_empty() {
        "system.slice"
    } else {
        slice
    };
    let scope = match (name.ends_with(".slice"), prefix.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{name}.scope"),
        (false, false) => format!("{prefix}-{name}.scope"),
    };
    let path = slice_path(slice)
        .ok_or_else(|| CgroupError::SystemdPath(text.clone()))?
        .join(scope);
    Ok((path, format!("{slice}:{prefix}:{name}")))
}

/// `a-b.slice` lies at `/a.slice/a-b.slice`.
fn slice_path(slice: &str) -> Option<PathBuf> {
    let stem = slice
        .strip_suffix(".slice")
        .filter(|stem| !stem.is_empty() && !slice.contains('/'))?;
    let mut path = PathBuf::from("/");
    if stem == "-" {
        return Some(path);
    }
    let mut name = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return None;
        }
        name = if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}-{part}")
        };
        path.push(format!("{name}.slice"));
    }
    Some(path)
}

fn config(unit: &str) -> CgroupConfig {
    let id = unit.rsplit(':').next().unwrap_or(unit);
    CgroupConfig {
        cgroup_path: unit.into(),
        systemd_cgroup: true,
        container_name: id.to_owned(),
    }
}

/// Sets the scope's properties.
pub fn apply(unit: &str, place: &Place, told: &LinuxResources) -> Result<(), CgroupError> {
    let resources = translate(told, place);
    let manager = create_cgroup_manager(config(unit))
        .map_err(|cause| CgroupError::Systemd(cause.to_string()))?;
    let options = ControllerOpt {
        resources: &resources,
        disable_oom_killer: false,
        oom_score_adj: None,
        freezer_state: None,
    };
    manager
        .apply(&options)
        .map_err(|cause| CgroupError::Systemd(cause.to_string()))?;
    systemd_cpuset::apply(place, told)?;
    // To switch cpuset on, systemd switches off above the scope what it does not know: hugetlb.
    place.make()
}

/// Stops the scope, which kills what is left in it.
pub fn stop(unit: &str, place: &Place) -> Result<(), CgroupError> {
    if !place.v2().is_some_and(|seat| seat.path.exists()) {
        return Ok(());
    }
    let manager = create_cgroup_manager(config(unit))
        .map_err(|cause| CgroupError::Systemd(cause.to_string()))?;
    manager
        .remove()
        .map_err(|cause| CgroupError::Systemd(cause.to_string()))
}

/// What systemd knows, in the members from which libcgroups gets it right.
fn translate(resources: &LinuxResources, place: &Place) -> LinuxResources {
    let empty = HashMap::new();
    let unified = resources.unified().as_ref().unwrap_or(&empty);
    let mut told = LinuxResources::default();
    told.set_devices(None)
        .set_pids(*resources.pids())
        .set_block_io(None);
    told.set_cpu(cpu(resources.cpu().as_ref(), unified, place));
    told.set_memory(resources.memory().as_ref().map(|memory| {
        let mut copy = LinuxMemory::default();
        copy.set_limit(memory.limit().filter(|limit| *limit != 0));
        copy.set_reservation(memory.reservation().filter(|reservation| *reservation != 0));
        copy.set_swap(
            memory
                .swap()
                .filter(|swap| *swap != 0 && memory.limit().is_some_and(|limit| limit != 0)),
        );
        copy
    }));
    let known = [
        "memory.min",
        "memory.low",
        "memory.high",
        "memory.max",
        "pids.max",
    ];
    let passed: HashMap<String, String> = unified
        .iter()
        .filter(|(key, _)| known.contains(&key.as_str()))
        .map(|(key, value)| {
            let unlimited = if key == "pids.max" {
                "-1".to_owned()
            } else {
                u64::MAX.to_string()
            };
            (
                key.clone(),
                if value.trim() == "max" {
                    unlimited
                } else {
                    value.trim().to_owned()
                },
            )
        })
        .collect();
    told.set_unified((!passed.is_empty()).then_some(passed));
    told
}

/// libcgroups resets the quota whenever it is given a cpu member, so a missing quota is filled in
/// from what the kernel has now.
fn cpu(
    cpu: Option<&LinuxCpu>,
    unified: &HashMap<String, String>,
    place: &Place,
) -> Option<LinuxCpu> {
    let weight = unified
        .get("cpu.weight")
        .and_then(|text| text.trim().parse().ok());
    let max = unified.get("cpu.max").cloned();
    if cpu.is_none() && weight.is_none() && max.is_none() {
        return None;
    }
    let mut told = LinuxCpu::default();
    let idle = cpu.and_then(LinuxCpu::idle).is_some_and(|idle| idle != 0);
    if !idle {
        told.set_shares(
            weight
                .map(v2::shares_for_weight)
                .or_else(|| cpu.and_then(LinuxCpu::shares)),
        );
    }
    // Not the CPUs and memory nodes: see systemd_cpuset.
    let present = place
        .v2()
        .and_then(|seat| read(&seat.path, "cpu.max"))
        .unwrap_or_default();
    let (present_quota, present_period) = quota_and_period(max.as_deref().unwrap_or(&present));
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    told.set_quota(
        given(cpu.and_then(LinuxCpu::quota))
            .filter(|_| max.is_none())
            .or(present_quota),
    );
    told.set_period(
        cpu.and_then(LinuxCpu::period)
            .filter(|period| *period != 0 && max.is_none())
            .or(present_period),
    );
    Some(told)
}

fn quota_and_period(text: &str) -> (Option<i64>, Option<u64>) {
    let mut words = text.split_whitespace();
    (
        words.next().and_then(|word| word.parse().ok()),
        words.next().and_then(|word| word.parse().ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_nest() {
        assert_eq!(
            slice_path("a-b-c.slice"),
            Some(PathBuf::from("/a.slice/a-b.slice/a-b-c.slice"))
        );
        assert_eq!(slice_path("-.slice"), Some(PathBuf::from("/")));
        for bad in ["a", ".slice", "a--b.slice", "a/b.slice", "-a.slice"] {
            assert_eq!(slice_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn unified_goes_where_it_is_understood() {
        let mut resources = LinuxResources::default();
        let unified = [
            ("cpu.weight", "200"),
            ("cpu.max", "max 50000"),
            ("memory.high", "max"),
            ("io.weight", "default 5"),
        ];
        resources.set_unified(Some(
            unified
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        ));
        let told = translate(&resources, &Place::default());
        let cpu = told.cpu().clone().unwrap();
        assert_eq!(v2::weight_for_shares(cpu.shares().unwrap()), 200);
        assert_eq!((cpu.quota(), cpu.period()), (None, Some(50_000)));
        let unified = told.unified().clone().unwrap();
        assert_eq!(unified.get("memory.high"), Some(&u64::MAX.to_string()));
        assert!(!unified.contains_key("io.weight"));
    }
}
