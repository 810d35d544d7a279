//! The settings a class has: one table that annotations, policy, plan and
//! `explain` all read.
//!
//! In: a key's name. Out: its [`Key`], the unit of its values and the rule
//! that joins what class, annotation and spec say.

use std::fmt;

/// One setting. The names are those users write after `packrank.io/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// CPU weight on cgroup v1's scale, 2 to 262144.
    CpuShares,
    /// CPU time, in percent of one CPU.
    CpuQuota,
    /// Run only when nobody else wants the CPU.
    CpuIdle,
    /// Which CPUs.
    CpuAffinity,
    /// Memory the container may use.
    MemoryLimit,
    /// Where the kernel begins to slow its growth.
    MemoryHigh,
    /// Memory the kernel leaves it under pressure.
    MemoryGuarantee,
    /// Swap it may use beside its memory.
    MemorySwap,
    /// oom_score_adj, -1000 to 1000.
    OomScore,
    /// Whether it may use huge pages.
    Hugepages,
    /// Processes and threads at once.
    Pids,
    /// Open files per process, soft and hard.
    Nofile,
    /// Bits per second from the container.
    NetworkEgress,
    /// Bits per second to the container.
    NetworkIngress,
    /// Bits that may pass above the rate at once.
    NetworkBurst,
    /// Packets per second.
    NetworkPackets,
    /// Connections at once.
    NetworkConnections,
    /// New connections per second.
    NetworkNewConnections,
    /// The DSCP mark on its packets.
    NetworkDscp,
    /// Read operations per second, each device.
    IoReadIops,
    /// Write operations per second, each device.
    IoWriteIops,
    /// Bytes read per second, each device.
    IoReadBps,
    /// Bytes written per second, each device.
    IoWriteBps,
    /// The I/O scheduler's class and level.
    IoPriority,
    /// I/O weight, 1 to 10000.
    IoWeight,
    /// Disk space of the writable layer.
    DiskSpace,
    /// Units of WASM fuel per second.
    WasmFuel,
    /// WASM linear memory.
    WasmMemory,
    /// What its process may do beside its limits.
    Security,
}

/// What a key's values are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, or a percentage of the memory limit.
    BytesOrShare,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Bits.
    Bits,
    /// Bits per second.
    BitsPerSecond,
    /// Percent of one CPU.
    PercentOfCpu,
    /// A plain count.
    Count,
    /// Something per second.
    PerSecond,
    /// A weight between siblings.
    Weight,
    /// oom_score_adj.
    Score,
    /// true or false.
    Switch,
    /// Soft and hard limit.
    Files,
    /// A list of CPUs.
    Cpus,
    /// A DSCP code point.
    Dscp,
    /// An ioprio class and level.
    IoPriority,
    /// A security preset.
    Security,
}

impl Unit {
    /// The unit's name in `explain`'s JSON; empty where the value says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes | Unit::BytesOrShare => "bytes",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Bits => "bits",
            Unit::BitsPerSecond => "bits/s",
            Unit::PercentOfCpu => "% of one CPU",
            Unit::Count => "count",
            Unit::PerSecond => "1/s",
            Unit::Weight => "weight",
            Unit::Score => "oom_score_adj",
            Unit::Files => "open files",
            Unit::Cpus => "CPUs",
            Unit::Dscp => "DSCP",
            Unit::IoPriority => "ioprio",
            Unit::Switch | Unit::Security => "",
        }
    }
}

/// How class, annotation and spec are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The stricter wins; less is stricter.
    Limit,
    /// The class decides, or an annotation that asks for less.
    Class,
    /// Like a limit, and never above the resulting limit.
    Guarantee,
}

