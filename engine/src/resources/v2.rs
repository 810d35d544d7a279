//! In: `linux.resources`, whose figures are on v1's scales. Out: the writes for cgroup v2, `unified`
//! last, so that it has the last word.

use libcontainer::oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{ResourceError, Write, limit};

pub fn writes(resources: &LinuxResources) -> Result<Vec<Write>, ResourceError> {
    let mut list = Vec::new();
    if let Some(one) = resources.cpu() {
        cpu(one, &mut list)?;
    }
    if let Some(one) = resources.memory() {
        memory(one, &mut list)?;
    }
    if let Some(pids) = resources.pids()
        && pids.limit() != 0
    {
        list.push(Write::new("pids", "pids.max", limit(pids.limit(), "max")));
    }
    if let Some(one) = resources.block_io() {
        block_io(one, &mut list)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let size = page.page_size();
        list.push(Write::new(
            "hugetlb",
            format!("hugetlb.{size}.max"),
            page.limit(),
        ));
        // Without it a process gets SIGBUS at the first touch instead of ENOMEM at mmap.
        list.push(
            Write::new("hugetlb", format!("hugetlb.{size}.rsvd.max"), page.limit()).optional(),
        );
    }
    list.extend(rdma(resources));
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (file, value) in unified {
        if file.contains('/') || !file.contains('.') {
            let wanted = "a cgroup v2 file name";
            return Err(ResourceError::Value {
                key: "unified",
                value: file.clone(),
                wanted,
            });
        }
        // Several lines are several writes: the kernel takes one device at a time.
        for line in value.lines() {
            list.push(Write::new("unified", file, line));
        }
    }
    Ok(list)
}

fn cpu(cpu: &LinuxCpu, list: &mut Vec<Write>) -> Result<(), ResourceError> {
    if cpu.realtime_runtime().unwrap_or(0) != 0 || cpu.realtime_period().unwrap_or(0) != 0 {
        return Err(ResourceError::NotOnV2("cpu.realtimeRuntime"));
    }
    let idle = cpu.idle().is_some_and(|idle| idle != 0);
    if let Some(value) = cpu.idle() {
        list.push(Write::new("cpu", "cpu.idle", value));
    }
    // cpu.idle locks cpu.weight.
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0 && !idle) {
        list.push(Write::new("cpu", "cpu.weight", weight_for_shares(shares)));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if cpu.burst().is_some() && quota.is_some() {
        list.push(Write::new("cpu", "cpu.max.burst", 0).optional());
    }
    match (quota, period) {
        (None, None) => {}
        // Only the first word is optional to keep: a missing quota is unlimited, as for runc.
        (quota, period) => {
            let quota = quota.map_or_else(|| "max".to_owned(), |quota| limit(quota, "max"));
            let value = period.map_or_else(|| quota.clone(), |period| format!("{quota} {period}"));
            list.push(Write::new("cpu", "cpu.max", value));
        }
    }
    if let Some(burst) = cpu.burst() {
        list.push(Write::new("cpu", "cpu.max.burst", burst));
    }
    if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
        list.push(Write::new("cpuset", "cpuset.cpus", cpus));
    }
    if let Some(mems) = cpu.mems().as_ref().filter(|mems| !mems.is_empty()) {
        list.push(Write::new("cpuset", "cpuset.mems", mems));
    }
    Ok(())
}

fn memory(memory: &LinuxMemory, list: &mut Vec<Write>) -> Result<(), ResourceError> {
    let ram = memory.limit().filter(|value| *value != 0);
    match (memory.swap().filter(|value| *value != 0), ram) {
        (None, Some(ram)) if ram < 0 => {
            list.push(Write::new("memory", "memory.swap.max", "max").optional())
        }
        (None, _) => {}
        (Some(swap), _) if swap < 0 => {
            list.push(Write::new("memory", "memory.swap.max", "max").optional())
        }
        // The configuration counts memory and swap together, v2 swap alone.
        (Some(swap), Some(ram)) if ram > 0 && swap >= ram => {
            let write = Write::new("memory", "memory.swap.max", swap - ram);
            // Without swap accounting "none" is what there is anyway.
            list.push(if swap == ram { write.optional() } else { write });
        }
        (Some(swap), _) => {
            let (value, wanted) = (
                swap.to_string(),
                "no less than memory.limit, which must be given with it",
            );
            return Err(ResourceError::Value {
                key: "memory.swap",
                value,
                wanted,
            });
        }
    }
    if let Some(ram) = ram {
        list.push(Write::new("memory", "memory.max", limit(ram, "max")));
    }
    if let Some(value) = memory.reservation().filter(|value| *value != 0) {
        list.push(Write::new("memory", "memory.low", limit(value, "max")));
    }
    Ok(())
}

