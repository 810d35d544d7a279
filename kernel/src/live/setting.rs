//! In: the resources of a spec, or a key and its value. Out: [`Limit`]s, which
//! know neither the version of cgroups nor its files.

use std::collections::BTreeSet;

use packrank_core::cpus::Affinity;
use packrank_core::key::Key;
use packrank_core::record::{Amount, GuaranteeFile};
use packrank_core::spec::{Device, Resources};
use packrank_core::value::Value;

use super::error::Error;
use super::weight::Scale;

/// One limit of a running container, in the kernel's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// CPU weight on version 1's scale, and the one by which it counts on
    /// version 2.
    Shares(u64, Scale),
    /// Microseconds of CPU time per period.
    Quota {
        /// Microseconds.
        quota: Amount,
        /// Microseconds; the present one where there is none.
        period: Option<u64>,
    },
    /// CPU time in thousandths of a percent of one CPU, of whatever the
    /// present period is.
    Percent(Amount),
    /// Microseconds that may be saved up.
    Burst(u64),
    /// Run only when nobody else wants the CPU.
    Idle(bool),
    /// The kernel's list of CPUs; empty for all.
    Cpus(String),
    /// Bytes of memory.
    Memory(Amount),
    /// Bytes of swap beside the memory.
    Swap(Amount),
    /// Bytes of memory and swap together.
    MemoryAndSwap(u64),
    /// Bytes at which growth is slowed.
    High(Amount),
    /// Bytes kept under pressure.
    Guarantee(GuaranteeFile, u64),
    /// Bytes reclaimed last, as the spec's `memory.reservation`.
    Reservation(u64),
    /// Processes.
    Pids(Amount),
    /// Per second, on one device: read and write operations, read and write
    /// bytes, as the spec's throttles are ordered.
    Throttle(usize, Device, Amount),
    /// Weight among siblings.
    IoWeight(u64),
    /// The most urgent I/O class that its processes' own may have, in the
    /// kernel's word.
    IoClass(&'static str),
    /// Bytes in huge pages of one size, such as `2MB`.
    HugePages(String, Amount),
    /// A version 2 file and its text.
    File(String, String),
}

/// What a key alone does not tell.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The disks that I/O limits are for.
    pub devices: &'a [Device],
    /// What carries the memory guarantee on version 2.
    pub guarantee_file: GuaranteeFile,
    /// The host's huge page sizes.
    pub page_sizes: &'a BTreeSet<String>,
    /// How the container's engine converts shares on version 2.
    pub scale: Scale,
}

/// What a rewritten spec restricts. What it leaves open is left as it is.
#[must_use]
pub fn of_resources(resources: &Resources, scale: Scale) -> Vec<Limit> {
    let r = resources;
    let mut limits = Vec::new();
    limits.extend(r.cpu_shares.map(|shares| Limit::Shares(shares, scale)));
    if r.cpu_quota.is_some() || r.cpu_period.is_some() {
        let quota = r.cpu_quota.map_or(Amount::Unlimited, Amount::At);
        let period = r.cpu_period;
        limits.push(Limit::Quota { quota, period });
    }
    limits.extend(r.cpu_burst.map(Limit::Burst));
    limits.extend(r.cpus.clone().map(Limit::Cpus));
    limits.extend(r.memory_limit.map(Amount::At).map(Limit::Memory));
    limits.extend(match (r.memory_and_swap, r.memory_limit) {
        (Some(total), Some(limit)) if total >= limit => {
            Some(Limit::Swap(Amount::At(total - limit)))
        }
        (total, _) => total.map(Limit::MemoryAndSwap),
    });
    limits.extend(r.memory_reservation.map(Limit::Reservation));
    limits.extend(r.pids.map(Amount::At).map(Limit::Pids));
    for (which, rates) in r.throttles.iter().enumerate() {
        let rate =
            |(device, rate): (&Device, &u64)| Limit::Throttle(which, *device, Amount::At(*rate));
        limits.extend(rates.iter().map(rate));
    }
    let pages = r.hugepages.iter();
    limits.extend(pages.map(|(size, n)| Limit::HugePages(size.clone(), Amount::At(*n))));
    // Read into the members above already, the stricter of both.
    let read = ["cpu.max", "io.max", "cpuset.cpus"];
    for (name, text) in r
        .unified
        .iter()
        .filter(|(name, _)| !read.contains(&name.as_str()))
    {
        limits.push(match name.as_str() {
            "cpu.idle" => Limit::Idle(text.trim() == "1"),
            _ => Limit::File(name.clone(), text.clone()),
        });
    }
    limits
}

/// What one setting means for a running container.
///
/// # Errors
/// When it does not live in the cgroup: network, disk space, and what belongs
/// to the process.
pub fn of_key(key: Key, value: &Value, means: Means<'_>) -> Result<Vec<Limit>, Error> {
    let not_here = || Error::NotHere {
        key,
        value: value.show(key),
    };
    let amount = match value {
        Value::Unlimited => Some(Amount::Unlimited),
        value => value.number().map(Amount::At),
    };
    let need = || amount.ok_or_else(not_here);
    let number = || value.number().ok_or_else(not_here);
    let throttle = |which: usize| -> Result<Vec<Limit>, Error> {
        let rate = need()?;
        let devices = means.devices.iter();
        Ok(devices.map(|d| Limit::Throttle(which, *d, rate)).collect())
    };
    Ok(vec![match (key, value) {
        (Key::CpuShares, _) => Limit::Shares(number()?, means.scale),
        (Key::CpuQuota, _) => Limit::Percent(need()?),
        (Key::CpuIdle, Value::Switch(idle)) => Limit::Idle(*idle),
        (Key::CpuAffinity, Value::Cpus(cpus)) => Limit::Cpus(cpus.to_string()),
        (Key::CpuAffinity, Value::Affinity(Affinity::All)) => Limit::Cpus(String::new()),
        (Key::MemoryLimit, _) => Limit::Memory(need()?),
        (Key::MemoryHigh, _) => Limit::High(need()?),
        (Key::MemoryGuarantee, _) => Limit::Guarantee(means.guarantee_file, number()?),
        (Key::MemorySwap, _) => Limit::Swap(need()?),
        (Key::Pids, _) => Limit::Pids(need()?),
        (Key::IoReadIops, _) => return throttle(0),
        (Key::IoWriteIops, _) => return throttle(1),
        (Key::IoReadBps, _) => return throttle(2),
        (Key::IoWriteBps, _) => return throttle(3),
        (Key::IoWeight, _) => Limit::IoWeight(number()?),
        (Key::Hugepages, Value::Switch(may)) => {
            let amount = if *may {
                Amount::Unlimited
            } else {
                Amount::At(0)
            };
            let sizes = means.page_sizes.iter();
            return Ok(sizes
                .map(|size| Limit::HugePages(size.clone(), amount))
                .collect());
        }
        _ => return Err(not_here()),
    }])
}
