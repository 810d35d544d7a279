//! What was seen: the input of every decision.
//!
//! In: nothing but numbers that somebody read. Out: an [`Observation`]. What
//! could not be read is `None`, which is neither zero nor an old value.

use packrank_kernel::cgroup::Reclaim;

use super::Millis;

/// One look at the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observation<'a> {
    /// The node as a whole.
    pub node: Node,
    /// Each pack's last figures, by [`super::Slot`]; a slot beyond the end, or
    /// one that is empty, has not been seen.
    pub packs: &'a [Option<Sample>],
}

/// The node as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct Node {
    /// A pressure trigger has just fired: the stall lies in the last half
    /// second.
    pub memory_trigger: bool,
    /// Every pack's stalls were read with this look.
    pub weighed: bool,
    /// Bytes of memory, without what is reserved for huge pages.
    pub memory_total: Option<u64>,
    /// Bytes that can be had without swapping.
    pub memory_available: Option<u64>,
    /// Bytes of free swap.
    pub swap_free: Option<u64>,
    /// Pages that the node itself scanned to free memory, in all.
    pub reclaim: Option<Reclaim>,
    /// Time in which some task waited for memory.
    pub memory_some: Option<Stall>,
    /// Time in which every task waited for memory.
    pub memory_full: Option<Stall>,
    /// Time in which some task waited for a CPU.
    pub cpu_some: Option<Stall>,
    /// Time in which some task waited for a disk.
    pub io_some: Option<Stall>,
    /// All CPUs, in thousandths of a percent of one.
    pub cpu_capacity: Option<u64>,
    /// CPU time used of late, in thousandths of a percent of one CPU.
    pub cpu_used: Option<u64>,
}

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stall {
    /// The last ten seconds, in hundredths of a percent.
    pub avg10: u32,
    /// Microseconds in all.
    pub total: u64,
}

/// One pack's figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// When they were looked at.
    pub at: Millis,
    /// When all were last read: those of a pack that sleeps are believed for
    /// a while.
    pub read: Millis,
    /// Whether any process is left in it.
    pub populated: bool,
    /// Bytes charged to it.
    pub memory: Option<u64>,
    /// Bytes of these that can be had back without ending it.
    pub cache: Option<u64>,
    /// How often it ran into its memory limit.
    pub at_limit: Option<u64>,
    /// How often it ran into its `memory.high`.
    pub at_high: Option<u64>,
    /// Microseconds in which some, and in which every task of it waited for
    /// memory.
    pub stalled: Option<[u64; 2]>,
    /// Microseconds of CPU time.
    pub cpu_used: Option<u64>,
    /// Microseconds for which its quota held it back.
    pub cpu_throttled: Option<u64>,
    /// Bytes read and written, reads and writes.
    pub io: Option<[u64; 4]>,
    /// Bytes sent and received.
    pub network: Option<[u64; 2]>,
    /// Its own CPU wait (`some avg10`), in hundredths of a percent.
    pub cpu_wait: Option<u32>,
    /// Its own I/O wait, likewise.
    pub io_wait: Option<u32>,
    /// Open files of the process that is nearest to its limit, in percent of it.
    pub files: Option<u8>,
    /// Connections, likewise.
    pub connections: Option<u8>,
    /// Disk space, likewise.
    pub disk: Option<u8>,
}