fn block_io(io: &LinuxBlockIo, list: &mut Vec<Write>) -> Result<(), ResourceError> {
    if io.leaf_weight().is_some_and(|value| value != 0) {
        return Err(ResourceError::NotOnV2("blockIO.leafWeight"));
    }
    if let Some(value) = io.weight().filter(|value| *value != 0) {
        list.push(io_weight(None, value));
    }
    for one in io.weight_device().iter().flatten() {
        if let Some(value) = one.weight().filter(|value| *value != 0) {
            list.push(io_weight(
                Some(format!("{}:{}", one.major(), one.minor())),
                value,
            ));
        }
    }
    let throttles = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    for (kind, devices) in throttles {
        for one in devices.iter().flatten() {
            // Zero takes a limit away.
            let rate = if one.rate() == 0 {
                "max".to_owned()
            } else {
                one.rate().to_string()
            };
            list.push(Write::new(
                "blkio",
                "io.max",
                format!("{}:{} {kind}={rate}", one.major(), one.minor()),
            ));
        }
    }
    Ok(())
}

/// The kernel's own file takes 1 to 10000, BFQ's v1's 10 to 1000.
fn io_weight(device: Option<String>, weight: u16) -> Write {
    let converted = 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
    let target = device.unwrap_or_else(|| "default".to_owned());
    Write::new("blkio", "io.weight", format!("{target} {converted}"))
        .and("io.bfq.weight", format!("{target} {weight}"))
}

/// `rdma.max`, the same on both versions.
pub fn rdma(resources: &LinuxResources) -> Vec<Write> {
    let line = |(device, one): (&String, &libcontainer::oci_spec::runtime::LinuxRdma)| {
        let mut value = device.clone();
        for (name, limit) in [
            ("hca_handle", one.hca_handles()),
            ("hca_object", one.hca_objects()),
        ] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {name}={limit}"));
            }
        }
        Write::new("rdma", "rdma.max", value)
    };
    resources.rdma().iter().flatten().map(line).collect()
}

/// v1's shares (2 to 262144, 1024 by default) as v2's weight (1 to 10000, 100 by default): the
/// quadratic in log2 that runc and crun use since 2025, exact at all three points.
pub fn weight_for_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    #[allow(clippy::cast_precision_loss, reason = "below 2^18")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000"
    )]
    let weight = 10f64.powf(exponent).ceil() as u64;
    weight
}

/// The smallest shares that give a weight, for those who can only be told shares.
pub fn shares_for_weight(weight: u64) -> u64 {
    let (mut low, mut high) = (2, 262_144);
    while low < high {
        let middle = (low + high) / 2;
        if weight_for_shares(middle) < weight {
            low = middle + 1
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<(String, String)>, ResourceError> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        Ok(writes(&resources)?
            .into_iter()
            .map(|one| one.files[0].clone())
            .collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[test]
    fn weights_meet_at_both_ends_and_at_the_default() {
        assert_eq!([2, 1024, 262_144].map(weight_for_shares), [1, 100, 10_000]);
        for weight in 1..=10_000 {
            assert_eq!(weight_for_shares(shares_for_weight(weight)), weight);
        }
    }

    #[test]
    fn memory_and_swap_are_told_apart() {
        assert_eq!(
            of(r#"{"memory":{"limit":100,"swap":150,"reservation":50}}"#).unwrap(),
            pairs(&[
                ("memory.swap.max", "50"),
                ("memory.max", "100"),
                ("memory.low", "50")
            ])
        );
        assert!(of(r#"{"memory":{"limit":100,"swap":50}}"#).is_err());
    }

    #[test]
    fn idle_locks_the_weight() {
        assert_eq!(
            of(r#"{"cpu":{"shares":128,"idle":1}}"#).unwrap(),
            pairs(&[("cpu.idle", "1")])
        );
    }

    #[test]
    fn unified_comes_last_and_stays_in_the_cgroup() {
        let list = of(
            r#"{"unified":{"memory.high":"5","io.max":"8:0 rbps=1\n8:16 rbps=2"},"pids":{"limit":3}}"#,
        );
        let wanted = [
            ("pids.max", "3"),
            ("io.max", "8:0 rbps=1"),
            ("io.max", "8:16 rbps=2"),
            ("memory.high", "5"),
        ];
        assert_eq!(list.unwrap(), pairs(&wanted));
        assert!(of(r#"{"unified":{"../cgroup.procs":"1"}}"#).is_err());
    }

    #[test]
    fn quota_alone_keeps_the_period() {
        assert_eq!(
            of(r#"{"cpu":{"quota":50000}}"#).unwrap(),
            pairs(&[("cpu.max", "50000")])
        );
        assert_eq!(
            of(r#"{"cpu":{"quota":-1,"period":100000}}"#).unwrap(),
            pairs(&[("cpu.max", "max 100000")])
        );
    }
}