/// The table: key, name, unit, rule, smallest and largest number accepted.
type Row = (Key, &'static str, Unit, Rule, i64, i64);

const MOST: i64 = i64::MAX;

/// The smallest memory limit: under 4 MiB no container of any engine starts
/// (runc itself refuses less than 6 MiB where it must clone itself first).
const LEAST_MEMORY: i64 = 4 << 20;

#[rustfmt::skip]
const TABLE: [Row; 29] = [
    (Key::CpuShares, "cpu.shares", Unit::Weight, Rule::Class, 2, 262_144),
    (Key::CpuQuota, "cpu.quota", Unit::PercentOfCpu, Rule::Limit, 1_000, 1_000_000_000),
    (Key::CpuIdle, "cpu.idle", Unit::Switch, Rule::Class, 0, 1),
    (Key::CpuAffinity, "cpu.affinity", Unit::Cpus, Rule::Limit, 0, 0),
    (Key::MemoryLimit, "memory.limit", Unit::Bytes, Rule::Limit, LEAST_MEMORY, MOST),
    (Key::MemoryHigh, "memory.high", Unit::BytesOrShare, Rule::Limit, LEAST_MEMORY, MOST),
    (Key::MemoryGuarantee, "memory.guarantee", Unit::Bytes, Rule::Guarantee, 0, MOST),
    (Key::MemorySwap, "memory.swap", Unit::Bytes, Rule::Limit, 0, MOST),
    (Key::OomScore, "oom.score", Unit::Score, Rule::Class, -1_000, 1_000),
    (Key::Hugepages, "hugepages", Unit::Switch, Rule::Limit, 0, 1),
    (Key::Pids, "pids", Unit::Count, Rule::Limit, 1, 4_194_304),
    (Key::Nofile, "nofile", Unit::Files, Rule::Limit, 1, 1_073_741_816),
    (Key::NetworkEgress, "network.egress", Unit::BitsPerSecond, Rule::Limit, 8_000, MOST),
    (Key::NetworkIngress, "network.ingress", Unit::BitsPerSecond, Rule::Limit, 8_000, MOST),
    (Key::NetworkBurst, "network.burst", Unit::Bits, Rule::Limit, 16_000, 34_359_738_360),
    (Key::NetworkPackets, "network.packets", Unit::PerSecond, Rule::Limit, 1, u32::MAX as i64),
    (Key::NetworkConnections, "network.connections", Unit::Count, Rule::Limit, 1, u32::MAX as i64),
    (Key::NetworkNewConnections, "network.new-connections", Unit::PerSecond, Rule::Limit, 1, u32::MAX as i64),
    (Key::NetworkDscp, "network.dscp", Unit::Dscp, Rule::Class, 0, 63),
    (Key::IoReadIops, "io.read-iops", Unit::PerSecond, Rule::Limit, 1, u32::MAX as i64),
    (Key::IoWriteIops, "io.write-iops", Unit::PerSecond, Rule::Limit, 1, u32::MAX as i64),
    (Key::IoReadBps, "io.read-bps", Unit::BytesPerSecond, Rule::Limit, 1_024, MOST),
    (Key::IoWriteBps, "io.write-bps", Unit::BytesPerSecond, Rule::Limit, 1_024, MOST),
    (Key::IoPriority, "io.priority", Unit::IoPriority, Rule::Class, 0, 7),
    (Key::IoWeight, "io.weight", Unit::Weight, Rule::Class, 1, 10_000),
    (Key::DiskSpace, "disk.space", Unit::Bytes, Rule::Limit, 65_536, MOST),
    (Key::WasmFuel, "wasm.fuel", Unit::PerSecond, Rule::Limit, 1, MOST),
    (Key::WasmMemory, "wasm.memory", Unit::BytesOrShare, Rule::Limit, 65_536, MOST),
    (Key::Security, "security", Unit::Security, Rule::Limit, 0, 0),
];

impl Key {
    /// Every key, in the order in which people read them.
    pub fn all() -> impl Iterator<Item = Key> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        // The table is in the enum's order; a test holds it to that.
        &TABLE[self as usize]
    }

    /// The name users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What its values are measured in.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.row().2
    }

    /// How class, annotation and spec are joined.
    #[must_use]
    pub fn rule(self) -> Rule {
        self.row().3
    }

    /// The smallest and the largest number accepted, in base units (for
    /// percentages: thousandths of a percent).
    #[must_use]
    pub fn range(self) -> (i64, i64) {
        (self.row().4, self.row().5)
    }

    /// The key of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Key> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_enums_order_and_names_are_unique() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{}", row.1);
            assert_eq!(Key::named(row.1), Some(row.0));
        }
    }
}
