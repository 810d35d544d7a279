//! One look at a node: its packs and what they use.
//!
//! In: nothing; [`Sampler`](crate::Sampler) fills it. Out: figures in base
//! units. What could not be read is `None`.

use std::sync::Arc;
use std::time::SystemTime;

use packrank_core::key::Key;
use packrank_core::record::{Amount, Deeds, Mode, Record};
use packrank_kernel::net;
use packrank_kernel::pressure::Pressure;
use packrank_watcher::decide::{Node, Sample};

use crate::ask::Told;
use crate::latency::{Histogram, Source};

/// CPU, memory and I/O pressure, in that order.
pub type Pressures = [Option<Pressure>; 3];

/// The names of [`Pressures`].
pub const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];

/// One look.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When.
    pub at: SystemTime,
    /// The node's memory and CPUs.
    pub node: Node,
    /// The node's pressure.
    pub pressure: Pressures,
    /// The packs that run, highest class first, then by title.
    pub packs: Vec<Pack>,
    /// What [`Pack::latency`] is made of.
    pub latency: Source,
    /// What the watcher says; `None` when none runs.
    pub watcher: Option<Told>,
    /// Seconds that reading all of this took.
    pub took: f64,
}

/// One pack.
#[derive(Debug, Clone)]
pub struct Pack {
    /// What it is and what it may have.
    pub record: Arc<Record>,
    /// What the watcher took from it, or gave it.
    pub deeds: Arc<Deeds>,
    /// Memory, CPU time and I/O.
    pub sample: Sample,
    /// What it did per second since the look before; `None` at the first.
    pub rates: Option<Rates>,
    /// CPU quota in force, in thousandths of a percent of one CPU.
    pub cpu_limit: Option<Amount>,
    /// Memory limit in force, in bytes.
    pub memory_limit: Option<Amount>,
    /// Bytes per second that it may read and write, in force, those of the disk
    /// that has the least.
    pub io_limit: [Option<u64>; 2],
    /// Bits per second that it may send and receive, in force.
    pub network_limit: [Option<u64>; 2],
    /// Whether its processes are frozen, by whomever.
    pub frozen: bool,
    /// What it waits for.
    pub pressure: Pressures,
    /// Bytes sent and received, where it has a network of its own.
    pub network: Option<[u64; 2]>,
    /// Open files of the process that is nearest to its limit.
    pub files: Option<Use>,
    /// TCP sockets in use in its network, and the connections it may have.
    pub connections: Option<Use>,
    /// Processes, and the processes and threads it may have.
    pub processes: Option<Use>,
    /// Its disk operations by how long they took.
    pub latency: Histogram,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// In use.
    pub used: u64,
    /// At most; `None` is unlimited.
    pub limit: Option<u64>,
}

/// What a pack did per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// CPU time, in percent of one CPU.
    pub cpu: f64,
    /// Time its quota held it back, in percent of the time; above 100 where
    /// several CPUs were held back at once.
    pub throttled: f64,
    /// Bytes read and written, reads and writes.
    pub io: [f64; 4],
    /// Bytes sent and received.
    pub network: [f64; 2],
}

impl Use {
    /// In percent of the limit.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        share(self.used, self.limit?)
    }
}

impl Pack {
    /// CPU time in percent of its quota; without one, of the node's CPUs.
    #[must_use]
    pub fn cpu_percent(&self, node: &Node) -> Option<f64> {
        let most = match self.cpu_limit {
            Some(Amount::At(quota)) => quota,
            _ => node.cpu_capacity?,
        };
        let most = float(most) / 1_000.0;
        (most > 0.0).then(|| self.rates.map(|rates| rates.cpu / most * 100.0))?
    }

    /// Memory charged to it less what can be had back, in bytes: what counts
    /// against its limit when it presses.
    #[must_use]
    pub fn working_set(&self) -> Option<u64> {
        let memory = self.sample.memory?;
        Some(memory.saturating_sub(self.sample.cache.unwrap_or(0)))
    }

    /// [`Pack::working_set`] in percent of its limit; without one, of the
    /// node's memory.
    #[must_use]
    pub fn memory_percent(&self, node: &Node) -> Option<f64> {
        let most = match self.memory_limit {
            Some(Amount::At(limit)) => limit.min(node.memory_total.unwrap_or(u64::MAX)),
            _ => node.memory_total?,
        };
        share(self.working_set()?, most)
    }

    /// A limit in force as the record and the watcher have it, if there is one.
    #[must_use]
    pub fn limit(&self, key: Key) -> Option<u64> {
        limit(&self.record, &self.deeds, key)
    }
}

/// See [`Pack::limit`].
fn limit(record: &Record, deeds: &Deeds, key: Key) -> Option<u64> {
    record.in_force(deeds, key).and_then(Amount::number)
}

/// What a network is shaped to by the record whose own it is, in bits per
/// second, out and in; `None` for the host's network and for those that are
/// only watched.
pub(crate) fn shaped(record: &Record, deeds: &Deeds) -> [Option<u64>; 2] {
    let own = net::owner(record) == Some(&*record.id) && record.mode == Mode::Enforce;
    [Key::NetworkEgress, Key::NetworkIngress].map(|key| limit(record, deeds, key).filter(|_| own))
}

/// In percent.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole) * 100.0)
}

/// A count as the number that is drawn and exported.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53; above, a part in 10^15"
)]
pub fn float(n: u64) -> f64 {
    n as f64
}
