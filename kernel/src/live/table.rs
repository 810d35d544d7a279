//! In: a limit. Out: its files in both versions of cgroups.

use packrank_core::record::GuaranteeFile;

use super::line::Form;
use super::setting::Limit;

pub(super) const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

/// The files of a limit: controller, version 1, version 2, form. An empty name
/// is a version that has no such thing.
pub(super) type Row = (&'static str, &'static str, &'static str, Form);

#[rustfmt::skip]
pub(super) fn files(limit: &Limit) -> Row {
    match limit {
        Limit::Shares(..) => ("cpu", "cpu.shares", "cpu.weight", Form::Words),
        Limit::Quota { .. } | Limit::Percent(_) => ("cpu", "cpu.cfs_quota_us", "cpu.max", Form::Words),
        Limit::Burst(_) => ("cpu", "cpu.cfs_burst_us", "cpu.max.burst", Form::Words),
        Limit::Idle(_) => ("cpu", "cpu.idle", "cpu.idle", Form::Words),
        Limit::Cpus(_) => ("cpuset", "cpuset.cpus", "cpuset.cpus", Form::Cpus),
        Limit::Memory(_) => ("memory", "memory.limit_in_bytes", "memory.max", Form::Bytes),
        Limit::Swap(_) | Limit::MemoryAndSwap(_) => ("memory", MEMORY_AND_SWAP, "memory.swap.max", Form::Bytes),
        Limit::High(_) => ("memory", "", "memory.high", Form::Bytes),
        Limit::Guarantee(GuaranteeFile::Min, _) => ("memory", "memory.soft_limit_in_bytes", "memory.min", Form::Bytes),
        Limit::Guarantee(GuaranteeFile::Low, _) | Limit::Reservation(_) => ("memory", "memory.soft_limit_in_bytes", "memory.low", Form::Bytes),
        Limit::Pids(_) => ("pids", "pids.max", "pids.max", Form::Words),
        Limit::Throttle(0, ..) => ("blkio", "blkio.throttle.read_iops_device", "riops", Form::Rates),
        Limit::Throttle(1, ..) => ("blkio", "blkio.throttle.write_iops_device", "wiops", Form::Rates),
        Limit::Throttle(2, ..) => ("blkio", "blkio.throttle.read_bps_device", "rbps", Form::Rates),
        Limit::Throttle(..) => ("blkio", "blkio.throttle.write_bps_device", "wbps", Form::Rates),
        Limit::IoWeight(_) => ("blkio", "blkio.weight", "io.weight", Form::Weight),
        Limit::IoClass(_) => ("blkio", "blkio.prio.class", "io.prio.class", Form::Words),
        Limit::HugePages(..) => ("hugetlb", "limit_in_bytes", "max", Form::Bytes),
        Limit::File(..) => ("", "", "", Form::Words),
    }
}
