//! In: `linux.resources`. Out: the writes for cgroup v1.
//!
//! Zero means "leave as it is" wherever runc takes it so: callers send whole structures with most
//! members zero.

use libcontainer::oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{ResourceError, Write, limit};
use crate::cgroup::{Place, read};

/// In the order in which they must be written. `place` is read, not written: some files only take
/// their new values in an order that depends on the present ones.
pub fn writes(resources: &LinuxResources, place: &Place) -> Result<Vec<Write>, ResourceError> {
    if resources
        .unified()
        .as_ref()
        .is_some_and(|unified| !unified.is_empty())
    {
        return Err(ResourceError::NotOnV1("unified"));
    }
    let mut list = Vec::new();
    if let Some(one) = resources.cpu() {
        cpu(one, &mut list);
    }
    if let Some(one) = resources.memory() {
        memory(one, place, &mut list)?;
    }
    if let Some(pids) = resources.pids()
        && pids.limit() != 0
    {
        list.push(Write::new("pids", "pids.max", limit(pids.limit(), "max")));
    }
    if let Some(one) = resources.block_io() {
        block_io(one, &mut list);
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let size = page.page_size();
        list.push(Write::new(
            "hugetlb",
            format!("hugetlb.{size}.limit_in_bytes"),
            page.limit(),
        ));
        list.push(
            Write::new(
                "hugetlb",
                format!("hugetlb.{size}.rsvd.limit_in_bytes"),
                page.limit(),
            )
            .optional(),
        );
    }
    if let Some(network) = resources.network() {
        if let Some(class) = network.class_id().filter(|class| *class != 0) {
            list.push(Write::new("net_cls", "net_cls.classid", class));
        }
        for one in network.priorities().iter().flatten() {
            list.push(Write::new(
                "net_prio",
                "net_prio.ifpriomap",
                format!("{} {}", one.name(), one.priority()),
            ));
        }
    }
    list.extend(super::v2::rdma(resources));
    Ok(list)
}

fn cpu(cpu: &LinuxCpu, list: &mut Vec<Write>) {
    let idle = cpu.idle().is_some_and(|idle| idle != 0);
    // An idle cgroup refuses shares, so leaving idle comes before shares and entering it replaces
    // them.
    if let Some(value) = cpu.idle() {
        list.push(Write::new("cpu", "cpu.idle", value));
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0 && !idle) {
        list.push(Write::new("cpu", "cpu.shares", shares));
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        list.push(Write::new("cpu", "cpu.rt_period_us", period));
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        list.push(Write::new("cpu", "cpu.rt_runtime_us", runtime));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    // Burst above quota is refused at every moment: drop it first, raise it last.
    if cpu.burst().is_some() && quota.is_some() {
        list.push(Write::new("cpu", "cpu.cfs_burst_us", 0).optional());
    }
    if let Some(period) = cpu.period().filter(|period| *period != 0) {
        list.push(Write::new("cpu", "cpu.cfs_period_us", period));
    }
    if let Some(quota) = quota {
        list.push(Write::new("cpu", "cpu.cfs_quota_us", limit(quota, "-1")));
    }
    if let Some(burst) = cpu.burst() {
        list.push(Write::new("cpu", "cpu.cfs_burst_us", burst));
    }
    if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
        list.push(Write::new("cpuset", "cpuset.cpus", cpus));
    }
    if let Some(mems) = cpu.mems().as_ref().filter(|mems| !mems.is_empty()) {
        list.push(Write::new("cpuset", "cpuset.mems", mems));
    }
}

fn memory(memory: &LinuxMemory, place: &Place, list: &mut Vec<Write>) -> Result<(), ResourceError> {
    let given = memory.limit().filter(|value| *value != 0);
    // Unlimited memory under limited memory+swap is refused, so it takes swap along.
    let swap = memory
        .swap()
        .filter(|value| *value != 0)
        .or(given.filter(|value| *value < 0));
    let ram = given.map(|value| Write::new("memory", "memory.limit_in_bytes", limit(value, "-1")));
    let both =
        swap.map(|value| Write::new("memory", "memory.memsw.limit_in_bytes", limit(value, "-1")));
    // The kernel holds limit <= memory+swap at every moment: growing starts with the outer one.
    let present = place
        .controller("memory")
        .and_then(|path| read(path, "memory.memsw.limit_in_bytes"))
        .and_then(|text| text.trim().parse::<i64>().ok());
    let grows =
        given.is_some_and(|value| value < 0 || present.is_some_and(|present| value > present));
    // Without swap accounting there is no such file; unlimited is then what there is anyway.
    let both = both.map(|one| {
        if swap.is_some_and(|value| value < 0) {
            one.optional()
        } else {
            one
        }
    });
    list.extend(
        if grows { [both, ram] } else { [ram, both] }
            .into_iter()
            .flatten(),
    );
    if let Some(value) = memory.reservation().filter(|value| *value != 0) {
        list.push(Write::new(
            "memory",
            "memory.soft_limit_in_bytes",
            limit(value, "-1"),
        ));
    }
    if let Some(value) = memory.kernel_tcp().filter(|value| *value != 0) {
        list.push(Write::new(
            "memory",
            "memory.kmem.tcp.limit_in_bytes",
            limit(value, "-1"),
        ));
    }
    if memory.disable_oom_killer() == Some(true) {
        list.push(Write::new("memory", "memory.oom_control", 1));
    }
    if let Some(value) = memory.swappiness() {
        if value > 100 {
            let (value, wanted) = (value.to_string(), "0 to 100");
            return Err(ResourceError::Value {
                key: "memory.swappiness",
                value,
                wanted,
            });
        }
        list.push(Write::new("memory", "memory.swappiness", value));
    }
    Ok(())
}

fn block_io(io: &LinuxBlockIo, list: &mut Vec<Write>) {
    let weight = |kind: &str, value: String| {
        Write::new("blkio", format!("blkio.{kind}"), &value)
            .and(format!("blkio.bfq.{kind}"), &value)
    };
    if let Some(value) = io.weight().filter(|value| *value != 0) {
        list.push(weight("weight", value.to_string()));
    }
    if let Some(value) = io.leaf_weight().filter(|value| *value != 0) {
        list.push(Write::new("blkio", "blkio.leaf_weight", value));
    }
    for one in io.weight_device().iter().flatten() {
        let device = format!("{}:{}", one.major(), one.minor());
        if let Some(value) = one.weight().filter(|value| *value != 0) {
            list.push(weight("weight_device", format!("{device} {value}")));
        }
        if let Some(value) = one.leaf_weight().filter(|value| *value != 0) {
            list.push(Write::new(
                "blkio",
                "blkio.leaf_weight_device",
                format!("{device} {value}"),
            ));
        }
    }
    let throttles = [
        ("read_bps", io.throttle_read_bps_device()),
        ("write_bps", io.throttle_write_bps_device()),
        ("read_iops", io.throttle_read_iops_device()),
        ("write_iops", io.throttle_write_iops_device()),
    ];
    for (kind, devices) in throttles {
        for one in devices.iter().flatten() {
            let value = format!("{}:{} {}", one.major(), one.minor(), one.rate());
            list.push(Write::new(
                "blkio",
                format!("blkio.throttle.{kind}_device"),
                value,
            ));
        }
    }
}
